"""How good the lists were, day by day: the rows of ``outcomes`` as curves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import pyarrow.dataset as ds

from recpipe.config import Settings
from recpipe.consume.opened import open_reader
from recpipe.contract import COHORTS

LISTS: Final = "lists"
BASELINES: Final = ("popularity", "item_knn")
METRICS: Final = ("ndcg", "recall", "coverage")


@dataclass(frozen=True)
class Measured:
    """A metric of a day's lists: the value with its interval, None where too few users were measured."""

    day: date
    value: float | None
    low: float | None
    high: float | None
    users: int


Curves = dict[tuple[str, str, str], list[Measured]]
"""By metric, cohort and series (``lists`` or a baseline): one point a measured day, oldest first."""


def read_curves(settings: Settings, days: int) -> Curves:
    """Read how good the lists of the newest days were, beside the baselines on the same users.

    Parameters
    ----------
    settings
        Where the lake is, and the cut-off of the metrics.
    days
        Days up to the newest measured one.

    Returns
    -------
    dict
        `Curves`; the days are those of the *lists*, not those up to which behaviour was looked at. Empty where nothing was measured yet.
    """
    reader = open_reader(settings)
    there = reader.days("outcomes")
    if not there:
        return {}
    names = {f"{metric}@{settings.metric_k}": metric for metric in METRICS}
    lists = ds.field("metric").isin(list(names))
    rows = reader.read("outcomes", there[-1] - timedelta(days=days - 1), there[-1], only=lists)
    curves: Curves = defaultdict(list)
    for row in rows.sort_by("day").to_pylist():
        if row["table"] in (None, "recommendations") and row["group"] is None and row["cohort"] in ("all", *COHORTS):
            series = row["name"] if row["name"] in BASELINES else LISTS
            point = Measured(
                row["day"] - timedelta(days=row["horizon_days"]), row["value"], row["ci_low"], row["ci_high"], row["users"]
            )
            curves[names[row["metric"]], row["cohort"], series].append(point)
    return dict(curves)
