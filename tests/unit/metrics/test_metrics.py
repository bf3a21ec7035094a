"""Every metric against a table worked out by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recpipe.metrics.beyond_accuracy import coverage, novelty
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.ranking import PAD, Truth, hit_rate, hits, recall

LISTS = np.array([[0, 1, 2], [3, 0, PAD], [4, 3, 2], [1, 2, 3]], np.int32)
TRUTH = Truth.from_pairs(np.array([0, 0, 1, 2, 2, 2, 2, 0]), np.array([2, 0, 0, 0, 1, 2, 5, 0]), users=4)
# user 0 took {0, 2}, user 1 {0}, user 2 {0, 1, 2, 5}, user 3 nothing


def test_truth_counts_a_pair_once():
    assert TRUTH.indptr.tolist() == [0, 2, 3, 7, 7]
    assert TRUTH.item.tolist() == [0, 2, 0, 0, 1, 2, 5]
    assert TRUTH.size.tolist() == [2, 1, 4, 0]


def test_truth_of_some_users():
    some = TRUTH.rows(np.array([False, True, True, False]))
    assert (some.indptr.tolist(), some.item.tolist()) == ([0, 1, 5], [0, 0, 1, 2, 5])


def test_hits_by_rank():
    assert hits(LISTS, TRUTH).tolist() == [[True, False, True], [False, True, False], [False, False, True], [False] * 3]


def test_hits_refuses_other_users():
    with pytest.raises(ValueError, match="4 lists cannot be compared with what 1 users took"):
        hits(LISTS, Truth.from_pairs(np.array([0]), np.array([1]), users=1))


def test_ndcg_by_hand():
    # user 0: (1 + 1/2) / (1 + 1/log2 3); user 1: (1/log2 3) / 1; user 2: (1/2) / (1 + 1/log2 3 + 1/2)
    got = ndcg(hits(LISTS, TRUTH), TRUTH.size, 3)
    assert got[:3] == pytest.approx([0.9197207891481876, 0.6309297535714575, 0.23463936301137824])
    assert np.isnan(got[3])


def test_ndcg_at_a_cut_off_longer_than_the_lists():
    # the ideal list of user 2 has four hits: 0.5 / (1 + 0.6309 + 0.5 + 0.4307)
    got = ndcg(hits(LISTS, TRUTH), TRUTH.size, 10)
    assert got[2] == pytest.approx(0.5 / 2.5616063)


def test_recall_is_of_what_fits_into_the_list():
    assert recall(hits(LISTS, TRUTH), TRUTH.size, 3)[:3] == pytest.approx([1.0, 1.0, 1 / 3])
    assert recall(hits(LISTS, TRUTH), TRUTH.size, 2)[:3] == pytest.approx([0.5, 1.0, 0.0])
    assert np.isnan(recall(hits(LISTS, TRUTH), TRUTH.size, 3)[3])


def test_hit_rate_by_hand():
    got = hit_rate(hits(LISTS, TRUTH), TRUTH.size, 2)
    assert got[:3].tolist() == [1.0, 1.0, 0.0]
    assert np.isnan(got[3])


def test_coverage_does_not_count_the_padding():
    assert coverage(LISTS, 1, 10) == pytest.approx(0.4)  # 0, 3, 4, 1
    assert coverage(LISTS, 3, 10) == pytest.approx(0.5)
    assert coverage(LISTS[:0], 3, 10) == 0.0


def test_novelty_by_hand():
    events = np.array([3, 1, 0, 0])  # shares (3+1)/8, (1+1)/8, 1/8, 1/8: 1, 2, 3, 3 bits
    lists = np.array([[0, 1, 2], [3, 0, PAD], [PAD, PAD, PAD]], np.int32)
    got = novelty(lists, 3, events)
    assert got[:2] == pytest.approx([2.0, 2.0])
    assert np.isnan(got[2])
    assert novelty(lists, 1, events)[:2] == pytest.approx([1.0, 3.0])


@st.composite
def worlds(draw):
    users, items, width = draw(st.integers(1, 6)), draw(st.integers(3, 12)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    lists = np.stack([rng.permutation(items)[:width] for _ in range(users)]).astype(np.int32)
    taken = rng.random((users, items)) < 0.3
    return lists, taken


@given(worlds(), st.integers(1, 5))
def test_metrics_agree_with_a_loop_over_users(world, k):
    lists, taken = world
    user, item = np.nonzero(taken)
    truth = Truth.from_pairs(user, item, len(lists))
    hit = hits(lists, truth)
    for row in range(len(lists)):
        wanted = set(np.flatnonzero(taken[row]).tolist())
        top = lists[row, :k].tolist()
        dcg = sum(1 / np.log2(rank + 2) for rank, code in enumerate(top) if code in wanted)
        ideal = sum(1 / np.log2(rank + 2) for rank in range(min(k, len(wanted))))
        expected = (
            [dcg / ideal, len(wanted & set(top)) / min(k, len(wanted)), float(bool(wanted & set(top)))]
            if wanted
            else [np.nan] * 3
        )
        got = [metric(hit, truth.size, k)[row] for metric in (ndcg, recall, hit_rate)]
        np.testing.assert_allclose(got, expected)
