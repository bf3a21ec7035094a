"""Counters and gauges of a published day, in the metrics of Airflow (StatsD or OpenTelemetry, its section ``[metrics]``).

Seconds per stage are Airflow's own ``task.duration``, with DAG and task as tags. Where no metrics are switched on, nothing is
read and nothing sent.
"""

from __future__ import annotations

import logging
from datetime import date, datetime

from airflow.sdk import conf

from recpipe.config.settings import Settings

log = logging.getLogger(__name__)

COUNTED = ("zero", "few", "warm")


def switched_on() -> bool:
    """Whether Airflow sends metrics anywhere."""
    return conf.getboolean("metrics", "statsd_on", fallback=False) or conf.getboolean("metrics", "otel_on", fallback=False)


def tell(settings: Settings, day: date, *tables: str) -> dict[str, float]:
    """Send what stands in the register of a day, and return it by name.

    ``recpipe.rows.TABLE``: rows published for the day; ``recpipe.rows.quarantine`` among them. ``recpipe.users.COHORT``: users
    with a list, where ``recommendations`` is told of. ``recpipe.age_days.TABLE``: days from the newest published day to today in
    the shop's zone; it grows when a table stays behind.
    """
    if not switched_on():
        return {}
    # a private name until Airflow offers a public one; the lock pins the version, and a test sends through it
    from airflow.sdk._shared.observability.metrics import stats

    try:
        found = measured(settings, day, tables)
        for name, value in found.items():
            stats.gauge(name, value)
    except Exception as error:  # the day is published: nothing that only counts it may fail its task
        log.warning("The counters of %s were not sent (%s).", day, type(error).__name__)
        return {}
    return found


def measured(settings: Settings, day: date, tables: tuple[str, ...]) -> dict[str, float]:
    """Return the gauges of a day by name."""
    from recpipe.lake.lake import Lake

    lake, today = Lake.from_settings(settings), datetime.now(settings.shop.zone).date()
    found: dict[str, float] = {}
    for table in tables:
        record, newest = lake.day(table, day), lake.newest_day(table)
        found[f"recpipe.rows.{table}"] = float(record.rows if record else 0)
        if newest:
            found[f"recpipe.age_days.{table}"] = float((today - newest).days)
    if "recommendations" in tables:
        cohort = (
            lake.reader().read("recommendations", day, day, ["user_id", "cohort"]).group_by(["user_id", "cohort"]).aggregate([])
        )
        cohorts = cohort["cohort"].to_pylist()
        found |= {f"recpipe.users.{name}": float(cohorts.count(name)) for name in COUNTED}
    return found
