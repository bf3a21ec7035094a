"""### ingest_clickstream: a delivered day becomes clean events, items and users

**Owner** recommendations. **Runs** daily, after the shop's midnight, for the day that ended.
**Reads** `landing/{items,users,events}/day=D`, or as RECPIPE_LANDING and RECPIPE_LANDING_LAYOUT say. **Writes** `items`, `users`, `quarantine`, `events`, one commit each.

**What a late run means.** The lists of D + 1 are made without the events of D: users see yesterday's list, new users
of D get none. Nothing is lost: deliver the day, then clear the run or backfill it; whatever order, the rows are the same.

**Triage**

- `wait_for_delivery` failed: a folder has no `_SUCCESS`, or the store cannot be reached; its message says which. Ask the shop's
  data team for the day. A day on which nothing happened still needs the `_SUCCESS` files.
- `stage` failed: a file cannot be read, or lies in the folder and would not be read, or too many rows are bad; the message names
  file, column and remedy (docs/delivery.md). The day before stays published. After a corrected delivery: `airflow dags backfill -s D -e D --reset-dagruns -y ingest_clickstream`.
- `publish` failed: an expectation did not hold; the links Verdict under the task's Details say which. Nothing was published.
- `publish` failed for `share_of_usual_rows`: the day has next to no events, after weeks of many. Ask the shop's data team. If the
  shop really had such a day, trigger the DAG with the parameters `day` and `accept_volume`, or name it in RECPIPE_ACCEPTED_DAYS.
- A warning in a verdict (volume, freshness) does not stop anything: look at it in the morning.

Step by step: docs/operations.md (a failed day).

**Whom to call.** Missing or broken files: the shop's data team. Everything else: the owner, in working hours; by noon of
D + 2 at the latest, as new users are served without their events until then.
"""

from __future__ import annotations

from airflow.sdk import dag, task

from recpipe.airflow import metrics
from recpipe.airflow.defaults import DAILY, accept_volume_param, day_param, default_args, run_day, run_limit, schedule, table
from recpipe.airflow.links import link, table_links
from recpipe.airflow.sensors import DeliverySensor
from recpipe.config.settings import load_settings
from recpipe.errors import MissingDay

SETTINGS = load_settings()
TAKEN_IN = ("items", "users", "quarantine", "events")


@dag(
    **schedule(SETTINGS, DAILY),
    doc_md=__doc__,
    description="A delivered day becomes clean events, items and users",
    tags=["recpipe", "daily", "ingest", "tier-1"],
    max_active_runs=4,
    **run_limit(),
    params={"day": day_param(), "accept_volume": accept_volume_param()},
    default_args=default_args(SETTINGS, minutes=60),
)
def ingest_clickstream() -> None:
    wait_for_delivery = DeliverySensor(task_id="wait_for_delivery")

    @task
    def stage() -> str:
        """Check the rows of the delivery and write them aside; returns the folder."""
        from recpipe.tables.ingest.stage import stage_day

        # days are taken in side by side: the items of an earlier one may still be on their way
        with run_day(worth_trying_again=(MissingDay,)) as (settings, day):
            return stage_day(settings, day)

    @task(outlets=[table(SETTINGS, name) for name in TAKEN_IN])
    def publish(folder: str) -> dict[str, int]:
        """Audit what was staged and publish it; returns the rows of each table."""
        from recpipe.tables.ingest.day_commit import publish_day

        with run_day() as (settings, day):
            rows = publish_day(settings, day, folder)
            metrics.tell(settings, day, *rows)
        return rows

    staged = stage()
    wait_for_delivery >> staged
    link(publish(staged), *(one for name in TAKEN_IN for one in table_links(name, several=True)))


ingest_clickstream()
