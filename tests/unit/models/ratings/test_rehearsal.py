"""Rehearsals: what is asked is unknown, and is asked the way tasks will be."""

from dataclasses import replace

import numpy as np

from recpipe.models.ratings.choice.rehearsal import on_held_out_users, on_later_time, rehearse
from recpipe.models.ratings.ratings import Ratings, sorted_ratings


def made_up(users: int = 200, items: int = 60, seed: int = 0) -> Ratings:
    """Users come one after the other; each rates for a while."""
    random = np.random.default_rng(seed)
    user, item = np.nonzero(random.random((users, items)) < 0.4)
    time = user / users + random.uniform(0, 0.5, len(user))
    return sorted_ratings(user, item, random.integers(0, 2, len(user)).astype(float), users, items, time)


RATINGS = made_up()
TABLE = {(u, i): (v, t) for u, i, v, t in zip(RATINGS.user, RATINGS.item, RATINGS.value, RATINGS.time, strict=True)}


def learnt_of(fold):
    return set(zip(fold.ratings.user.tolist(), fold.ratings.item.tolist(), strict=True))


def folds():
    return [on_later_time(RATINGS, RATINGS.time), *on_held_out_users(RATINGS)]


def test_an_answer_is_never_known():
    for fold in folds():
        learnt = learnt_of(fold)
        assert len(fold.tasks) > 20
        for task, truth in zip(fold.tasks, fold.truth, strict=True):
            assert not {(task.user, item) for item in task.query.tolist()} & learnt
            assert not set(task.item) & set(task.query)
            assert [TABLE[task.user, item][0] for item in task.query] == list(truth)
            assert [TABLE[task.user, item][0] for item in task.item] == list(task.value)
            assert (np.diff(task.item) > 0).all()


def test_what_came_with_a_task_is_not_learnt_and_the_rest_is():
    for fold in folds():
        learnt = learnt_of(fold)
        for task in fold.tasks:
            assert [(task.user, item) in learnt for item in task.item.tolist()] == list(~task.own)


def test_nothing_of_the_later_time_is_learnt_and_a_support_comes_before_its_query():
    fold = on_later_time(RATINGS, RATINGS.time)
    cut = np.quantile(RATINGS.time, 0.8)
    assert fold.ratings.time.max() < cut
    for task in fold.tasks:
        asked = [TABLE[task.user, item][1] for item in task.query]
        given = [TABLE[task.user, item][1] for item in task.item]
        assert min(asked) >= cut
        assert not given or max(given) <= min(asked)


def test_users_are_new_and_known_items_rated_and_new():
    for fold in folds():
        known = {task.user in fold.ratings.user for task in fold.tasks}
        assert known == {True, False}
    held = on_held_out_users(RATINGS)[0]
    rated = np.isin(np.concatenate([task.query for task in held.tasks]), held.ratings.item)
    assert 0.1 < rated.mean() < 0.95


def test_times_are_used_where_they_tell_anything():
    assert len(rehearse(RATINGS)) == 1
    assert rehearse(RATINGS)[0].ratings.time.max() < np.quantile(RATINGS.time, 0.8)
    without = rehearse(replace(RATINGS, time=None))
    assert len(without) == 3, "few users: several folds"
    same = rehearse(replace(RATINGS, time=np.zeros(len(RATINGS.value))))
    assert [len(fold.tasks) for fold in same] == [len(fold.tasks) for fold in without]
    asked = [{task.user for task in fold.tasks} for fold in without]
    assert not asked[0] & asked[1]


def test_the_order_of_rows_and_a_second_run_change_nothing():
    order = np.random.default_rng(5).permutation(len(RATINGS.value))
    again = sorted_ratings(*(getattr(RATINGS, n)[order] for n in ("user", "item", "value")), 200, 60, RATINGS.time[order])
    for one, other in zip(folds(), [on_later_time(again, again.time), *on_held_out_users(again)], strict=True):
        for a, b in zip(one.tasks, other.tasks, strict=True):
            np.testing.assert_array_equal(a.item, b.item)
            np.testing.assert_array_equal(a.query, b.query)
