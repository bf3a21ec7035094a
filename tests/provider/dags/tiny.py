"""DAGs that cost nothing, for the tests of the backfill command; what ran is noted in files under RECPIPE_HOME/noted."""

from __future__ import annotations

import json
import os
import time
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from airflow.sdk import CronDataIntervalTimetable, Param, dag, get_current_context, task

ZONE = "Europe/London"
DATES = {
    "start_date": datetime(2011, 3, 1, tzinfo=ZoneInfo(ZONE)),
    "end_date": datetime(2011, 4, 30, tzinfo=ZoneInfo(ZONE)),
    "catchup": False,
}
PARAMS = {
    "day": Param(None, type=["null", "string"], format="date"),
    "fail_on": Param("", type="string"),
    "seconds": Param(0.0, type="number", minimum=0),
}


@task
def note() -> None:
    """Write down the run; fail on the day that `fail_on` names, until the file `mended` stands there."""
    from recpipe.days import day_of_run

    context = get_current_context()
    run = context["dag_run"]
    day = day_of_run(context["params"], run.run_type.value, run.data_interval_end, ZoneInfo(ZONE))
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


DAILY = CronDataIntervalTimetable("0 0 * * *", timezone=ZONE)
for name in ("plain", "failing", "twice", "again", "backwards", "stopped", "started", "foreground"):
    tiny(f"tiny_{name}", DAILY)
tiny("tiny_weekly", CronDataIntervalTimetable("0 0 * * 1", timezone=ZONE))
tiny("tiny_endless", DAILY, end_date=None)
tiny("tiny_paused", DAILY, is_paused_upon_creation=True)
tiny("tiny_unscheduled", None)
