"""The counts of faults in the lists of a night: the facts behind the suite of ``recommendations``."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.contract import NEW_ITEM

Codes = NDArray[np.int64]
Flags = NDArray[np.bool_]


def recommendation_facts(
    rows: pa.Table,
    *,
    day: date,
    users: pa.Array,
    items: pa.Table,
    seen: pa.Table,
    top_k: int,
    model_version: str,
    max_per_group: int = 0,
    explore_places: int = 0,
    barred: tuple[Codes, Flags] | None = None,
) -> dict[str, int]:
    """Count the faults in the lists of some users, from the tables and not from the ranking's own arrays.

    The counts of disjoint sets of users (shards) add up: see `sum_facts`.

    Parameters
    ----------
    rows
        Whole lists in the schema of ``recommendations``, any order.
    day
        The lists' day.
    users
        Ids of all users that must have a list: of this shard, where ``rows`` are those of a shard.
    items
        The catalogue as of the day: ``item_id``, ``first_day`` (date), ``available`` and, where ``max_per_group``
        is set, ``group`` (text or number; null: not limited).
    seen
        ``user_id``, ``item_id``: what users have met and lists may therefore not hold; without rows where lists may.
    top_k
        Items of a full list.
    model_version
        The night's model version.
    max_per_group
        Most items of one group in a list; 0: no limit.
    explore_places
        Most places of a list that may be given to new items by a draw.
    barred
        Kind of each of ``users``, and (kinds, items): what the shop's knowledge bars users of that kind from; None: nothing.

    Returns
    -------
    dict
        Numbers of lists (``users_without_list``, ``unknown_users``, ``short_lists``, ``gaps_in_ranks``,
        ``mixed_cohorts``, ``lists_over_category_limit``, ``lists_over_exploration``, ``rising_scores``) and of rows (``repeated_items``, ``seen_items``, ``later_items``,
        ``unavailable_items``, ``barred_items``, ``other_model_versions``), and ``users`` and ``eligible_items`` for the page.
    """
    eligible = _eligible(items, day)
    lists, ranked = _read(rows, users, items), _read(rows.filter(pc.invert(_drawn(rows))), users, items)
    kind, refused = barred or (np.zeros(len(users), np.int64), np.zeros((1, len(items)), np.bool_))
    wanted = np.minimum(top_k, _eligible_by_kind(users, items, eligible, seen, max_per_group, kind, refused))
    length = np.bincount(lists.user[lists.user >= 0], minlength=len(users))
    known = lists.item >= 0
    both = known & (lists.user >= 0)
    first_day = _dense(items.column("first_day")).to_numpy(zero_copy_only=False)
    available = np.append(_flags(items.column("available")), True)  # the last one stands for unknown items
    return {
        "users": len(users),
        "eligible_items": int(eligible.sum()),
        "users_without_list": int(((length == 0) & (wanted > 0)).sum()),
        "short_lists": int(((length > 0) & (length != wanted)).sum()),
        "unknown_users": _lists_with(lists, lists.user < 0),
        "gaps_in_ranks": _lists_with(lists, lists.rank != _place(lists.list_number) + 1),
        "repeated_items": _repeated(lists.list_number, _dense(rows.column("item_id")).take(pa.array(lists.order))),
        "seen_items": int(np.isin(_pairs(lists.user, lists.item, len(items)), _seen_pairs(users, items, seen)).sum()),
        "later_items": int((~known).sum() + (first_day[lists.item[known]] > np.datetime64(day)).sum()),
        "unavailable_items": int((~available[lists.item]).sum()),
        "barred_items": int(refused[kind[lists.user[both]], lists.item[both]].sum()),
        "other_model_versions": int((~_flags(pc.equal(rows.column("model_version"), model_version))).sum()),
        "mixed_cohorts": _lists_with(lists, _changes(lists, lists.cohort[1:] != lists.cohort[:-1])),
        "lists_over_category_limit": _over_limit(lists, items, max_per_group),
        "lists_over_exploration": _drawn_too_often(rows, explore_places),
        "rising_scores": _lists_with(ranked, _changes(ranked, ranked.score[1:] > ranked.score[:-1])),
    }


def sum_facts(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add up the counts of disjoint sets of users, of one catalogue."""
    total: dict[str, int] = {}
    for part in parts:
        for name, value in part.items():
            total[name] = max(total.get(name, 0), value) if name == "eligible_items" else total.get(name, 0) + value
    return total


@dataclass(frozen=True)
class _Lists:
    """Rows by user and rank; ``user`` and ``item`` are places in the given tables, -1 where they are unknown there."""

    order: Codes
    list_number: Codes
    user: Codes
    item: Codes
    rank: Codes
    score: NDArray[np.float64]
    cohort: Codes


def _read(rows: pa.Table, users: pa.Array, items: pa.Table) -> _Lists:
    number = _codes(rows.column("user_id"))
    rank = np.asarray(rows.column("rank").to_numpy(), dtype=np.int64)
    order = np.lexsort((rank, number))
    return _Lists(
        order,
        number[order],
        _places(rows.column("user_id"), users)[order],
        _places(rows.column("item_id"), items.column("item_id"))[order],
        rank[order],
        np.asarray(rows.column("score").to_numpy(), dtype=np.float64)[order],
        _codes(rows.column("cohort"))[order],
    )


