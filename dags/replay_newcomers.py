"""### replay_newcomers: how would those who came of late have been served, had they been new?

**Owner** recommendations. **Runs** weekly, after Sunday's midnight, for the week that ended.
**Reads** the tables up to the last day of the week. **Writes** `replays` of that day, and a page with its picture. A model is trained on
the days up to RECPIPE_REPLAY_DAYS before; it is measured and never registered.

**What a late run means.** Nobody's list changes; the quality for newcomers is said a week later.

**Triage**

- `wait_for_days` failed: events of days since the cut are not published; look at `ingest_clickstream`.
- `export` failed: no events are published before the cut. A shop younger than RECPIPE_REPLAY_DAYS has nothing to train on yet: start
  later, or set fewer days.
- `train` failed: the error shows the last lines of the job. "Too little to learn from": the days before the cut are too few, see
  `export`. Clear the task: the job goes on from its last checkpoint. It waits for a slot of the pool `gpu` while `train_meta_model` has it;
  RECPIPE_REPLAY_OPTIONS makes it shorter (`--steps`, `--settings`).
- `measure` failed on an expectation: the link Verdict under the task's Details says which; nothing was published. Killed: clear it, the
  rows are the same.
- `warn` shows a floor that was crossed (told to people, but for backfills): look at the page by the size of the support. Where the
  baselines fell as well, the shop changed; where only what was trained fell, hold the gate's figures of these weeks beside it.

**Whom to call.** The owner, in working hours.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task

from recpipe.airflow.defaults import WEEKLY, day_param, default_args, refusals, run_day, run_limit, run_settings, schedule, table
from recpipe.airflow.jobs.job_operator import job
from recpipe.airflow.links import link, report_link, table_links
from recpipe.airflow.notifications import tell_floors
from recpipe.airflow.sensors import DaySensor
from recpipe.config.settings import load_settings

SETTINGS = load_settings()


@dag(
    **schedule(SETTINGS, WEEKLY, days=7),
    doc_md=__doc__,
    description="Newcomers since a cut, served as if new by a model of the days before it",
    tags=["recpipe", "weekly", "evaluate", "tier-2"],
    max_active_runs=1,
    **run_limit(),
    params={"day": day_param()},
    default_args=default_args(SETTINGS, minutes=120),
)
def replay_newcomers() -> None:
    wait_for_days = DaySensor(task_id="wait_for_days", needs={"events": (SETTINGS.replay.replay_days - 1, 0)})

    @task(inlets=[table(SETTINGS, name) for name in ("events", "items", "users")], multiple_outputs=True)
    def export() -> dict[str, Any]:
        """Write what was known at the cut as a folder; returns the plan, and the folders of the input and of the model."""
        from recpipe.evaluation.replay.replay_run import export_replay, model_folder, plan_replay

        with run_day() as (settings, day):
            plan = plan_replay(settings, day)
            folders = {"episodes": export_replay(settings, plan), "model": str(model_folder(settings, plan))}
            return {"plan": plan, **folders}

    @task(outlets=[table(SETTINGS, "replays")])
    def measure(plan: dict[str, Any], model: str) -> dict[str, Any]:
        """Serve the newcomers, publish, write the page; returns the warnings and where the page is."""
        from recpipe.evaluation.replay.replay_run import publish_replay

        with run_day() as (settings, _):
            return publish_replay(settings, plan, model)

    @task
    def warn(outcome: dict[str, Any]) -> bool:
        """Tell of floors that were crossed; returns whether somebody was told."""
        with refusals():
            return tell_floors(get_current_context(), run_settings(), outcome)

    exported = export()
    train = job(
        SETTINGS,
        task_id="train",
        command=[
            *("recpipe", "train", "--episodes", exported["episodes"], "--out", exported["model"]),
            *(*SETTINGS.training.run_options, *SETTINGS.replay.replay_options),
        ],
        pool="gpu",
        queue=SETTINGS.training.train_queue,
    )
    wait_for_days >> exported >> train
    measured = link(measure(exported["plan"], exported["model"]), report_link(), *table_links("replays"))
    train >> measured
    warn(measured)


replay_newcomers()
