"""Accounts of one person: one support from the day on which their link was delivered, and not a day earlier."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_shop import Shop, event, item, open_shop, user

from recpipe.contract import FEW, WARM, ZERO
from recpipe.dataset.as_of import read_known
from recpipe.dataset.cohorts import users_of
from recpipe.dataset.persons import as_persons, link_accounts, merge_accounts

BEFORE, LINKED, MOVED, ENDED = (date(2026, 3, day) for day in (2, 3, 4, 5))


def of(person: str | None, name: str, registered: str, country: str | None = None) -> dict:
    return user(name, registered, country) | {"person_id": person}


@pytest.fixture
def shop(tmp_path) -> Shop:
    """app and web are linked on the third day; web moves to the person of old on the fourth, and is alone on the fifth."""
    shop = open_shop(tmp_path / "home", few_items=2)
    shop.deliver(
        "2026-03-01",
        items=tuple(item(name, colour) for name, colour in (("a", "red"), ("b", "blue"), ("c", "green"))),
        users=(user("app", "2026-01-01 08:00", "France"), user("web", "2026-02-28 08:00"), of("p9", "old", "2026-03-01 09:00")),
        events=(event("app", "a", "purchase", "2026-03-01 10:00"), event(None, "c", "view", "2026-03-01 10:00")),
    )
    shop.deliver(
        "2026-03-02",
        events=(
            event("web", "b", "view", "2026-03-02 10:00"),
            event("web", "b", "return", "2026-03-02 11:00"),
            event("web", None, "search", "2026-03-02 12:00", query="red"),
        ),
    )
    shop.deliver("2026-03-03", users=(of("p1", "app", "2026-01-01 08:00", "France"), of("p1", "web", "2026-02-28 08:00")))
    shop.deliver("2026-03-04", users=(of("p9", "web", "2026-02-28 08:00"),))
    shop.deliver("2026-03-05", users=(of(None, "web", "2026-02-28 08:00"),))
    return shop


def known_by(shop: Shop, day: date) -> dict[str, tuple]:
    """Return cohort, items of the support, search texts and items met of each account."""
    known = read_known(shop.lake.reader(), shop.settings, day)
    found, ids = users_of(known, shop.settings, day), known.evidence.catalogue.item_ids
    own = {}
    for row, name in enumerate(found.user_ids):
        entries = slice(found.support.indptr[row], found.support.indptr[row + 1])
        met = ids[found.met[found.met[:, 0] == row, 1]]
        own[name] = (found.cohort[row], list(ids[found.support.item[entries]]), found.query_texts[row], list(met))
    return own


def test_before_the_link_there_are_two_supports(shop):
    """Though the lake holds the days of the links by now."""
    assert known_by(shop, BEFORE) == {
        "app": (WARM, ["a"], (), ["a"]),
        "old": (ZERO, [], (), []),
        "web": (FEW, ["b"], ("red",), ["b"]),
    }


def test_from_the_link_on_both_have_all_of_the_person(shop):
    """Registered in January, since that was the first account: no longer new."""
    both = (WARM, ["a", "b"], ("red",), ["a", "b"])
    assert known_by(shop, LINKED) == {"app": both, "old": (ZERO, [], (), []), "web": both}


def test_a_link_that_is_corrected_moves_and_ends(shop):
    web = (FEW, ["b"], ("red",), ["b"])
    assert known_by(shop, MOVED) == {"app": (WARM, ["a"], (), ["a"]), "old": web, "web": web}
    assert known_by(shop, ENDED) == {"app": (WARM, ["a"], (), ["a"]), "old": (ZERO, [], (), []), "web": web}


def test_a_learner_sees_one_person(shop):
    evidence = read_known(shop.lake.reader(), shop.settings, LINKED).evidence
    assert list(evidence.history.user_ids) == ["app"]
    assert list(evidence.catalogue.item_ids[evidence.history.item]) == ["a", "b"]
    assert [evidence.history.country_names[code] for code in evidence.history.country] == ["France"]


def test_returns_and_country_are_the_persons(shop):
    found = users_of(read_known(shop.lake.reader(), shop.settings, LINKED), shop.settings, LINKED)
    assert list(found.user_ids) == ["app", "old", "web"]
    assert list(found.person_ids) == ["app", "old", "app"]
    assert list(found.country) == ["France", "", "France"]
    assert found.returns.tolist() == [[0, 1], [2, 1]]


def test_without_labels_everything_is_as_it_was(shop):
    known = read_known(shop.lake.reader(), shop.settings, BEFORE)
    assert link_accounts(known.users) is None
    found = users_of(known, shop.settings, BEFORE)
    assert found.person_ids is found.user_ids


def accounts(labels: list[str | None]) -> pa.Table:
    return pa.table(
        {
            "user_id": [f"u{n:02}" for n in range(len(labels))],
            "registered_at": pa.array(range(len(labels), 0, -1), pa.timestamp("us", tz="UTC")),
            "country": pa.array([None if n % 3 else f"c{n}" for n in range(len(labels))], pa.string()),
            "person_id": pa.array(labels, pa.string()),
        }
    )


@settings(deadline=None)
@given(st.lists(st.sampled_from([None, "x", "y", "z", "u01"]), max_size=12))
def test_who_stands_for_whom_is_what_a_dictionary_says(labels):
    """A label may look like an account's id: it is none, so nothing is followed and nothing can close."""
    users = accounts(labels)
    first: dict[str, str] = {}
    for name, label in zip(users["user_id"].to_pylist(), labels, strict=True):
        first.setdefault(label or name + "!", name)
    expected = [first[label or name + "!"] for name, label in zip(users["user_id"].to_pylist(), labels, strict=True)]
    links, ids = link_accounts(users), users["user_id"].to_numpy(zero_copy_only=False).astype(object)
    assert (links is None) == (len(first) == len(labels))
    assert as_persons(pa.chunked_array([[None, *ids]], pa.string()), links).to_pylist() == [None, *expected]
    merged = merge_accounts(users, links)
    assert merged["user_id"].to_pylist() == sorted(set(expected))
    if links is not None:
        assert list(links.persons_of(ids)) == expected
        for name, registered in zip(
            merged["user_id"].to_pylist(), merged["registered_at"].cast(pa.int64()).to_pylist(), strict=True
        ):
            assert registered == min(len(labels) - n for n, who in enumerate(expected) if who == name)


def test_the_supports_of_accounts_are_copies_in_their_order(shop):
    found = users_of(read_known(shop.lake.reader(), shop.settings, LINKED), shop.settings, LINKED)
    assert found.support.indptr.tolist() == [0, 2, 2, 4]
    assert np.array_equal(found.support_ts[:2], found.support_ts[2:])
    assert np.array_equal(found.support.weight[:2], found.support.weight[2:])
    assert found.support.label.tolist() == [1, 0, 1, 0]
