"""The least share of a group holds in every prefix of a list, at the least loss of score."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting
from recpipe.ranking.exposure import Quotas, expose, least_counts, raised
from recpipe.ranking.order import rank

FREE = np.full(8, -1)


def exposed(scores, barred, k, category, most, quotas):
    plain, _ = rank(scores, barred, k, category, most)
    found, points = expose(plain, scores, barred, category, most, quotas)
    return found, plain, points


def listed(scores, groups, k=4, barred=(), category=FREE, most=0):
    """Return one user's list and what stands there for the rule; ``groups`` is (items, share) by group."""
    flags = np.zeros((1, len(scores)), bool)
    flags[0, list(barred)] = True
    members = np.array([[item in items for item in range(len(scores))] for items, _ in groups])
    quotas = Quotas(members, least_counts([share for _, share in groups], k))
    found, plain, _ = exposed(np.array([scores], np.float32), flags, k, np.array(category)[: len(scores)], most, quotas)
    return found[0].tolist(), found[0][raised(found, plain)[0]].tolist()


SCORES = [9, 8, 7, 6, 5, 4, 3, 2]


def test_a_group_has_its_places_as_late_as_the_rule_allows():
    # half of every two, four, … places: one of the first two, two of the first four
    assert listed(SCORES, [({5, 6, 7}, 0.5)]) == ([0, 5, 1, 6], [5, 6])
    assert listed(SCORES, [({5, 6, 7}, 0.25)]) == ([0, 1, 2, 5], [5])


def test_a_list_that_has_what_is_asked_stays_as_it_is():
    assert listed(SCORES, [({0, 3}, 0.5)]) == ([0, 1, 2, 3], [])


def test_a_share_too_small_for_one_place_asks_for_nothing():
    assert listed(SCORES, [({7}, 0.2)]) == ([0, 1, 2, 3], [])


def test_shares_count_as_they_are_written():
    """0.29 × 100 is 28.999… in binary."""
    assert least_counts([0.29, 0.07], 100)[99].tolist() == [29, 7]


def test_what_falls_due_together_is_begun_early_enough():
    """Both groups want one of the first two places: neither can be left to the best item of all."""
    assert listed(SCORES, [({4, 5}, 0.5), ({6, 7}, 0.5)]) == ([4, 6, 5, 7], [4, 6, 5, 7])


def test_an_item_of_two_groups_counts_for_both():
    assert listed(SCORES, [({6}, 0.25), ({6, 7}, 0.25)]) == ([0, 1, 6, 2], [6])


def test_a_group_that_is_used_up_asks_for_no_more():
    assert listed(SCORES, [({5, 6, 7}, 0.5)], barred=[5, 6]) == ([0, 7, 1, 2], [7])
    assert listed(SCORES, [(set(), 0.5)]) == ([0, 1, 2, 3], [])


def test_a_category_holds_only_so_many_still():
    category = [0, 0, 1, 1, 2, 0, 0, 2]
    assert listed(SCORES, [({5, 6}, 0.5)], category=category, most=1) == ([2, 5, 4, -1], [5])


def test_empty_catalogues_and_nobody():
    for users, items in ((2, 0), (0, 8)):
        empty = np.zeros((users, items))
        quotas = Quotas(np.ones((1, items), bool), least_counts([0.5], 3))
        assert exposed(empty, empty > 0, 3, np.full(items, -1), 0, quotas)[0].tolist() == [[-1] * 3] * users


# --- whatever the numbers -----------------------------------------------------------------------------------------


@st.composite
def shops(draw, most_items=9):
    items = draw(st.integers(1, most_items))
    users = draw(st.integers(1, 3))
    groups = draw(st.integers(1, 3))
    bits = st.lists(st.booleans(), min_size=items, max_size=items)
    parts = draw(st.lists(st.integers(1, 6), min_size=groups, max_size=groups))
    whole = max(sum(parts), draw(st.integers(4, 12)))
    return {
        "scores": np.array([draw(st.lists(st.integers(-3, 9), min_size=items, max_size=items)) for _ in range(users)], np.float32),
        "barred": np.array([draw(bits) for _ in range(users)]),
        "members": np.array([draw(bits) for _ in range(groups)]),
        "shares": [round(part / whole - 0.0005, 3) for part in parts],
        "category": np.array(draw(st.lists(st.integers(-1, 2), min_size=items, max_size=items))),
        "most": draw(st.integers(0, 2)),
        "k": draw(st.integers(1, 6)),
    }  # fmt: skip


def eligible(shop, user, prefix):
    """Items that may come next, as a person would find them."""
    used = [shop["category"][item] for item in prefix]
    return [
        item for item in range(shop["scores"].shape[1])
        if not shop["barred"][user, item] and item not in prefix
        and not (shop["most"] and shop["category"][item] >= 0 and used.count(shop["category"][item]) >= shop["most"])
    ]  # fmt: skip


