"""Exposure by group of items, and quality by group of users (docs/fairness.md).

Exposure is Singh & Joachims' (2018, "Fairness of exposure in rankings", section 3): a place of rank r gets the attention
1 / log2(r + 1), that of nDCG, and a group has the share of the attention that its items have. It stands beside the group's share of
the catalogue (their demographic parity, section 4.1), and of what is sold and met (exposure in proportion to merit: their disparate
treatment, section 4.2, with what people did as the merit).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.history import Evidence
from recpipe.dataset.item_groups import NO_GROUP, ItemGroups, item_groups, sales_of
from recpipe.evaluation.ranked_lists import Published
from recpipe.lake.reader import Reader
from recpipe.metrics.intervals import Interval, ends_or_none, greatest_gap, mean_interval, seed_of, sum_draws
from recpipe.metrics.ranking import PAD, Truth

MOST_GROUPS: Final = 20
"""Groups of a kind that have rows of their own: the most exposed, or those of the most users; the others are one, the rest."""
REST, NONE = "(rest)", "(none)"
QUALITY: Final = ("ndcg", "recall", "hit_rate")


@dataclass(frozen=True)
class GroupRow:
    """One number of one group.

    Attributes
    ----------
    group
        ``kind=name``; ``kind (rest)`` for the groups without rows of their own, ``kind (none)`` for items or users of which it is not
        known; the kind alone for what is said of all its groups.
    metric
        As in ``outcomes``.
    found
        Number and interval.
    """

    group: str
    metric: str
    found: Interval


@dataclass(frozen=True)
class Shown:
    """What was shown to whom, and what came of it; entry u of everything is the same user.

    Attributes
    ----------
    settings
        Kinds of groups, cut-off, draws, fewest users.
    day, lists_day
        Last day of the behaviour, day of the lists.
    evidence, categories
        As of the lists' day; paths of the items as the rules of the lists have them.
    made, truth
        The published lists, and what their users newly met.
    quality
        (users,) by name of a metric of users, NaN where nothing was met.
    """

    settings: Settings
    day: date
    lists_day: date
    evidence: Evidence
    categories: Sequence[tuple[str, ...]]
    made: Published
    truth: Truth
    quality: Mapping[str, NDArray[np.float64]]


def measure_groups(shown: Shown, reader: Reader) -> list[GroupRow]:
    """Measure the item groups and user groups that the settings name, and those that a least exposure is set for."""
    settings = shown.settings
    constrained = [group.partition("=")[0] for group in settings.fairness.least_exposure]
    rows: list[GroupRow] = []
    for kind in dict.fromkeys([*settings.fairness.item_groups, *constrained]):
        rows += _item_rows(shown, item_groups(kind, shown.evidence, shown.categories, settings, reader, shown.lists_day))
    for kind in settings.fairness.user_groups:
        rows += _user_rows(shown, kind, _names_of(shown, reader, kind))
    return rows


# --- items --------------------------------------------------------------------------------------------------------


def attention(lists: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (users, K) the share of a user's attention that each place of the list has; sums to 1 unless the list is empty."""
    weight = np.where(lists != PAD, 1 / np.log2(np.arange(2, lists.shape[1] + 2)), 0.0)
    total = weight.sum(axis=1, keepdims=True)
    return np.asarray(np.divide(weight, total, out=np.zeros_like(weight), where=total > 0))


def _item_rows(shown: Shown, groups: ItemGroups) -> Iterator[GroupRow]:
    lists, share = shown.made.lists, attention(shown.made.lists)
    if (groups.code == NO_GROUP).all():
        return  # the shop does not deliver it
    names, code = _kept(shown, groups, share)
    user = np.arange(len(lists))
    exposed = _by_user(np.repeat(user, lists.shape[1]), code[lists.ravel()], share.ravel(), (len(lists), len(names)))
    owner, taken = np.repeat(user, shown.truth.size), code[shown.truth.item]
    met = _by_user(owner, taken, np.ones(len(owner)), (len(lists), len(names)))
    listed = share.sum(axis=1) > 0
    columns = np.column_stack([exposed, met, listed, shown.truth.size]).astype(np.float64)
    drawn = sum_draws(
        columns, shown.settings.evaluation.bootstrap_draws, seed_of(shown.settings.training.seed, shown.day, "exposure")
    )
    counted = _Counted(len(names), columns.sum(axis=0), drawn, int(listed.sum()), int((listed & (shown.truth.size > 0)).sum()))
    on_sale = np.bincount(code[shown.evidence.catalogue.available], minlength=len(names))
    sold = np.bincount(code, sales_of(shown.evidence), len(names))
    for place, name in enumerate(names):
        if on_sale[place] or sold[place] or counted.total[place]:
            yield from _rows_of(shown, name, counted, place, _share(on_sale, place), _share(sold, place))


