"""### recommend_nightly: a list of products for every user, the one who registered today included

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `events`, `items`, `users` as of the end of D, and the model version that serves D. **Writes** `episodes` and
`recommendations` of D, one commit each.

**What a late run means.** Consumers read the newest complete day from `days`: they serve the lists of D - 1 meanwhile.
Users of D who are new see the shop's popular items. After three days the lists are stale enough to show in sales.

**Triage**

- `wait_for_day` failed: `events` of D is not published; look at `ingest_clickstream` of D first.
- `plan` failed with "no promoted model version": train and promote one (`train_meta_model`), or name a version in the
  parameter `model_version`.
- `episodes` or `publish` failed on an expectation: the link Verdict under the task's Details says which; nothing was published,
  and the lists of D - 1 stay.
- `rank` failed or was killed: clear it; every shard is staged apart, and a rerun ends in the same rows. Out of memory:
  raise RECPIPE_SHARDS and clear from `plan` on; the rows do not depend on it.

Step by step: docs/operations.md (a failed day, a wrong model, a full disk).

**Whom to call.** The owner, in working hours; at once if the lists of three days are missing.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import dag, get_current_context, task

from recpipe.airflow import metrics
from recpipe.airflow.dag_factory import model_version_param
from recpipe.airflow.defaults import DAILY, day_param, default_args, refusals, run_day, run_limit, run_settings, schedule, table
from recpipe.airflow.links import link, model_links, table_links
from recpipe.airflow.notifications import deadline
from recpipe.airflow.sensors import DaySensor
from recpipe.config.settings import load_settings

SETTINGS = load_settings()


@dag(
    **schedule(SETTINGS, DAILY),
    **deadline(SETTINGS),
    doc_md=__doc__,
    description="A list of products for every user",
    tags=["recpipe", "daily", "recommend", "tier-1"],
    max_active_runs=4,
    **run_limit(),
    params={
        "day": day_param(),
        "model_version": model_version_param(),
    },
    default_args=default_args(SETTINGS, minutes=60),
)
def recommend_nightly() -> None:
    wait_for_day = DaySensor(task_id="wait_for_day", needs={"events": (0, 0)})

    @task(inlets=[table(SETTINGS, name) for name in ("events", "items", "users")])
    def plan() -> list[dict[str, Any]]:
        """Resolve once what the night reads: model version and table versions; returns the plan, once a shard."""
        from recpipe.tables.recommendations.night_plan import plan_night

        with run_day() as (settings, day):
            night = plan_night(settings, day, get_current_context()["params"]["model_version"])
        return [{"night": night.as_json(), "shard": shard} for shard in range(night.shards)]

    @task(outlets=[table(SETTINGS, "episodes")])
    def episodes(plans: list[dict[str, Any]]) -> int:
        """Publish cohorts and supports of the new users; returns the rows."""
        from recpipe.pipeline.run_plan import RunPlan
        from recpipe.tables.recommendations.night_publish import publish_episodes

        with refusals():
            return publish_episodes(run_settings(), RunPlan.from_json(plans[0]["night"]))

    @task(map_index_template="shard {{ task.op_kwargs['part']['shard'] }}")
    def rank(part: dict[str, Any]) -> str:
        """Rank the catalogue for one shard of the users; returns the staged file."""
        from recpipe.pipeline.run_plan import RunPlan
        from recpipe.tables.recommendations.night_shards import rank_shard

        with refusals():
            return rank_shard(run_settings(), RunPlan.from_json(part["night"]), part["shard"])

    @task(outlets=[table(SETTINGS, "recommendations")])
    def publish(plans: list[dict[str, Any]], files: list[str]) -> int:
        """Audit the lists and publish them; returns the rows."""
        from recpipe.pipeline.run_plan import RunPlan
        from recpipe.tables.recommendations.night_publish import publish_night

        with refusals():
            settings, night = run_settings(), RunPlan.from_json(plans[0]["night"])
            rows = publish_night(settings, night, list(files))
            metrics.tell(settings, night.day, "recommendations", "episodes")
        return rows

    plans = link(plan(), *model_links(lambda plans: plans[0]["night"]["model_version"]))
    published = link(episodes(plans), *table_links("episodes"))
    files = rank.expand(part=plans)
    wait_for_day >> plans
    published >> files
    link(publish(plans, files), *table_links("recommendations"))


recommend_nightly()