@given(shops())
@rules(max_examples=300, deadline=None)
def test_the_share_holds_in_every_prefix_or_the_group_is_used_up(shop):
    k, quotas = shop["k"], Quotas(shop["members"], least_counts(shop["shares"], shop["k"]))
    found, plain, points = exposed(shop["scores"], shop["barred"], k, shop["category"], shop["most"], quotas)
    for user, row in enumerate(found.tolist()):
        length = sum(item >= 0 for item in row)
        assert row[length:] == [-1] * (k - length)
        for p in range(1, length + 1):
            assert row[p - 1] in eligible(shop, user, row[: p - 1])  # not barred, once, within its category's limit
            for group, least in zip(shop["members"], quotas.least[p - 1], strict=True):
                left = [item for item in eligible(shop, user, row[:p]) if group[item]]
                assert sum(bool(group[item]) for item in row[:p]) >= least or not left
        assert length == k or not eligible(shop, user, row[:length])
        assert points[user, :length] == pytest.approx(shop["scores"][user, row[:length]], abs=1e-4)
        assert {row[p] for p in np.flatnonzero(raised(found, plain)[user])} == set(row[:length]) - set(plain[user].tolist())


@given(shops())
@rules(max_examples=150, deadline=None)
def test_room_in_its_categories_is_kept_for_a_group(shop):
    """Of one group, every prefix has what is asked for, or as much as the limit of categories leaves it at all."""
    k, group, category, most = shop["k"], shop["members"][0], shop["category"], shop["most"]
    quotas = Quotas(group[None], least_counts(shop["shares"][:1], k))
    found = exposed(shop["scores"], shop["barred"], k, category, most, quotas)[0]
    for user, row in enumerate(found.tolist()):
        there = category[group & ~shop["barred"][user]]
        limits = [
            (there == code).sum() if code < 0 or not most else min((there == code).sum(), most) for code in set(there.tolist())
        ]
        for p in range(1, sum(item >= 0 for item in row) + 1):
            assert group[row[:p]].sum() >= min(quotas.least[p - 1, 0], sum(limits))


@given(shops(most_items=6))
@rules(max_examples=60, deadline=None)
def test_no_list_that_keeps_the_rule_has_more_score_in_front(shop):
    """Among all lists of items, without categories and with groups apart: the sum of scores by place is the greatest."""
    shop["members"][1:] &= ~np.maximum.accumulate(shop["members"], axis=0)[:-1]
    k, least = min(shop["k"], 4), least_counts(shop["shares"], 6)
    free = np.full(shop["scores"].shape[1], -1)
    found = exposed(shop["scores"], shop["barred"], k, free, 0, Quotas(shop["members"], least))[0]
    for user, row in enumerate(found.tolist()):
        there = [item for item in range(len(free)) if not shop["barred"][user, item]]
        length = min(k, len(there))
        caps = [int(group[there].sum()) for group in shop["members"]]
        kept = [
            row for row in permutations(there, length)
            if all(group[list(row[:p])].sum() >= min(least[p - 1, g], caps[g])
                   for g, group in enumerate(shop["members"]) for p in range(1, length + 1))
        ]  # fmt: skip
        by_place = 1 / np.log2(np.arange(2, length + 2))
        value = [float(shop["scores"][user, list(one)] @ by_place) for one in kept]
        mine = float(shop["scores"][user, row[:length]] @ by_place) if length else 0.0
        assert tuple(row[:length]) in kept
        assert mine >= max(value, default=0.0) - 1e-6


# --- the setting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"maker=Acme": 0.1}, "'maker=Acme' is no group of items"),
        ({"brand": 0.1}, "'brand' is no group of items"),
        ({"newness=fresh": 0.1}, "'newness=fresh' is no group: newness is one of new, old"),
        ({"newness=new": 0}, "newness=new has the share 0"),
        ({"newness=new": 0.7, "brand=Acme": 0.4}, "the shares come to 1.1 together"),
    ],
)
def test_a_wrong_rule_is_refused_in_a_sentence(tmp_path, wrong, says):
    with pytest.raises(BadSetting, match=f"RECPIPE_LEAST_EXPOSURE: .*{says}"):
        load_settings(home=tmp_path, least_exposure=wrong)


def test_shares_of_one_in_all_are_not_refused(tmp_path):
    assert load_settings(home=tmp_path, least_exposure={"newness=new": 0.7, "brand=a=b": 0.2, "price=low": 0.1})


def test_a_kind_of_group_that_nobody_knows_is_refused(tmp_path):
    with pytest.raises(BadSetting, match=r"RECPIPE_ITEM_GROUPS: .*'colour' is no kind of group; there are category:LEVEL"):
        load_settings(home=tmp_path, item_groups=["brand", "colour"])
    with pytest.raises(BadSetting, match=r"RECPIPE_USER_GROUPS: .*'age' is no kind of group; there are country, platform"):
        load_settings(home=tmp_path, user_groups=["age"])