def _by_user(
    user: NDArray[np.intp], group: NDArray[np.int64], value: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    cells = np.bincount(user * shape[1] + group, value, shape[0] * shape[1])
    return np.asarray(cells.reshape(shape), np.float64)  # whole numbers where there is no user


def _kept(shown: Shown, groups: ItemGroups, share: NDArray[np.float64]) -> tuple[list[str], NDArray[np.int64]]:
    """Return names of the groups that have rows, and (items,) the place of each item among them.

    The most exposed have (of equal ones the most sold, then the first by name), and those that a least exposure is set for.
    """
    many = len(groups.names)
    code = np.where(groups.code == NO_GROUP, many, groups.code)
    exposure = np.bincount(code[shown.made.lists.ravel()], share.ravel(), many + 1)
    sold = np.bincount(code, sales_of(shown.evidence), many + 1)
    order = sorted(range(many), key=lambda one: (-exposure[one], -sold[one], groups.names[one]))
    wanted = {one for one in order if f"{groups.kind}={groups.names[one]}" in shown.settings.fairness.least_exposure}
    kept = [one for place, one in enumerate(order) if place < MOST_GROUPS or one in wanted]
    kept = sorted(kept) if groups.in_order else kept
    place = np.full(many + 1, len(kept))
    place[-1] = len(kept) + 1
    place[kept] = np.arange(len(kept))
    return [*(f"{groups.kind}={groups.names[one]}" for one in kept), f"{groups.kind} {REST}", f"{groups.kind} {NONE}"], place[
        code
    ]


@dataclass(frozen=True)
class _Counted:
    """Sums over users, and over the users of each draw: exposure by group, items met by group, users listed, items met."""

    groups: int
    total: NDArray[np.float64]
    drawn: NDArray[np.float64]
    listed: int
    measured: int

    def ratio(self, above: Sequence[int], below: Sequence[int], least: int, users: int) -> Interval:
        """Return product of some columns over product of others; an end of the interval that is endless is None."""
        value = self.total[list(above)].prod(), self.total[list(below)].prod()
        if users < max(least, 1) or not value[1]:
            return Interval(None, None, None, users)
        over, under = self.drawn[:, list(above)].prod(axis=1), self.drawn[:, list(below)].prod(axis=1)
        ratios = np.divide(over, under, out=np.where(over > 0, np.inf, 0.0), where=under > 0)
        return Interval(float(value[0] / value[1]), *ends_or_none(ratios), users)


def _rows_of(
    shown: Shown, group: str, counted: _Counted, place: int, catalogue: float | None, sales: float | None
) -> Iterator[GroupRow]:
    k, least, groups = shown.settings.evaluation.metric_k, shown.settings.evaluation.min_users, counted.groups
    met, listed, all_met = groups + place, 2 * groups, 2 * groups + 1
    exposure = counted.ratio([place], [listed], least, counted.listed)
    yield GroupRow(group, f"exposure@{k}", exposure)
    enough = exposure.value is not None
    for metric, share in (("catalogue_share", catalogue), ("sales_share", sales)):
        yield GroupRow(group, metric, Interval(share if enough else None, None, None, counted.listed))
    yield GroupRow(group, "met_share", counted.ratio([met], [all_met], least, counted.measured))
    yield GroupRow(group, f"exposure_to_sales@{k}", _over(exposure, sales))
    yield GroupRow(group, f"exposure_to_met@{k}", counted.ratio([place, all_met], [listed, met], least, counted.measured))


def _over(found: Interval, share: float | None) -> Interval:
    """Divide by what is known, not drawn."""
    if not share or found.value is None or found.low is None or found.high is None:
        return Interval(None, None, None, found.users)
    return Interval(found.value / share, found.low / share, found.high / share, found.users)


def _share(counts: NDArray[np.number], place: int) -> float | None:
    total = float(counts.sum())
    return float(counts[place]) / total if total else None


# --- users --------------------------------------------------------------------------------------------------------


def _names_of(shown: Shown, reader: Reader, kind: str) -> list[str]:
    """Return (users,) the name of each user's group; empty where it is not known."""
    if kind == "cohort":
        return [str(cohort) for cohort in shown.made.cohort]
    column, _, key = kind.partition(".")
    rows = reader.as_of("users", shown.lists_day, ["day", "user_id", column])
    place = pc.index_in(pa.array(shown.made.user_ids, pa.string()), value_set=rows["user_id"].combine_chunks())
    values = rows[column].take(place).to_pylist()
    return [(dict(value or ()).get(key) if key else value) or "" for value in values]


def _user_rows(shown: Shown, kind: str, names: Sequence[str]) -> Iterator[GroupRow]:
    if not any(names):
        return  # the shop does not deliver it
    k, least, draws = (
        shown.settings.evaluation.metric_k,
        max(shown.settings.evaluation.min_users, 1),
        shown.settings.evaluation.bootstrap_draws,
    )
    groups = _users_of(kind, names, least)
    for metric in QUALITY:
        found = {}
        for group, mine in groups.items():
            values, rng = shown.quality[metric][mine], _seed(shown, group, metric)
            yield GroupRow(group, f"group_{metric}@{k}", mean_interval(values, draws, rng, least))
            found[group] = values[~np.isnan(values)]
        compared = {group: values for group, values in found.items() if "=" in group and len(values) >= least}
        seeds = [_seed(shown, group, metric) for group in compared]
        yield GroupRow(kind, f"gap_{metric}@{k}", greatest_gap(list(compared.values()), draws, seeds))


def _seed(shown: Shown, group: str, metric: str) -> np.random.Generator:
    return seed_of(shown.settings.training.seed, shown.day, group, metric)


def _users_of(kind: str, names: Sequence[str], least: int) -> dict[str, NDArray[np.bool_]]:
    """Return which users are in which group.

    A group of fewer users with a list than ``least`` has no rows of its own: its name could point at a person.
    """
    known = np.array(names, object)
    values, sizes = np.unique(known[known != ""].astype(str), return_counts=True)
    order = sorted(range(len(values)), key=lambda place: (-sizes[place], values[place]))
    kept = [str(values[place]) for place in order if sizes[place] >= least][:MOST_GROUPS]
    groups = {f"{kind}={name}": known == name for name in kept}
    others = {f"{kind} {REST}": (known != "") & ~np.isin(known.astype(str), kept), f"{kind} {NONE}": known == ""}
    return groups | {group: np.asarray(mine) for group, mine in others.items() if mine.any()}
