"""Nights together: the rows of ``outcomes`` that say how newcomers were served over the trailing weeks of lists."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import OUTCOMES, RECOMMENDATIONS
from recpipe.dataset.as_of import read_users
from recpipe.dataset.persons import as_persons, link_accounts
from recpipe.evaluation.newcomer_outcomes import LISTS, METRICS, NEWCOMERS
from recpipe.lake.reader import Reader
from recpipe.metrics.cluster_intervals import clustered_interval
from recpipe.metrics.intervals import seed_of
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.pipeline.task_outcomes import outcome_row

WINDOWS: Final = (28, 91)
"""Days of lists that are pooled, the day's own the last of them."""
NAMES: Final = (LISTS, Popularity.name, ItemKNN.name)
"""Whose rows there always are, however few users were measured."""


def pooled_rows(settings: Settings, reader: Reader, day: date) -> pa.Table:
    """Return the rows of ``outcomes`` of a day that pool the nights of the trailing weeks, from ``newcomer_outcomes``.

    A value is the mean over lists: a user who newly met something after several nights counts for each. The interval is over
    persons, for the lists of one person go together; accounts of one person, as of ``day``, are one.

    Parameters
    ----------
    settings
        Horizon, cut-off, draws, fewest users. Rows that were measured with another horizon or cut-off are left out.
    reader
        Sees the day itself as published.
    day
        The last day.
    """
    rows = reader.read("newcomer_outcomes", day - timedelta(days=max(WINDOWS) - 1), day)
    same = pc.and_(
        pc.equal(rows["horizon_days"], settings.evaluation.horizon_days), pc.equal(rows["metric_k"], settings.evaluation.metric_k)
    )
    rows = rows.filter(same).sort_by([("day", "ascending"), ("user_id", "ascending"), ("name", "ascending")])
    person = _persons(reader, day, rows["user_id"]) if rows.num_rows else np.zeros(0, np.int64)
    found = [row for window in WINDOWS for row in _of_window(settings, day, window, rows, person)]
    return pa.Table.from_pylist(found, schema=OUTCOMES.schema)


def _persons(reader: Reader, day: date, accounts: pa.ChunkedArray) -> NDArray[np.int64]:
    """Return (rows,) a code of the person behind each account."""
    who = as_persons(accounts, link_accounts(read_users(reader, day)))
    return np.asarray(pc.index_in(who, value_set=pc.unique(who)).to_numpy(), np.int64)


def _of_window(settings: Settings, day: date, window: int, rows: pa.Table, person: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    inside = np.array([(day - one).days < window for one in rows["day"].to_pylist()], np.bool_)
    names, cohorts = (rows[column].to_numpy().astype(object) for column in ("name", "cohort"))
    for name in [*NAMES, *sorted(set(names) - set(NAMES))]:
        for cohort in NEWCOMERS:
            mine = np.flatnonzero(inside & (names == name) & (cohorts == cohort))
            nights = len(pc.unique(rows["day"].take(pa.array(mine))))
            for metric in METRICS:
                values = rows[metric].to_numpy()[mine]
                # the name has no part in the seed, so that equal lists have equal intervals
                rng = seed_of(settings.training.seed, day, window, cohort, metric)
                found = clustered_interval(
                    values, person[mine], settings.evaluation.bootstrap_draws, rng, settings.evaluation.min_users
                )
                pooled = f"pooled_{metric}@{settings.evaluation.metric_k}"
                row = outcome_row(settings.evaluation, RECOMMENDATIONS.name, day, cohort, pooled, name, found)
                yield row | {"window_days": window, "nights": nights}
