"""The faults of lists are counted one by one, against a count that is done by hand or the slow way."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.contract import RECOMMENDATIONS
from recpipe.validation.list_facts import recommendation_facts, sum_facts
from recpipe.validation.suites import LIST_FACTS

DAY = date(2011, 9, 1)
OLD = date(2011, 8, 1)
ITEMS = pa.table(
    {
        "item_id": ["a", "b", "c", "d", "gone", "new"],
        "first_day": pa.array([OLD, OLD, OLD, DAY, OLD, date(2011, 9, 2)], pa.date32()),
        "available": [True, True, True, True, False, True],
        "group": ["x", "x", "x", None, "x", "y"],
    }
)
USERS = pa.array(["u1", "u2", "u3"])
NOTHING_SEEN = pa.table({"user_id": pa.array([], pa.string()), "item_id": pa.array([], pa.string())})
SEEN = pa.table({"user_id": ["u1", "u1", "u1", "u2"], "item_id": ["a", "a", "gone", "b"]})
GOOD = [("u1", "b"), ("u1", "c"), ("u2", "a"), ("u2", "c"), ("u3", "a"), ("u3", "d")]


def lists(pairs: list[tuple[str, str]], **changes: Any) -> pa.Table:
    """Make lists of (user, item) in the order of rank; changes are made to the first row."""
    places: dict[str, int] = {}
    rows = []
    for user, item in pairs:
        rank = places[user] = places.get(user, 0) + 1
        reason = {"kind": "popular", "because_item_ids": []}
        rows.append({"day": DAY, "user_id": user, "rank": rank, "item_id": item, "score": -float(rank), "cohort": "few",
                     "reason": reason, "model_version": "3"})  # fmt: skip
    if rows:
        rows[0] |= changes
    return pa.Table.from_pylist(rows, schema=RECOMMENDATIONS.schema)


def faults(rows: pa.Table, **arguments: Any) -> dict[str, int]:
    """Return the counts that are not zero."""
    given_ = {"day": DAY, "users": USERS, "items": ITEMS, "seen": SEEN, "top_k": 2, "model_version": "3"} | arguments
    facts = recommendation_facts(rows, **given_)
    assert set(facts) == {*LIST_FACTS, "users", "eligible_items"}
    return {name: facts[name] for name in LIST_FACTS if facts[name]}


def test_good_lists_have_no_fault() -> None:
    assert faults(lists(GOOD)) == {}
    assert faults(lists(GOOD).take([5, 0, 3, 1, 4, 2])) == {}  # in any order


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (lists(GOOD[:4]), {"users_without_list": 1}),
        (lists(GOOD[:5]), {"short_lists": 1}),
        (lists([*GOOD, ("u3", "b")]), {"short_lists": 1}),
        (lists([*GOOD, ("u9", "a"), ("u9", "b")]), {"unknown_users": 1}),
        (lists(GOOD, rank=3, score=-3.0), {"gaps_in_ranks": 1}),
        (lists(GOOD, rank=2, score=-2.0), {"gaps_in_ranks": 1}),
        (lists(GOOD, item_id="c"), {"repeated_items": 1}),
        (lists(GOOD, item_id="a"), {"seen_items": 1}),
        (lists(GOOD, item_id="new"), {"later_items": 1}),
        (lists(GOOD, item_id="never delivered"), {"later_items": 1}),
        (lists([*GOOD[2:], ("u1", "b"), ("u1", "gone")]), {"seen_items": 1, "unavailable_items": 1}),
        (lists(GOOD, model_version="2"), {"other_model_versions": 1}),
        (lists(GOOD, cohort="warm"), {"mixed_cohorts": 1}),
        (lists(GOOD, score=-9.0), {"rising_scores": 1}),
    ],
)  # fmt: skip
def test_each_fault_is_counted(rows: pa.Table, found: dict[str, int]) -> None:
    assert faults(rows) == found


def test_lists_hold_all_eligible_items_where_those_are_fewer_than_k() -> None:
    whole = [("u1", "b"), ("u1", "c"), ("u1", "d"), ("u2", "a"), ("u2", "c"), ("u2", "d"),
             ("u3", "a"), ("u3", "b"), ("u3", "c"), ("u3", "d")]  # fmt: skip
    assert faults(lists(whole), top_k=20) == {}
    assert faults(lists(whole[:-1]), top_k=20) == {"short_lists": 1}


def test_a_limit_by_group_makes_lists_shorter() -> None:
    assert (
        faults(lists([("u1", "b"), ("u1", "d"), ("u2", "c"), ("u2", "d"), ("u3", "a"), ("u3", "d")]), top_k=20, max_per_group=1)
        == {}
    )
    assert faults(lists(GOOD), top_k=20, max_per_group=2)["short_lists"] == 3


def test_lists_with_too_much_of_a_group_are_counted() -> None:
    """u1 and u2 have two of x each; d has no group; of an item that nobody knows no group is known either."""
    rows = lists([("u1", "b"), ("u1", "c"), ("u2", "a"), ("u2", "c"), ("u2", "d"), ("u3", "a"), ("u3", "d"), ("u3", "?")])
    assert faults(rows, top_k=20, max_per_group=1)["lists_over_category_limit"] == 2
    assert "lists_over_category_limit" not in faults(rows, top_k=20, max_per_group=2)
    assert "lists_over_category_limit" not in faults(rows, top_k=20, items=ITEMS.drop_columns("group"))


def test_drawn_places_are_counted_and_have_scores_of_their_own() -> None:
    drawn = {"score": -9.0, "reason": {"kind": "new_item", "because_item_ids": []}}
    assert faults(lists(GOOD, **drawn)) == {"lists_over_exploration": 1}
    assert faults(lists(GOOD, **drawn), explore_places=1) == {}
    assert faults(lists(GOOD, score=-9.0)) == {"rising_scores": 1}


def test_a_catalogue_without_items_needs_no_lists() -> None:
    assert faults(lists([]), items=ITEMS.slice(0, 0), seen=NOTHING_SEEN) == {}
    assert faults(lists([]), items=ITEMS.slice(0, 0)) == {}


def test_what_was_seen_is_not_eligible() -> None:
    seen = pa.table({"user_id": ["u1"] * 4, "item_id": ["a", "b", "c", "d"]})
    assert faults(lists(GOOD[2:]), seen=seen, users=USERS) == {}


PAIR = st.tuples(st.sampled_from(["u1", "u2", "u3", "u9"]), st.sampled_from(ITEMS["item_id"].to_pylist()))


@settings(max_examples=60, deadline=None)
@given(st.lists(PAIR, max_size=12), st.lists(PAIR, max_size=8), st.integers(1, 4), st.integers(0, 2))
def test_counts_are_those_of_the_slow_way_and_add_up_over_shards(
    pairs: list[tuple[str, str]], met: list[tuple[str, str]], top_k: int, limit: int
) -> None:
    seen = pa.table(
        {"user_id": pa.array([u for u, _ in met], pa.string()), "item_id": pa.array([i for _, i in met], pa.string())}
    )
    rules: dict[str, Any] = {
        "day": DAY,
        "items": ITEMS,
        "seen": seen,
        "top_k": top_k,
        "model_version": "3",
        "max_per_group": limit,
    }
    found = recommendation_facts(lists(pairs), users=USERS, **rules)
    assert {name: found[name] for name in ("seen_items", "short_lists", "users_without_list", "repeated_items")} == _slowly(
        pairs, set(met), top_k, limit
    )
    shards = [
        recommendation_facts(lists([p for p in pairs if p[0] in members]), users=pa.array(sorted(known)), **rules)
        for members, known in (({"u1", "u9"}, {"u1"}), ({"u2", "u3"}, {"u2", "u3"}))
    ]
    assert sum_facts(shards) == found


def _slowly(pairs: list[tuple[str, str]], met: set[tuple[str, str]], top_k: int, limit: int) -> dict[str, int]:
    groups = {"a": "x", "b": "x", "c": "x", "d": None}
    short = without = 0
    for user in USERS.to_pylist():
        left = [groups[item] for item in groups if (user, item) not in met]
        free = left.count(None)
        wanted = min(top_k, free + (min(limit, left.count("x")) if limit else left.count("x")))
        length = sum(u == user for u, _ in pairs)
        without += length == 0 and wanted > 0
        short += length > 0 and length != wanted
    return {
        "seen_items": sum(pair in met for pair in pairs if pair[0] != "u9"),
        "short_lists": short,
        "users_without_list": without,
        "repeated_items": len(pairs) - len(set(pairs)),
    }
