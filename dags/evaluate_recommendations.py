"""### evaluate_recommendations: were the lists of a week ago any good?

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** the lists of D - 7 and the events since. **Writes** `newcomer_outcomes` and `outcomes` of D, and a report. `outcomes` pools the
newcomers of 91 days, so a day that is made before those before it is listed by `recpipe stale` once they are there; a backfill with
`--max-active-runs 1` goes in order.

**What a late run means.** Nobody's list changes. Drops in quality and drift are noticed later.

**Triage**

- `wait_for_day` failed: `events` of D - 6 to D or `recommendations` of D - 7 are not published; look at the DAG that writes them. In the
  first week of a shop there are no lists of D - 7 yet: start a week later.
- `evaluate` failed on an expectation: the link Verdict under the task's Details says which; nothing was published. Killed: clear it,
  the rows are the same.
- `warn` shows a crossed floor (told to people, but for backfills): look at the report of the day, cohort by cohort, beside the baselines. If popularity fell as
  well, the shop changed (season, a sale, missing deliveries); if only the model fell, see which version served the day, and
  consider the version before it.
- A task was backfilled after its outcomes were due: `recpipe stale` lists the days to evaluate again.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task

from recpipe.airflow.defaults import DAILY, day_param, default_args, refusals, run_day, run_limit, run_settings, schedule, table
from recpipe.airflow.links import link, report_link, table_links
from recpipe.airflow.notifications import tell_floors
from recpipe.airflow.sensors import DaySensor
from recpipe.config.settings import load_settings

SETTINGS = load_settings()


@dag(
    **schedule(SETTINGS, DAILY),
    doc_md=__doc__,
    description="Outcomes of the lists of a week ago, with baselines and drift",
    tags=["recpipe", "daily", "evaluate", "tier-2"],
    max_active_runs=4,
    **run_limit(),
    params={"day": day_param()},
    default_args=default_args(SETTINGS, minutes=60),
)
def evaluate_recommendations() -> None:
    horizon = SETTINGS.evaluation.horizon_days
    wait_for_day = DaySensor(task_id="wait_for_day", needs={"events": (horizon - 1, 0), "recommendations": (horizon, horizon)})

    @task(
        inlets=[table(SETTINGS, name) for name in ("events", "recommendations")],
        outlets=[table(SETTINGS, name) for name in ("newcomer_outcomes", "outcomes")],
    )
    def evaluate() -> dict[str, Any]:
        """Measure, publish and write the report; returns the warnings and where the report is."""
        from recpipe.evaluation.day_outcomes import evaluate_day

        with run_day() as (settings, day):
            return evaluate_day(settings, day)

    @task
    def warn(outcome: dict[str, Any]) -> bool:
        """Tell of floors that were crossed; returns whether somebody was told."""
        with refusals():
            return tell_floors(get_current_context(), run_settings(), outcome)

    measured = link(evaluate(), report_link(), *table_links("outcomes"))
    wait_for_day >> measured
    warn(measured)


evaluate_recommendations()
