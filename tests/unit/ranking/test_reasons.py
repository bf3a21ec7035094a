"""A reason names what brought the item, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.dataset.support import Support
from recpipe.models.base import ItemSpace, score
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.ranking import reasons

ITEMS = 12
SIMILAR = np.round(np.random.default_rng(1).uniform(-0.3, 1, (ITEMS, ITEMS)), 3).astype(np.float32)


def support(*users: list[tuple[int, float, float]]) -> Support:
    """Users are lists of (item, label, weight)."""
    entries = [entry for user in users for entry in user]
    item, label, weight = (np.array([entry[n] for entry in entries]) for n in range(3))
    indptr = np.concatenate([[0], np.cumsum([len(user) for user in users])]).astype(np.int64)
    return Support(
        indptr, item.astype(np.int32), label.astype(np.float32), weight.astype(np.float32), np.zeros(len(item), np.float32)
    )


def space(bias: float = 0.0) -> ItemSpace:
    return ItemSpace(sp.csr_matrix(np.maximum(SIMILAR, 0)), np.full(ITEMS, bias, np.float32))


def because(learner, place, given_, lists):
    return reasons.because(learner, place, given_, lists, reasons.brought_by_any(learner, place))


class Sum:
    """The plain linear learner: a user is the weighted sum of the vectors of what was met."""

    name = "sum"

    def adapt(self, space, support):
        return np.asarray(support.matrix(len(space.bias)) @ space.vectors, np.float32)


def test_the_two_items_that_bring_most_are_named():
    similar = np.zeros((ITEMS, ITEMS), np.float32)
    similar[9, [0, 1, 2]] = 0.9, 0.5, 0.1
    similar[10, [0, 2]] = 0.1, 0.9
    place = ItemSpace(sp.csr_matrix(similar), np.zeros(ITEMS, np.float32))
    given_ = support([(0, 1, 1.0), (1, 1, 1.0), (2, 1, 1.0)])
    assert because(ItemKNN(), place, given_, np.array([[9, 10, 11, -1]])).tolist() == [[[0, 1], [2, -1], [-1, -1], [-1, -1]]]


def test_weights_count():
    """Item 0 is more like item 9, but it was only looked at, long ago."""
    similar = np.zeros((ITEMS, ITEMS), np.float32)
    similar[9, [0, 1]] = 0.9, 0.5
    place = ItemSpace(sp.csr_matrix(similar), np.zeros(ITEMS, np.float32))
    assert because(ItemKNN(), place, support([(0, 1, 0.1), (1, 1, 1.0)]), np.array([[9]])).tolist() == [[[1, -1]]]


def test_what_was_sent_back_is_never_named():
    for learner in (ItemKNN(), TextPrototype(), Sum()):
        place = space() if isinstance(learner, ItemKNN) else ItemSpace(np.abs(SIMILAR), np.zeros(ITEMS, np.float32))
        found = because(learner, place, support([(0, 0, 1.0), (1, 1, 0.01)]), np.array([[9, 10, 11]]))
        assert 0 not in found


def test_a_learner_that_looks_at_no_support_names_nothing():
    place = ItemSpace(np.zeros((ITEMS, 1), np.float32), np.arange(ITEMS, dtype=np.float32))
    assert (because(Popularity(), place, support([(0, 1, 1.0)]), np.array([[9, 10]])) == -1).all()


def test_users_stand_side_by_side():
    one, two = [(0, 1, 1.0), (3, 1, 0.5)], [(4, 1, 0.2), (5, 1, 1.0), (6, 1, 0.9)]
    lists = np.array([[9, 10], [11, 8]])
    both = because(ItemKNN(), space(), support(one, [], two), np.array([lists[0], [-1, -1], lists[1]]))
    assert (both[0] == because(ItemKNN(), space(), support(one), lists[:1])[0]).all()
    assert (both[1] == -1).all()
    assert (both[2] == because(ItemKNN(), space(), support(two), lists[1:])[0]).all()


class Trend(Sum):
    """As before, and whoever has met anything is offered the last items more."""

    def adapt(self, space, support):
        return np.hstack([super().adapt(ItemSpace(space.vectors[:, :-1], space.bias), support), (support.k > 0)[:, None]])


def test_what_any_item_brings_alike_is_no_reason():
    trend = np.arange(ITEMS, dtype=np.float32)[:, None] - 20
    place = ItemSpace(np.hstack([np.eye(ITEMS), trend]).astype(np.float32), np.zeros(ITEMS, np.float32))
    assert reasons.brought_by_any(Trend(), place).tolist() == trend.ravel().tolist()
    assert because(Trend(), place, support([(3, 1, 1.0), (4, 1, 1.0)]), np.array([[11, 3]])).tolist() == [[[-1, -1], [3, -1]]]


@pytest.mark.parametrize("power", [1.0, 0.5, 0.0])
def test_the_reading_of_the_weights_that_the_learner_takes_is_found(power):
    class Mean(Sum):
        def adapt(self, space, support):
            damped = Support(support.indptr, support.item, support.label, support.weight**power, support.age_days)
            return super().adapt(space, damped)

    place = ItemSpace(SIMILAR, np.zeros(ITEMS, np.float32))
    users = support([(0, 1, 0.1), (1, 1, 1.0), (2, 1, 0.3)], [(4, 1, 0.9), (5, 0, 0.2), (6, 1, 0.02)])
    parts = Mean().adapt(place, reasons._single(users))
    share = reasons._shares(Mean().adapt(place, users), parts, users)
    assert share.tolist() == pytest.approx((users.label * users.weight**power).tolist())


entries = st.lists(
    st.tuples(st.integers(0, 8), st.sampled_from([0.0, 1.0, 1.0]), st.floats(0.05, 1)),
    min_size=1,
    max_size=6,
    unique_by=lambda e: e[0],
)


@pytest.mark.parametrize("learner", [Sum(), ItemKNN()], ids=["sum", "item_knn"])
@settings(max_examples=60)
@given(entries)
def test_the_first_reason_is_the_entry_without_which_a_linear_score_falls_most(learner, user):
    place = space() if isinstance(learner, ItemKNN) else ItemSpace(SIMILAR, np.zeros(ITEMS, np.float32))
    listed = [9, 10, 11]
    first = because(learner, place, support(user), np.array([listed]))[0, :, 0]
    weight = sum(w * label for _, label, w in user)

    def total(rest):
        """The score before any scaling to sum 1: what the entries add up to."""
        if not any(label for _, label, _ in rest):
            return np.zeros(ITEMS)
        scale = sum(w * label for _, label, w in rest) / weight if isinstance(learner, ItemKNN) else 1
        return score(place, learner.adapt(place, support(rest)))[0] * scale

    whole = total(user)
    for item, named in zip(listed, first, strict=True):
        falls = {entry[0]: whole[item] - total([e for e in user if e != entry])[item] for entry in user if entry[1]}
        most = max(falls.values(), default=0)
        if named < 0:
            assert most <= 1e-5
        else:
            assert falls[int(named)] == pytest.approx(most, abs=1e-5)
            assert most > 0