def _dense(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _codes(column: pa.ChunkedArray) -> Codes:
    return np.asarray(_dense(column).dictionary_encode().indices.fill_null(-1).to_numpy(), dtype=np.int64)


def _places(values: pa.ChunkedArray, among: pa.Array | pa.ChunkedArray) -> Codes:
    found = pc.index_in(_dense(values), value_set=_dense(among))
    return np.asarray(found.fill_null(-1).to_numpy(zero_copy_only=False), dtype=np.int64)


def _flags(column: pa.Array | pa.ChunkedArray) -> Flags:
    return np.asarray(_dense(column).fill_null(False).to_numpy(zero_copy_only=False), dtype=bool)


def _place(number: Codes) -> Codes:
    """Return the place, from 0, of each row within its run of equal numbers."""
    start = np.flatnonzero(np.append(True, number[1:] != number[:-1])) if len(number) else np.zeros(0, dtype=np.int64)
    return np.arange(len(number)) - np.repeat(start, np.diff(np.append(start, len(number))))


def _changes(lists: _Lists, differs: Flags) -> Flags:
    """Return which rows differ, in the given way, from the row before them in the same list."""
    same_list = lists.list_number[1:] == lists.list_number[:-1]
    return np.append(np.zeros(min(1, len(lists.order)), dtype=bool), differs & same_list)


def _lists_with(lists: _Lists, rows: Flags) -> int:
    return len(np.unique(lists.list_number[rows]))


def _over_limit(lists: _Lists, items: pa.Table, most: int) -> int:
    """Count the lists with more items of one group than allowed; 0: no limit."""
    if most == 0:
        return 0
    code = _codes(items.column("group"))
    group = np.append(code, -1)[lists.item]  # the last one stands for unknown items
    groups = int(code.max(initial=0)) + 1
    cell, size = np.unique((lists.list_number * groups + group)[group >= 0], return_counts=True)
    return len(np.unique(cell[size > most] // groups))


def _drawn(rows: pa.Table) -> pa.ChunkedArray:
    """Return which rows a draw of new items placed."""
    return pc.equal(pc.struct_field(rows.column("reason"), "kind"), NEW_ITEM)


def _drawn_too_often(rows: pa.Table, most: int) -> int:
    """Count the lists in which more places than allowed were given to a draw."""
    counts = pc.value_counts(_dense(rows.filter(_drawn(rows)).column("user_id")))
    return int(pc.sum(pc.greater(counts.field("counts"), most)).as_py() or 0)


def _repeated(number: Codes, items: pa.Array) -> int:
    pairs = pa.table({"list": number, "item": items})
    return int(pairs.num_rows) - int(pairs.group_by(["list", "item"]).aggregate([]).num_rows)


def _pairs(user: Codes, item: Codes, items: int) -> Codes:
    return np.where((user >= 0) & (item >= 0), user * items + item, -1)


def _seen_pairs(users: pa.Array, items: pa.Table, seen: pa.Table) -> Codes:
    """Return the known (user, item) pairs of ``seen``, each once, as user · items + item."""
    user, item = _places(seen.column("user_id"), users), _places(seen.column("item_id"), items.column("item_id"))
    pairs = np.unique(_pairs(user, item, len(items)))
    return pairs[pairs >= 0]


def _eligible(items: pa.Table, day: date) -> Flags:
    return _flags(pc.and_(items.column("available"), pc.less_equal(items.column("first_day"), day)))


def _eligible_by_kind(
    users: pa.Array, items: pa.Table, eligible: Flags, seen: pa.Table, max_per_group: int, kind: Codes, refused: Flags
) -> Codes:
    """Return what `_eligible_per_user` does where users of different kinds are barred from different items."""
    found = np.zeros(len(users), np.int64)
    alike: dict[bytes, list[int]] = {}
    for at, row in enumerate(refused):
        alike.setdefault(row.tobytes(), []).append(at)
    for kinds in alike.values():
        mine, some = np.flatnonzero(np.isin(kind, kinds)), refused[kinds[0]]
        found[mine] = _eligible_per_user(users.take(pa.array(mine)), items, eligible & ~some, seen, max_per_group)
    return found


def _eligible_per_user(users: pa.Array, items: pa.Table, eligible: Flags, seen: pa.Table, max_per_group: int) -> Codes:
    """Return how many items each user's list could hold: eligible, not seen, and no more of a group than allowed."""
    group, limit = _groups(items, max_per_group)
    in_group = np.bincount(group[eligible], minlength=len(limit))
    pairs = _seen_pairs(users, items, seen)
    user, item = np.divmod(pairs, max(len(items), 1))
    cell, taken = np.unique((user * len(limit) + group[item])[eligible[item]], return_counts=True)
    owner, of_group = np.divmod(cell, max(len(limit), 1))
    full = np.minimum(in_group, limit)
    lost = full[of_group] - np.minimum(in_group[of_group] - taken, limit[of_group])
    return np.asarray(full.sum() - np.bincount(owner, weights=lost, minlength=len(users)), dtype=np.int64)


def _groups(items: pa.Table, max_per_group: int) -> tuple[Codes, Codes]:
    """Return the group of each item, and how many items of each group a list may hold; group 0 is not limited."""
    if max_per_group == 0:
        return np.zeros(len(items), dtype=np.int64), np.array([len(items)], dtype=np.int64)
    group = _codes(items.column("group")) + 1
    limit = np.full(group.max(initial=0) + 1, max_per_group, dtype=np.int64)
    limit[0] = len(items)
    return group, limit
