"""Simulated tasks, their padding, and the numbers that are learned on them."""

import numpy as np
import torch

from recpipe.models.ratings.factors import fit_factors
from recpipe.models.ratings.meta_head import Head, _loss, pad, start, train_head
from recpipe.models.ratings.rating_episodes import LEAST, by_length, padded, simulate
from recpipe.models.ratings.ratings import Task, sorted_ratings
from recpipe.models.ratings.side_features import build_side


def ratings_of(users: int = 40, items: int = 30, seed: int = 0):
    random = np.random.default_rng(seed)
    user, item = np.nonzero(random.random((users, items)) < 0.6)
    value = random.normal(size=users)[user] + random.normal(size=items)[item] + random.normal(0, 0.5, len(user))
    return sorted_ratings(user, item, (value - value.mean()) / value.std(), users, items)


RATINGS = ratings_of()
KEPT_OUT = np.arange(RATINGS.users) < 10


def test_a_rating_is_known_or_asked_for_never_both():
    tasks, truth = simulate(RATINGS, KEPT_OUT)
    table = {(u, i): v for u, i, v in zip(RATINGS.user, RATINGS.item, RATINGS.value, strict=True)}
    for task, answers in zip(tasks, truth, strict=True):
        known, asked = task.item % RATINGS.items, task.query % RATINGS.items
        assert not set(known) & set(asked)
        assert [table[task.user, i] for i in asked] == list(answers)
        assert [table[task.user, i] for i in known] == list(task.value)
        assert len(set(known)) == len(known)


def test_who_is_new_and_what_is_new():
    tasks, _ = simulate(RATINGS, KEPT_OUT)
    for task in tasks:
        fresh = task.query >= RATINGS.items
        if KEPT_OUT[task.user]:  # one kind of item throughout
            assert len(set(np.r_[fresh, task.item >= RATINGS.items])) == 1
        else:
            assert fresh.all()
    kinds = [int(task.query[0] >= RATINGS.items) for task in tasks if KEPT_OUT[task.user]]
    assert sum(kinds) * 2 == len(kinds)
    sizes = [len(task.item) for task in tasks if KEPT_OUT[task.user]]
    assert min(size for size in sizes if size) >= LEAST


def test_the_same_seed_simulates_the_same_tasks():
    first, second = simulate(RATINGS, KEPT_OUT, seed=3)[0], simulate(RATINGS, KEPT_OUT, seed=3)[0]
    assert all((a.item == b.item).all() and (a.query == b.query).all() for a, b in zip(first, second, strict=True))
    assert any(len(a.item) != len(b.item) for a, b in zip(first, simulate(RATINGS, KEPT_OUT, seed=4)[0], strict=False))


def test_every_task_stands_in_one_batch_with_its_like():
    tasks = [Task(0, np.arange(n), np.zeros(n), np.arange(2)) for n in (0, 3, 9, 8, 20, 70)]
    batches = by_length(tasks, 2)
    assert sorted(np.concatenate(batches)) == list(range(6))
    assert all(len({padded(len(tasks[row].item)) for row in batch}) == 1 for batch in batches)
    assert [padded(n) for n in (0, 8, 9, 70)] == [8, 8, 16, 128]
    assert by_length([], 2) == []


def small():
    side = build_side(fit_factors(RATINGS, size=2), [], [])
    tasks, truth = simulate(RATINGS, KEPT_OUT)
    return side, tasks, truth


def test_gradients_of_the_learned_numbers_are_those_of_finite_differences():
    side, tasks, truth = small()
    some = np.arange(5)
    values = [value.requires_grad_(True) for value in start(side)]
    loss, _ = _loss(Head(side, *values), tasks, truth, some)
    loss.backward()
    for which, value in enumerate(values):
        for place in range(len(value)):
            moved = []
            for step in (1e-5, -1e-5):
                given = [v.detach().clone() for v in values]
                given[which][place] += step
                moved.append(float(_loss(Head(side, *given), tasks, truth, some)[0]))
            np.testing.assert_allclose(value.grad[place], (moved[0] - moved[1]) / 2e-5, rtol=1e-5, atol=1e-6)


def test_training_lowers_the_loss_and_repeats_itself():
    side, tasks, truth = small()

    def loss(head):
        return sum(float(_loss(head, tasks, truth, batch)[0]) for batch in by_length(tasks, 64))

    first, second = train_head(side, tasks, truth, seed=1), train_head(side, tasks, truth, seed=1)
    assert loss(first) < loss(Head(side, *start(side)))
    assert torch.equal(first.numbers, second.numbers)


def test_a_task_is_fitted_alike_alone_and_in_a_crowd():
    side, tasks, _ = small()
    head = Head(side, *start(side))
    crowd = by_length(tasks, 64)[0]
    together = head.fit(pad([tasks[row] for row in crowd], 64))
    alone = head.fit(pad([tasks[crowd[1]]], 64))
    assert torch.equal(together.mean[1], alone.mean[0])
