"""DAGs that cost nothing, for the tests of the backfill command; what ran is noted in files under RECPIPE_HOME/noted."""

from __future__ import annotations

import json
import os
import time
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, CronDataIntervalTimetable, Param, dag, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from recpipe.airflow.defaults import table
from recpipe.config.settings import load_settings

ZONE = "Europe/London"
DATES = {
    "start_date": datetime(2011, 3, 1, tzinfo=ZoneInfo(ZONE)),
    "end_date": datetime(2011, 4, 30, tzinfo=ZoneInfo(ZONE)),
    "catchup": False,
}
DAILY = CronDataIntervalTimetable("0 0 * * *", timezone=ZONE)
PARAMS = {
    "day": Param(None, type=["null", "string"], format="date"),
    "fail_on": Param("", type="string"),
    "seconds": Param(0.0, type="number", minimum=0),
}


def day_of(context: Any) -> date:
    from recpipe.days import day_of_run

    run = context["dag_run"]
    return day_of_run(context["params"], run.run_type.value, run.data_interval_end, ZoneInfo(ZONE))


@task
def note() -> None:
    """Write down the run; fail on the day that `fail_on` names, until the file `mended` stands there."""
    context = get_current_context()
    run, day = context["dag_run"], day_of(context)
    folder = Path(os.environ["RECPIPE_HOME"], "noted", context["dag"].dag_id)
    folder.mkdir(parents=True, exist_ok=True)
    started = time.time()
    time.sleep(context["params"]["seconds"])
    line = {"day": str(day), "started": started, "ended": time.time(), "conf": run.conf, "type": run.run_type.value}
    with (folder / "runs.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")
    if context["params"]["fail_on"] == str(day) and not (folder / "mended").exists():
        raise ValueError("this day fails")


def tiny(dag_id: str, schedule: object, **kwargs: object) -> None:
    @dag(dag_id=dag_id, schedule=schedule, params=PARAMS, **{**DATES, "max_active_runs": 2, **kwargs})
    def make() -> None:
        note()

    make()


class Wait(BaseOperator):
    """Waits a moment in the triggerer, and goes on with what it knew."""

    def execute(self, context: Any) -> None:
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=2)), method_name="resume", kwargs={"minutes": 7})

    def resume(self, context: Any, event: Any, minutes: int) -> None:
        assert minutes == 7


def beside(dag_id: str) -> None:
    """A DAG as recpipe's are: it waits, works in several tasks, its runs have a time limit, and what fails is tried again.

    On a busy machine Airflow may take the end of a task's first part for the end of a part that has just begun.
    """
    again = {"retries": 2, "retry_delay": timedelta(seconds=1)}

    @dag(dag_id=dag_id, schedule=DAILY, params=PARAMS, **DATES, dagrun_timeout=timedelta(hours=12), default_args=again)
    def make() -> None:
        Wait(task_id="wait") >> note.override(task_id="first")() >> note.override(task_id="second")()

    make()


@dag(
    dag_id="tiny_published",
    schedule=DAILY,
    params={**PARAMS, "publish": Param(True, type="boolean"), "rows": Param(1, type="integer")},
    **DATES,
)
def published() -> None:
    """Publishes the day of `items`, if its parameter says so."""

    @task(outlets=[table(load_settings(), "items")])
    def publish() -> None:
        import pyarrow as pa

        from recpipe.contract import ITEMS
        from recpipe.lake.lake import Lake

        context = get_current_context()
        if context["params"]["publish"]:
            rows = [{"item_id": "a", "day": day_of(context), "available": True}] * context["params"]["rows"]
            Lake.from_settings(load_settings()).publish("items", [day_of(context)], pa.Table.from_pylist(rows, ITEMS.schema))

    publish()


@dag(dag_id="tiny_ways", schedule=DAILY, params={**PARAMS, "way": Param("", type="string")}, **DATES)
def ways() -> None:
    """What tasks may do beside running: be skipped for one reason or another, or fail behind a task that comes in any case."""

    @task.short_circuit
    def go_on() -> bool:
        return get_current_context()["params"]["way"] != "short"

    @task
    def decide() -> list[int]:
        way = get_current_context()["params"]["way"]
        if way == "itself":
            raise AirflowSkipException("nothing to do")
        if way == "fails":
            raise ValueError("this task fails")
        return [] if way == "over nothing" else [1, 2]

    @task
    def work(number: int) -> int:
        return number

    @task(trigger_rule="all_done")
    def tidy() -> None:
        pass

    decided = decide()
    go_on() >> decided
    work.expand(number=decided) >> tidy()


for name in ("plain", "failing", "twice", "again", "backwards", "stopped", "started", "foreground", "killed", "skipped"):
    tiny(f"tiny_{name}", DAILY)
tiny("tiny_weekly", CronDataIntervalTimetable("0 0 * * 1", timezone=ZONE))
tiny("tiny_endless", DAILY, end_date=None)
tiny("tiny_paused", DAILY, is_paused_upon_creation=True)
tiny("tiny_unscheduled", None)
for name in ("beside", "left"):
    beside(f"tiny_{name}")
published()
ways()
