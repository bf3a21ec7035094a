"""A DAG whose deadline has always passed when its run begins: a moment after midnight."""

from __future__ import annotations

from datetime import datetime

from airflow.sdk import CronDataIntervalTimetable, dag, task

from recpipe.airflow.notifications import deadline
from recpipe.config.settings import load_settings

SETTINGS = load_settings(deadline_hours=0.0001)


@dag(
    schedule=CronDataIntervalTimetable("0 0 * * *", timezone=SETTINGS.shop.timezone),
    start_date=datetime(2026, 1, 1, tzinfo=SETTINGS.shop.zone),
    catchup=False,
    is_paused_upon_creation=True,
    **deadline(SETTINGS),
)
def always_late() -> None:
    @task
    def nothing() -> None:
        """Do nothing."""

    nothing()


always_late()
