"""The measures of a replay: the rows of ``replays``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import REPLAYS
from recpipe.evaluation.replay.replay_groups import GROUPS
from recpipe.evaluation.replay.replay_newcomers import Newcomers, read_newcomers
from recpipe.evaluation.replay.replay_stages import BASELINES, Stage, folders_of, open_stage, with_users
from recpipe.lake.reader import Reader
from recpipe.metrics.cluster_intervals import clustered_gain, clustered_interval
from recpipe.metrics.intervals import Gain, Interval, seed_of
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.ranking import hit_rate, hits, recall
from recpipe.reports.series import TOGETHER

Values = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Replay:
    """What was measured.

    Attributes
    ----------
    trained_until, day
        The last day before the cut, and the last day that was looked at.
    came
        Persons who registered since the cut.
    rows
        Rows of ``replays``.
    """

    trained_until: date
    day: date
    came: int
    rows: pa.Table = field(repr=False)


def measure(settings: Settings, reader: Reader, trained_until: date, day: date, model: Path) -> Replay:
    """Serve who came after a day as if new, with a model that was trained up to that day, and measure the lists.

    Parameters
    ----------
    settings
        Rules of the lists, cut-off, draws, fewest users.
    reader
        Sees the lake.
    trained_until
        The last day before the cut.
    day
        The last day of behaviour.
    model
        What `recpipe train` wrote from an input that ends with ``trained_until``.
    """
    stage = open_stage(reader, settings, trained_until.isoformat())
    found = read_newcomers(reader, settings, stage.known.evidence, trained_until, day)
    served = _served(with_users(stage, reader, found.users), found, model)
    rows = list(_rows(settings, trained_until, day, found, served))
    return Replay(trained_until, day, found.came, pa.Table.from_pylist(rows, schema=REPLAYS.schema))


def _served(stage: Stage, found: Newcomers, model: Path) -> dict[str, Values]:
    """Return by name of the lists what each metric says of each row."""
    served = {name: _quality(stage, found, stage.lists_of(folder, found.users)) for name, folder in folders_of(model).items()}
    for name, forms in BASELINES.items():
        tried = [_quality(stage, found, stage.baseline_lists(form, found.users)) for form in forms]
        served[name] = _best_of_each_size(tried, found.k)
    return served


def _quality(stage: Stage, found: Newcomers, lists: NDArray[np.int64]) -> Values:
    hit, taken, k = hits(lists, found.truth), found.truth.size, stage.settings.evaluation.metric_k
    return {"ndcg": ndcg(hit, taken, k), "recall": recall(hit, taken, k), "hit_rate": hit_rate(hit, taken, k)}


def _best_of_each_size(tried: list[Values], size: NDArray[np.int64]) -> Values:
    """Return at each size of the support the form with the greatest nDCG: chosen afterwards, which is more than it could be."""
    best = {name: values.copy() for name, values in tried[0].items()}
    for k in np.unique(size):
        rows = size == k
        chosen = max(tried, key=lambda one: float(one["ndcg"][rows].mean()))  # asked at once
        for name, values in best.items():
            values[rows] = chosen[name][rows]
    return best


def _rows(
    settings: Settings, trained_until: date, day: date, found: Newcomers, served: Mapping[str, Values]
) -> Iterator[dict[str, Any]]:
    cut = settings.evaluation.metric_k

    def row(group: str, metric: str, name: str, against: str, what: Interval) -> dict[str, Any]:
        about = {"day": day, "trained_until": trained_until, "horizon_days": settings.replay.replay_horizon_days}
        numbers = {"value": what.value, "ci_low": what.low, "ci_high": what.high, "users": what.users}
        return {**about, "group": group, "metric": f"{metric}@{cut}", "name": name, "against": against, **numbers}

    for group in GROUPS:
        rows = np.flatnonzero(found.k > 0 if group == TOGETHER else found.k == int(group[2:]))
        drawn = _Drawn(settings, day, group, found.person[rows], found.k[rows])
        for name, values in served.items():
            for metric, value in values.items():
                yield row(group, metric, name, "", drawn.mean(value[rows], metric))
        for name, against in _pairs(served):
            gain = drawn.gain(served[name]["ndcg"][rows], served[against]["ndcg"][rows])
            yield row(group, "ndcg_ratio", name, against, _ratio(gain))


def _pairs(served: Mapping[str, Values]) -> Iterator[tuple[str, str]]:
    """Yield who is compared with whom: what was trained with the baselines, and the network with the closed form beside it."""
    trained = [name for name in served if name not in BASELINES]
    for place, name in enumerate(trained):
        for against in (*BASELINES, *trained[place + 1 :]):
            yield name, against


def _ratio(gain: Gain) -> Interval:
    value, low, high = (None if end is None else 1 + end for end in (gain.relative, gain.low, gain.high))
    return Interval(value, low, high, gain.users)


@dataclass(frozen=True)
class _Drawn:
    """The persons of a group, drawn alike for all names."""

    settings: Settings
    day: date
    group: str
    person: NDArray[np.int64]
    size: NDArray[np.int64]

    def mean(self, values: NDArray[np.float64], metric: str) -> Interval:
        rng = seed_of(self.settings.training.seed, self.day, "replay", self.group, metric)
        return clustered_interval(
            values, self.person, self.settings.evaluation.bootstrap_draws, rng, self.settings.evaluation.min_users, self.size
        )

    def gain(self, mine: NDArray[np.float64], theirs: NDArray[np.float64]) -> Gain:
        rng = seed_of(self.settings.training.seed, self.day, "replay", self.group, "gain")
        draws, least = self.settings.evaluation.bootstrap_draws, self.settings.evaluation.min_users
        return clustered_gain(mine, theirs, self.person, draws, rng, least, self.size)
