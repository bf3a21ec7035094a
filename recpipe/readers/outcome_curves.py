"""The quality of the lists, day by day: the rows of ``outcomes`` as curves."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.contract import COHORTS, FEW, ZERO
from recpipe.readers.session import open_reader

LISTS: Final = "lists"
BASELINES: Final = ("popularity", "item_knn")
METRICS: Final = ("ndcg", "recall", "coverage")
POOLED: Final = "pooled_ndcg"
NEWCOMERS: Final = (ZERO, FEW)


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
    names = {f"{metric}@{settings.evaluation.metric_k}": metric for metric in METRICS}
    lists = ds.field("metric").isin(list(names))
    rows = reader.read("outcomes", there[-1] - timedelta(days=days - 1), there[-1], only=lists)
    curves: Curves = defaultdict(list)
    for row in rows.sort_by("day").to_pylist():
        if row["window_days"] is not None:
            continue
        if row["table"] in (None, "recommendations") and row["group"] is None and row["cohort"] in ("all", *COHORTS):
            series = row["name"] if row["name"] in BASELINES else LISTS
            point = Measured(
                row["day"] - timedelta(days=row["horizon_days"]), row["value"], row["ci_low"], row["ci_high"], row["users"]
            )
            curves[names[row["metric"]], row["cohort"], series].append(point)
    return dict(curves)


@dataclass(frozen=True)
class Point:
    """What some lists are worth to newcomers: the value with its interval, None where too few persons were measured.

    Attributes
    ----------
    group
        Items known of the newcomer, such as ``k=3``, or ``k>=1``; of pooled nights the cohort.
    name
        Whose lists: ``lists`` for the published ones, a learner's name, or a baseline's.
    against
        Whose lists a ratio is to; empty for nDCG itself.
    """

    group: str
    name: str
    against: str
    value: float | None
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True)
class Replayed:
    """The newest replay: its last day, the last day of training before it, and nDCG by group and name, with ratios."""

    day: date
    trained_until: date
    horizon_days: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Pooled:
    """Nights of newcomers together: the window in days of lists, the nights in which somebody was measured, and nDCG."""

    day: date
    window_days: int
    nights: int
    points: tuple[Point, ...]


def read_replay(settings: Settings) -> Replayed | None:
    """Read the newest replay of newcomers (`docs/tables.md`, replays); None if there is none."""
    reader = open_reader(settings)
    there = reader.days("replays")
    if not there:
        return None
    metrics = [f"ndcg@{settings.evaluation.metric_k}", f"ndcg_ratio@{settings.evaluation.metric_k}"]
    rows = reader.read("replays", there[-1], there[-1], only=ds.field("metric").isin(metrics)).to_pylist()
    if not rows:
        return None
    points = tuple(_point(row, row["group"], row["against"]) for row in rows)
    return Replayed(there[-1], rows[0]["trained_until"], rows[0]["horizon_days"], points)


def read_pooled(settings: Settings) -> list[Pooled]:
    """Read how newcomers were served over the trailing weeks up to the newest measured day, the shortest window first."""
    reader = open_reader(settings)
    there = reader.days("outcomes")
    if not there:
        return []
    only = ds.field("metric") == f"{POOLED}@{settings.evaluation.metric_k}"
    rows = reader.read("outcomes", there[-1], there[-1], only=only).to_pylist()
    windows = sorted({row["window_days"] for row in rows if row["window_days"] is not None})
    found = []
    for window in windows:
        mine = [row for row in rows if row["window_days"] == window]
        nights = max(row["nights"] or 0 for row in mine)
        found.append(Pooled(there[-1], window, nights, tuple(_point(row, row["cohort"], "") for row in mine)))
    return found


def _point(row: dict[str, Any], group: str, against: str) -> Point:
    return Point(group, row["name"], against, row["value"], row["ci_low"], row["ci_high"], row["users"])
