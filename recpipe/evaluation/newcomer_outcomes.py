"""The outcomes of newcomers' lists, one by one: the rows of ``newcomer_outcomes``.

A night has too few of them to say anything, so nights are pooled (`recpipe.evaluation.pooled`); that needs each user's own
value, for the same person stands in many nights.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.outcome_settings import EvaluationSettings
from recpipe.contract import FEW, NEWCOMER_OUTCOMES, ZERO

LISTS: Final = "lists"
"""Name of the published lists, whichever version made them."""
NEWCOMERS: Final = (ZERO, FEW)
METRICS: Final = ("ndcg", "recall", "hit_rate")


@dataclass(frozen=True)
class Listed:
    """Users with a list, each (users,): id, cohort, distinct items in the support, items newly met since."""

    user_ids: NDArray[np.object_]
    cohort: NDArray[np.object_]
    k: NDArray[np.int64]
    met: NDArray[np.int64]


def newcomer_rows(
    evaluation: EvaluationSettings, day: date, listed: Listed, quality: Mapping[str, Mapping[str, NDArray[np.float64]]]
) -> pa.Table:
    """Return the rows of a day, by user and name: of the users of the cohorts zero and few who newly met something.

    Parameters
    ----------
    evaluation
        Horizon and cut-off.
    day
        The day up to which behaviour was looked at.
    listed
        Everybody with a list.
    quality
        By name of the lists, the metrics of `METRICS`, (users,) each.
    """
    rows = np.flatnonzero(np.isin(listed.cohort, NEWCOMERS) & (listed.met > 0))
    parts = [_rows_of(evaluation, day, listed, rows, name, found) for name, found in sorted(quality.items())]
    return pa.concat_tables(parts).sort_by([("user_id", "ascending"), ("name", "ascending")]).combine_chunks()


def _rows_of(
    evaluation: EvaluationSettings,
    day: date,
    listed: Listed,
    rows: NDArray[np.intp],
    name: str,
    quality: Mapping[str, NDArray[np.float64]],
) -> pa.Table:
    count = len(rows)
    columns = {
        "day": [day] * count,
        "lists_day": [day - timedelta(days=evaluation.horizon_days)] * count,
        "horizon_days": [evaluation.horizon_days] * count,
        "user_id": listed.user_ids[rows],
        "cohort": listed.cohort[rows],
        "k": listed.k[rows],
        "name": [name] * count,
        "metric_k": [evaluation.metric_k] * count,
        **{metric: quality[metric][rows] for metric in METRICS},
        "met": listed.met[rows],
    }
    schema = NEWCOMER_OUTCOMES.schema
    arrays = [pa.array(columns[field.name], field.type) for field in schema]
    return pa.Table.from_arrays(arrays, schema=schema)
