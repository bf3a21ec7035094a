"""``python train_and_serve.py JSON``: for each learner and day, the DAG train_meta_model of that day, and the night that follows.

When all are there, ``airflow dags backfill --local`` runs the DAG of all these nights again. One process for all, since Airflow takes
seconds to import; `RECPIPE_LEARNER` is read as a DAG file is read, so that the file is read anew for each. Prints a line of JSON a
learner.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta
from typing import Any


def trained(learner: str, day: date, place: int) -> str:
    """Run train_meta_model of a day with the learner of the settings; return the state in which it ended."""
    from airflow.configuration import conf
    from airflow.dag_processing.dagbag import DagBag

    os.environ["RECPIPE_LEARNER"] = learner
    dag = DagBag(conf.get("core", "dags_folder") + "/train_meta_model.py").dags["train_meta_model"]
    when = datetime(2026, 3, 1, tzinfo=UTC) + timedelta(hours=place)
    return str(dag.test(logical_date=when, run_conf={"day": str(day)}).state.value)


def served(day: date) -> dict[str, Any]:
    """Do the night of a day."""
    from recpipe.config.settings import load_settings
    from recpipe.tables.recommendations.night_publish import recommend_day

    return recommend_day(load_settings(), day)


def backfilled(first: date, last: date) -> None:
    """Run the nights of some days again, as the command of a person does."""
    from airflow.cli.cli_parser import get_parser

    days = ["-s", str(first), "-e", str(last)]
    given = get_parser().parse_args(["dags", "backfill", *days, "--local", "recommend_nightly"])
    given.func(given)


def main(courses: list[tuple[str, str]]) -> None:
    """Train and serve, one learner after the other, and go back to the first."""
    from recpipe.airflow.backfill.database_setup import prepare

    prepare(1)
    for place, (learner, text) in enumerate(courses):
        day = date.fromisoformat(text)
        state = trained(learner, day, place)
        night = served(day + timedelta(days=1)) if state == "success" else {}
        print(json.dumps({"learner": learner, "state": state, "night": night}), flush=True)
    days = [date.fromisoformat(text) + timedelta(days=1) for _, text in courses]
    backfilled(min(days), max(days))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
