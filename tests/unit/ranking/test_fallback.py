"""Users of whom nothing is known get the best that is known."""

from __future__ import annotations

from datetime import date

import numpy as np
import pytest
from small_shop import event, item, open_shop, user

from recpipe.dataset.as_of import read_known
from recpipe.ranking.fallback import KINDS, open_fallback

DAY = date(2026, 3, 30)


@pytest.fixture
def known(tmp_path):
    """Items: a sold a year ago, b sells in Malta, c sells to anybody, d is green and never sold, e sold once in Malta."""
    shop = open_shop(tmp_path, min_country_users=3)
    shop.deliver(
        "2025-03-29",
        items=(item("a", "red cup"), item("b", "blue cup"), item("c", "red"), item("d", "green cup"), item("e", "blue")),
        users=(*tuple(user(f"m{n}", "2025-01-01 00:00", "Malta") for n in range(3)), user("s", "2025-01-01 00:00", "Spain")),
        events=(event(None, "c", "purchase", "2025-03-29 10:00"),),
    )
    shop.deliver("2025-04-02", events=(event(None, "a", "purchase", "2025-04-02 10:00"),))
    shop.deliver(
        "2026-03-30",
        events=(
            *(event(f"m{n}", "b", "purchase", "2026-03-30 10:00") for n in range(3)),
            event("m0", "e", "purchase", "2026-03-30 10:00"),
            event("s", "e", "purchase", "2026-03-30 10:00"),
            *(event(None, "c", "purchase", "2026-03-30 10:00", f"c{n}") for n in range(5)),
            event("x", None, "search", "2026-03-30 10:00", query="green cup"),
        ),
    )
    return read_known(shop.lake.reader(), shop.settings, DAY).evidence, shop.settings


@pytest.fixture
def evidence(known):
    return known[0]


@pytest.fixture
def fallback(known):
    return open_fallback(*known)


def order(fallback, country="", texts=()):
    (scores,), (kinds,) = fallback.scores([country], [texts])
    best = sorted(range(5), key=lambda n: (-scores[n], n))
    return [("abcde"[n], KINDS[kinds[n]]) for n in best]


def test_what_sold_in_these_weeks_a_year_ago_is_shown_after_what_sells_now(fallback):
    """Ten sales of the day stand for all that sells now; the one of the season counts a tenth of them, one sale."""
    assert order(fallback) == [
        ("c", "popular"), ("b", "popular"), ("e", "popular"), ("a", "popular_in_season"), ("d", "popular"),
    ]  # fmt: skip
    assert fallback.everywhere[0] == pytest.approx(fallback.everywhere[2] / 5, rel=1e-6)


def test_a_country_with_enough_customers_comes_before_what_sells_everywhere(fallback):
    """Only b was met by two customers of Malta; then as everywhere."""
    assert order(fallback, "Malta") == [
        ("b", "popular_in_country"), ("c", "popular"), ("e", "popular"), ("a", "popular_in_season"), ("d", "popular"),
    ]  # fmt: skip


def test_a_model_of_countries_counts_as_the_fallback_does(fallback, evidence):
    """Malta is trusted for b alone; whoever lives elsewhere gets what is popular everywhere."""
    from recpipe.models.popularity import CountryPopularity

    space = CountryPopularity(least_customers=3, country_weight=5.0).items(evidence)
    assert evidence.history.country_names == ("Malta", "Spain")
    assert list(fallback.country) == ["Malta"]
    np.testing.assert_array_equal(space.vectors > 0, np.stack([fallback.country["Malta"] > 0, np.zeros(5, bool)], axis=1))


def test_a_country_with_few_customers_is_not_trusted(fallback):
    assert order(fallback, "Spain") == order(fallback)


def test_what_was_typed_comes_before_everything(fallback):
    found = order(fallback, "Malta", ("green cup",))
    assert found[0] == ("d", "search")
    assert found[1:3] == [("b", "search"), ("a", "search")]  # cups, of which the popular one first
    assert found[3] == ("c", "popular")  # what is only red has nothing to do with it


def test_newer_texts_count_more(fallback):
    assert order(fallback, "", ("green cup", "red"))[0][0] == "d"
    assert order(fallback, "", ("red", "green cup"))[0][0] == "c"


def test_every_item_has_a_place_and_kinds_do_not_overlap(fallback):
    scores, kinds = fallback.scores(["", "Malta"], [(), ("green cup",)])
    assert scores.shape == kinds.shape == (2, 5)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(np.floor(scores), np.where(kinds > 1, kinds, 0))  # the most popular of all is only popular


def test_without_a_year_of_history_there_is_no_season(tmp_path):
    shop = open_shop(tmp_path)
    shop.deliver("2025-04-02", items=(item("a", "red cup"),), events=(event(None, "a", "purchase", "2025-04-02 10:00"),))
    shop.deliver("2026-03-30")
    known = read_known(shop.lake.reader(), shop.settings, DAY)
    assert not open_fallback(known.evidence, shop.settings).in_season.any()
