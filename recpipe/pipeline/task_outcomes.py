"""The outcomes of a task's earlier rows: the rows of ``outcomes`` on its table."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.outcome_settings import EvaluationSettings
from recpipe.config.settings import Settings
from recpipe.contract import OUTCOMES
from recpipe.errors import BadSetting
from recpipe.lake.lake import Lake
from recpipe.lake.reader import Reader
from recpipe.metrics.intervals import Interval, mean_interval, seed_of
from recpipe.pipeline.table import Metric, Task


def measure_task(settings: Settings, task: Task[Any], reader: Reader, day: date) -> pa.Table:
    """Measure the rows that a task made of ``day`` − ``settings.evaluation.horizon_days`` by what is known at the end of ``day``.

    Returns
    -------
    pyarrow.Table
        Rows of ``outcomes``.

    Raises
    ------
    MissingDay
        If the task's earlier day is not published.
    BadSetting
        If the task has no measure.
    """
    if task.measure is None:
        raise BadSetting(f"The task {task.name} has no measure of what became of its rows.")
    made_on = day - timedelta(days=settings.evaluation.horizon_days)
    record = Lake.from_settings(settings).require(task.name, made_on)
    found = task.measure(settings, reader, made_on, day)
    name = record.model_version or task.name
    rows = [_row(settings, task, day, name, metric) for metric in found]
    return pa.Table.from_pylist(rows, schema=OUTCOMES.schema)


def measured_rows(settings: Settings, tasks: list[Task[Any]], reader: Reader, day: date) -> list[pa.Table]:
    """Measure every task that has a measure and whose earlier day is published; others have no rows.

    That a day was looked for stands in the reader's ``inputs``, so that a task which is backfilled later makes the
    outcomes stale (`recpipe stale`).
    """
    made_on = day - timedelta(days=settings.evaluation.horizon_days)
    there = [task for task in tasks if task.measure and reader.look_for(task.name, made_on)]
    return [measure_task(settings, task, reader, day) for task in there]


def _row(settings: Settings, task: Task[Any], day: date, name: str, metric: Metric) -> dict[str, Any]:
    found = Interval(metric.value, metric.low, metric.high, metric.count)
    return outcome_row(settings.evaluation, task.name, day, metric.group, metric.name, metric.by or name, found)


def outcome_row(
    evaluation: EvaluationSettings, table: str, day: date, cohort: str, metric: str, name: str, found: Interval
) -> dict[str, Any]:
    """Return one row of ``outcomes``.

    Parameters
    ----------
    evaluation
        Say how many days lie between what was made and what is measured.
    table, name
        Whose rows are measured, and who made them.
    day, cohort, metric, found
        What was found.
    """
    return {
        "day": day,
        "horizon_days": evaluation.horizon_days,
        "cohort": cohort,
        "metric": metric,
        "value": found.value,
        "ci_low": found.low,
        "ci_high": found.high,
        "users": found.users,
        "name": name,
        "table": table,
    }


def mean_metric(settings: Settings, name: str, values: NDArray[Any], *drawn_by: object, by: str = "") -> Metric:
    """Return the mean of some values with its interval, as one metric.

    Parameters
    ----------
    name, by
        Of the metric, and of who made what it measures; see `recpipe.pipeline.table.Metric`.
    values
        (measured,) numbers or whether something holds.
    drawn_by
        What the draws of the interval depend on beside the seed of the settings.
    """
    rng = seed_of(settings.training.seed, *drawn_by)
    found = mean_interval(np.asarray(values, np.float64), settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users)
    return Metric(name, found.value, found.low, found.high, found.users, by=by)
