"""Scores and rules become lists in a total order."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recpipe.errors import RecpipeError
from recpipe.pipeline.blocks import blocks_of, shard_of, stable_hash, users_a_block
from recpipe.ranking.order import category_codes, rank

FREE = np.full(6, -1)


def ranked(scores, k=3, barred=(), category=FREE, most=0):
    scores = np.array([scores], np.float32)
    flags = np.zeros(scores.shape, bool)
    flags[0, list(barred)] = True
    item, points = rank(scores, flags, k, np.array(category), most)
    return item[0].tolist(), points[0].tolist()


def test_greater_scores_come_first_and_ties_go_to_the_smaller_id():
    assert ranked([1, 4, 2, 4, 0, 2], k=5) == ([1, 3, 2, 5, 0], [4, 4, 2, 2, 1])


def test_ties_at_the_end_of_the_list_go_to_the_smaller_id():
    assert ranked([1, 1, 1, 1, 1, 1], k=2)[0] == [0, 1]


def test_differences_that_are_rounding_are_ties():
    assert ranked([1.0, 1.0 + 1e-7, 0, 0, 0, 0], k=2)[0] == [0, 1]
    assert ranked([1.0, 1.0 + 1e-5, 0, 0, 0, 0], k=2)[0] == [1, 0]


def test_barred_items_never_stand_in_a_list_and_lists_may_be_short():
    assert ranked([1, 4, 2, 4, 0, 2], k=4, barred=(1, 3, 5))[0] == [2, 0, 4, -1]
    assert ranked([1, 4, 2, 4, 0, 2], k=8)[0] == [1, 3, 2, 5, 0, 4, -1, -1]


def test_a_list_holds_only_so_many_of_a_category():
    scores, category = [9, 8, 7, 6, 5, 4], [0, 0, 0, 1, -1, -1]
    assert ranked(scores, k=4, category=category, most=1)[0] == [0, 3, 4, 5]
    assert ranked(scores, k=4, category=category, most=2)[0] == [0, 1, 3, 4]
    assert ranked(scores, k=4, category=category, most=1, barred=[0])[0] == [1, 3, 4, 5]


def test_negative_scores_are_scores():
    assert ranked([-3, -1, -2, -9, -9, -9], k=2) == ([1, 2], [-1, -2])


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_refused(wrong):
    with pytest.raises(RecpipeError, match="no numbers"):
        ranked([1, wrong, 2, 4, 0, 2])


def test_an_empty_catalogue_gives_empty_lists():
    item, _ = rank(np.zeros((2, 0), np.float32), np.zeros((2, 0), bool), 3, np.array([], int), 0)
    assert item.tolist() == [[-1, -1, -1]] * 2


def by_hand(scores, barred, k, category, most):
    """Walk down the order, as a person would."""
    used, best = {}, []
    for item in sorted(range(len(scores)), key=lambda n: (-scores[n], n)):
        kind = category[item]
        full = most and kind >= 0 and used.get(kind, 0) >= most
        if not barred[item] and not full and len(best) < k:
            used[kind] = used.get(kind, 0) + 1
            best.append(item)
    return best + [-1] * (k - len(best))


@given(
    arrays(np.float32, (3, 12), elements=st.integers(-4, 4).map(float)),
    arrays(np.bool_, (3, 12)),
    st.integers(1, 14),
    arrays(np.int64, 12, elements=st.integers(-1, 3)),
    st.integers(0, 3),
)
def test_lists_are_those_of_a_walk_down_the_order(scores, barred, k, category, most):
    item, _ = rank(scores, barred, k, category, most)
    assert item.tolist() == [by_hand(s, b, k, category, most) for s, b in zip(scores, barred, strict=True)]


def test_categories_are_told_apart_by_their_whole_path():
    paths = [("food", "other"), ("toys", "other"), ("food", "other", "nuts"), ("food",), (), ("toys", "other")]
    assert category_codes(paths, 1).tolist() == [1, 2, 1, 0, -1, 2]
    assert category_codes(paths, 0).tolist() == [0, 1, 0, 0, -1, 1]


IDS = np.array(sorted(f"user {n}" for n in range(500)), object)


@given(st.integers(1, 9), st.integers(16, 600))
def test_every_user_is_in_one_block_of_one_shard(shards, size):
    blocks = blocks_of(IDS, size)
    found = [row for shard in range(shards) for block in shard_of(blocks, shard, shards) for row in block]
    assert sorted(found) == list(range(500))


def test_a_hash_is_the_same_in_every_process():
    assert stable_hash("u1") == int(hashlib.sha256(b"u1").hexdigest()[:16], 16)


def test_blocks_of_large_catalogues_are_small():
    assert users_a_block(5_000) == 512
    assert users_a_block(70_000) == 57
    assert users_a_block(10**9) == 16
    assert users_a_block(0) == 512
