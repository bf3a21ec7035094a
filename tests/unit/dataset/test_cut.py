"""Episodes are cut strictly in time."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.dataset.episodes import as_of, choose, cut_as_new, cut_episodes, shorten, without_users
from recpipe.dataset.history import History
from recpipe.dataset.support import build_support, support_weights, take
from recpipe.training.quality import measure_in

CUT = np.datetime64("2011-08-01", "us")


def history_of(*rows, users=4):
    """Rows of (user, item, days after the cut, weight, returned days after the cut or None)."""
    rows = sorted(rows, key=lambda row: (row[0], row[2]))

    def moment(days):
        return np.datetime64("NaT", "us") if days is None else CUT + np.timedelta64(round(days * 86_400e6), "us")

    full = [(*row, *(1.0, None)[len(row) - 3 :]) for row in rows]
    return History(
        np.array([f"u{n}" for n in range(users)], object),
        np.array([row[0] for row in full], np.int32),
        np.array([row[1] for row in full], np.int32),
        np.array([moment(row[2]) for row in full], "datetime64[us]"),
        np.array([row[3] for row in full], np.float32),
        np.array([moment(row[4]) for row in full], "datetime64[us]"),
    )


def cut(history, **given):
    return cut_episodes(history, CUT, **{"horizon_days": 7.0, "half_life_days": 10.0, **given})


def test_support_is_strictly_before_the_cut_and_query_is_the_new_items_after_it():
    found = cut(
        history_of(
            (0, 5, -10), (0, 6, -1 / 86_400e6), (0, 5, 0), (0, 7, 0), (0, 7, 1), (0, 8, 6.99), (0, 9, 7),
            (1, 5, -3), (1, 5, 2),
            (2, 1, 3),
            (3, 2, -3),
        )
    )  # fmt: skip
    assert found.user.tolist() == [0, 2]
    assert found.support.indptr.tolist() == [0, 2, 2]
    assert found.support.item.tolist() == [5, 6]
    np.testing.assert_allclose(found.support.weight, [0.5, 1.0], rtol=1e-6)
    np.testing.assert_allclose(found.support.age_days, [10, 0], atol=1e-5)
    assert found.query_indptr.tolist() == [0, 2, 3]
    assert found.query_item.tolist() == [7, 8, 1]


def test_the_strongest_event_stands_for_an_item_and_what_was_sent_back_has_label_0():
    rows = [
        (0, 1, -10, 1.0, None),
        (0, 1, -1, 0.2, None),
        (0, 2, -5, 1.0, -4),
        (0, 3, -5, 1.0, 1),
        (0, 4, -6, 1, -5),
        (0, 4, -3, 1, None),
        (0, 9, 1, 1, None),
    ]
    support = cut(history_of(*rows)).support
    assert support.item.tolist() == [1, 2, 3, 4]
    np.testing.assert_allclose(support.weight, [0.5, 0.5**0.5, 0.5**0.5, 0.5**0.3], rtol=1e-6)
    assert support.label.tolist() == [1, 0, 1, 1]


def test_only_the_newest_events_make_the_support():
    history = history_of(*((0, n, n - 20) for n in range(10)), (0, 50, 1))
    assert cut(history, last_events=3).support.item.tolist() == [7, 8, 9]


def test_shortened_supports_keep_the_newest_items_and_the_seen_stay_seen():
    found = cut(history_of(*((0, n, n - 20) for n in range(5)), (0, 9, 1), (1, 3, -1), (1, 4, 1), (2, 5, 1)))
    short = shorten(found, np.array([2, 0, 3]))
    assert short.support.indptr.tolist() == [0, 2, 2, 2]
    assert short.support.item.tolist() == [3, 4]
    assert short.seen_item.tolist() == [0, 1, 2, 3, 4, 3]


def test_chosen_episodes_keep_what_is_theirs():
    found = cut(history_of((0, 1, -2), (0, 2, 1), (1, 3, -1), (1, 4, -1), (1, 5, 1), (1, 6, 1), (2, 7, 1)))
    some = choose(found, np.array([2, 1]))
    assert some.user.tolist() == [2, 1]
    assert some.support.item.tolist() == some.seen_item.tolist() == [3, 4]
    assert some.support.indptr.tolist() == some.seen_indptr.tolist() == [0, 0, 2]
    assert some.query_item.tolist() == [7, 5, 6]
    assert some.query_indptr.tolist() == [0, 1, 3]


def test_the_country_of_a_user_stays_with_the_user_however_the_past_is_cut():
    rows = ((0, 1, -2), (0, 2, 1), (1, 3, -1), (1, 4, -1), (1, 5, 1), (2, 7, 1), (2, 8, 2), (3, 7, 2), (3, 9, 3))
    history = dataclasses.replace(
        history_of(*rows), country=np.array([2, -1, 0, 1], np.int32), country_names=("France", "Malta", "Spain")
    )
    found = cut(history)
    assert found.user.tolist() == [0, 1, 2, 3]
    assert found.support.country.tolist() == [2, -1, 0, 1]
    assert shorten(found, np.array([1, 1, 0, 0])).support.country.tolist() == [2, -1, 0, 1]
    assert choose(found, np.array([3, 0])).support.country.tolist() == [1, 2]
    assert take(found.support, np.array([2, 2, 1])).country.tolist() == [0, 0, -1]
    assert found.support.users(1, 3).country.tolist() == [-1, 0]
    new = cut_as_new(history, CUT, window_days=5, horizon_days=5, half_life_days=10, sizes=(0, 1))
    assert new.user.tolist() == [2, 2, 3, 3]
    assert new.support.country.tolist() == [0, 0, 1, 1]
    assert take(new.support, np.array([3])).ahead_days.tolist() == [2]
    forgotten = without_users(history, np.array([0, 2]), CUT + np.timedelta64(9, "D"))
    assert forgotten.country.tolist() == [2, -1, 0, 1]
    assert forgotten.country_names == history.country_names


def test_supports_of_some_users_are_those_of_the_night(evidence):
    random = np.random.default_rng(0)
    history = evidence.history
    back = np.where(random.random(len(history.ts)) < 0.3, history.ts + np.timedelta64(3, "D"), np.datetime64("NaT", "us"))
    live = random.integers(-1, 3, len(history.user_ids)).astype(np.int32)
    history = dataclasses.replace(history, country=live, country_names=("France", "Malta", "Spain"))
    history = dataclasses.replace(history, returned_at=back, weight=random.choice([0.2, 0.5, 1.0], len(back)).astype(np.float32))
    every, times = build_support(history, evidence.until, 30.0)
    some = np.array([2, 3, 40, 89], np.int32)
    found, ts = build_support(history, evidence.until, 30.0, some)
    wanted = take(every, some)
    assert found.ahead_days is wanted.ahead_days is None  # lists of a night are made for the end of its evidence
    for field in dataclasses.fields(found):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(wanted, field.name), err_msg=field.name)
    assert len(ts) == len(found.item)
    assert np.isin(ts, times).all()


def test_who_met_something_ages_ago_is_known_in_training_as_in_the_nights():
    """However old, an event counts: float32 would hold zeros, and the user would be ranked as if new."""
    found = cut(history_of((0, 5, -2000), (0, 6, -1900), (0, 9, 1)), half_life_days=1.0)
    assert found.support.item.tolist() == [5, 6]
    assert (found.support.weight > 0).all()
    np.testing.assert_allclose(support_weights(found.support, 10).toarray()[0, [5, 6]], 0.5)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(-90, 30)), min_size=1, max_size=40), st.integers(0, 29)
)
def test_later_events_change_no_earlier_episode(rows, later):
    """Leak: whatever happens at or after the end of the horizon leaves the episodes as they were."""
    before = cut(history_of(*((u, i, d / 3) for u, i, d in rows if d / 3 < 7)))
    planted = [(u, i + 1, 7 + later) for u, i, _ in rows]
    after = cut(history_of(*((u, i, d / 3) for u, i, d in rows), *planted))
    np.testing.assert_equal(dataclasses.asdict(after), dataclasses.asdict(before))
    assert (before.support.age_days > 0).all()


def test_what_is_known_as_of_an_instant_forgets_what_came_later(evidence):
    cutoff = evidence.until - np.timedelta64(14, "D")
    last = np.datetime64("2011-08-07")
    catalogue = evidence.catalogue
    new = dataclasses.replace(catalogue, first_day=np.where(np.arange(70) == 3, np.datetime64("2011-08-08"), catalogue.first_day))
    known = as_of(dataclasses.replace(evidence, catalogue=new), cutoff, last)
    assert known.history.ts.max() < cutoff
    assert known.popularity_ts.max() < cutoff
    assert known.until == cutoff
    assert np.flatnonzero(~known.catalogue.available).tolist() == [3]
    keep = evidence.popularity_ts < cutoff
    assert len(known.popularity_item) == keep.sum()


def test_the_greatest_scores_come_first_and_ties_follow_the_catalogue():
    from recpipe.metrics.ranking import top_k

    scores = np.array([[0, 2, 1, 2, 5, 0], [1, 1, 1, 1, 1, 1]], np.float32)
    free = np.zeros(scores.shape, bool)
    assert top_k(scores, free, 3).tolist() == [[4, 1, 3], [0, 1, 2]]
    assert top_k(scores[:, :2], free[:, :2], 3).tolist() == [[1, 0], [0, 1]]
    free[0, [1, 2, 4, 5]] = True
    assert top_k(scores, free, 3).tolist() == [[3, 0, -1], [0, 1, 2]]


def test_training_measures_lists_in_the_order_of_the_night():
    """Scores that differ by rounding count as ties for both."""
    from recpipe.metrics.ranking import top_k
    from recpipe.ranking.order import rank

    random = np.random.default_rng(0)
    scores = np.repeat(random.standard_normal((30, 8)), 5, axis=1) + 1e-9 * random.standard_normal((30, 40))
    barred = random.random(scores.shape) < 0.3
    found = top_k(scores, barred, 10)
    np.testing.assert_array_equal(found, rank(scores, barred, 10, np.full(40, -1), 0)[0])
    assert (found != np.argsort(np.where(barred, np.inf, -scores), axis=1)[:, :10]).any()


def test_ndcg_and_recall_by_hand(evidence):
    from recpipe.models.base import ItemSpace
    from recpipe.models.popularity import Popularity

    # ranking by bias: 0 1 2 3 4 …; user 0 has seen 0 and 1 and takes 2 and 4; user 2 takes 3
    found = cut(history_of((0, 0, -2), (0, 1, -2), (0, 2, 1), (0, 4, 1), (2, 3, 1)))
    space = ItemSpace(np.zeros((6, 1), np.float32), -np.arange(6, dtype=np.float32))
    available = np.array([True, True, True, True, True, False])
    quality = measure_in(Popularity(), space, available, found, 3)
    ideal = 1 + 1 / np.log2(3)
    np.testing.assert_allclose(quality.ndcg, [(1 + 1 / 2) / ideal, 0])
    np.testing.assert_allclose(quality.recall, [1.0, 0.0])
    assert measure_in(Popularity(), space, available & (np.arange(6) > 2), found, 3).ndcg[1] == 1
    nothing = ItemSpace(space.vectors, np.full(6, np.nan, np.float32))  # the nights refuse to rank this
    assert measure_in(Popularity(), nothing, available, found, 3).ndcg.tolist() == [0, 0]


@pytest.mark.parametrize("k", [3, 10])
def test_measures_are_those_of_the_evaluation(evidence, k):
    from recpipe.metrics.ndcg import ndcg
    from recpipe.metrics.ranking import Truth, hits, recall, top_k
    from recpipe.models.base import score
    from recpipe.models.item_knn import ItemKNN
    from recpipe.training.quality import measure_in

    cutoff = evidence.until - np.timedelta64(7, "D")
    episodes = cut_episodes(evidence.history, cutoff, horizon_days=7, half_life_days=90)
    learner = ItemKNN()
    space = learner.items(as_of(evidence, cutoff, np.datetime64("2011-08-14")))
    found = measure_in(learner, space, evidence.catalogue.available, episodes, k)
    scores = score(space, learner.adapt(space, episodes.support))
    seen = np.zeros(scores.shape, bool)
    seen[np.repeat(np.arange(len(episodes)), np.diff(episodes.seen_indptr)), episodes.seen_item] = True
    truth = Truth(episodes.query_indptr, episodes.query_item)
    hit = hits(top_k(scores, seen, k), truth)
    np.testing.assert_allclose(found.ndcg, ndcg(hit, truth.size, k))
    np.testing.assert_allclose(found.recall, recall(hit, truth.size, k))
    assert 0 < found.ndcg.mean() < 1
