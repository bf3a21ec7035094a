"""A rehearsal of the tasks to come: known ratings of later times, or of held-out users, asked the way tasks will be."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.models.ratings.ratings import Floats, Ints, Ratings, Task
from recpipe.models.ratings.side_features import of_user

log = logging.getLogger(__name__)
LATER = 0.2
USERS_OUT, ITEMS_OUT = 0.2, 0.15
LEAST_TASKS, LEAST_QUERIES = 30, 300
ENOUGH_TASKS, MOST_TASKS, MOST_FOLDS = 100, 2000, 3
MOST, QUERIES = 90, 20
SEEDS = 91
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Rehearsal:
    """Tasks with answers, and what the parts may learn from before they are asked.

    Attributes
    ----------
    ratings
        None of them is an answer, or later than one where there are times.
    tasks, truth
        As `Task`; (queries,) ratings a task.
    """

    ratings: Ratings
    tasks: list[Task]
    truth: list[Floats]

    def enough(self) -> bool:
        """Say whether these tasks can tell parts apart."""
        return len(self.tasks) >= LEAST_TASKS and sum(map(len, self.truth)) >= LEAST_QUERIES


def rehearse(ratings: Ratings, seed: int = 0) -> list[Rehearsal]:
    """Return one rehearsal on later time where there are times, else on held-out users, several where these are few."""
    if ratings.time is not None and np.ptp(ratings.time) > 0:
        found = on_later_time(ratings, ratings.time, seed)
        if found.enough():
            log.info("rehearsal: %d tasks of later time", len(found.tasks))
            return [found]
    folds = on_held_out_users(ratings, seed)
    log.info("rehearsal: %d tasks of held-out users, %d folds", sum(len(fold.tasks) for fold in folds), len(folds))
    return folds


def on_later_time(ratings: Ratings, time: Floats, seed: int = 0) -> Rehearsal:
    """Ask for the latest fifth of the ratings; the parts learn from what came before.

    Where few users of the later time are new, some of the others are forgotten, to be new again.

    Parameters
    ----------
    time
        (ratings,) when each was given.
    """
    random = np.random.default_rng([seed, SEEDS])
    later = time >= np.quantile(time, 1 - LATER)
    before = np.bincount(ratings.user, ~later, ratings.users) > 0
    after = np.bincount(ratings.user, later, ratings.users) > 1
    forgotten = _forgotten(after & before, ENOUGH_TASKS - int((after & ~before).sum()), random)
    learnt = ratings.kept(~later & ~forgotten[ratings.user])
    rank = np.empty(len(later))
    rank[np.lexsort((random.random(len(later)), time))] = np.arange(len(later))
    asked = later & after[ratings.user]
    users = np.unique(ratings.user[asked])
    tasks = _Tasks(ratings, learnt)
    for user in np.sort(random.permutation(users)[:MOST_TASKS]):
        rows = tasks.rows_of(int(user), asked)
        rows = rows[np.argsort(rank[rows])]
        size = _size(len(rows) // 2, random)
        tasks.add(int(user), rows[:size], rows[size : size + QUERIES])
    return tasks.done()


def _forgotten(users: Mask, wanted: int, random: np.random.Generator) -> Mask:
    """Draw users to be forgotten: at most half of those that there are."""
    found, there = np.zeros(len(users), bool), np.flatnonzero(users)
    found[random.choice(there, int(np.clip(wanted, 0, len(there) // 2)), replace=False)] = True
    return found


def on_held_out_users(ratings: Ratings, seed: int = 0) -> list[Rehearsal]:
    """Ask users and items, drawn at random, as if they were new; every second user keeps some ratings as known."""
    users = np.unique(ratings.user)
    deal = np.random.default_rng([seed, SEEDS]).permutation(len(users))
    size = min(max(1, int(USERS_OUT * len(users))), MOST_TASKS)
    folds = 1 if size >= 2 * ENOUGH_TASKS else MOST_FOLDS
    parts = [users[deal[fold * size : (fold + 1) * size]] for fold in range(folds)]
    return [_fold(ratings, part, np.random.default_rng([seed, SEEDS, fold])) for fold, part in enumerate(parts)]


def _fold(ratings: Ratings, users: Ints, random: np.random.Generator) -> Rehearsal:
    """Ask each user twice: for items that others rated, and for items that nobody rated, after a support of either kind."""
    out, known = np.zeros(ratings.users, bool), np.zeros(ratings.users, bool)
    out[users], known[users[::2]] = True, True
    fresh = (random.random(ratings.items) < ITEMS_OUT)[ratings.item]
    mine = out[ratings.user]
    kept = mine & known[ratings.user] & (random.random(len(mine)) < 0.5) & ~fresh
    tasks = _Tasks(ratings, ratings.kept((~mine | kept) & ~fresh))
    for user in np.sort(users):
        rated, new = (random.permutation(tasks.rows_of(int(user), rows)) for rows in (mine & ~fresh & ~kept, mine & fresh))
        size = _size(len(rated) // 2, random)
        tasks.add(int(user), rated[:size], rated[size : size + QUERIES])
        half = _size(len(new) // 2, random)
        support = new[:half] if random.random() < 0.5 else rated[:size]
        tasks.add(int(user), support, new[half : half + QUERIES])
    return tasks.done()


def _size(most: int, random: np.random.Generator) -> int:
    """Draw the size of a support: log-uniform, sometimes empty, never above ``most``."""
    return min(int(np.exp(random.uniform(np.log(0.7), np.log(MOST + 1)))), most)


class _Tasks:
    """The tasks of a rehearsal as they are made."""

    def __init__(self, ratings: Ratings, learnt: Ratings) -> None:
        self._ratings, self._learnt = ratings, learnt
        self._tasks: list[Task] = []
        self._truth: list[Floats] = []

    def rows_of(self, user: int, rows: Mask) -> Ints:
        """Return where the user's ratings stand, of those rows alone."""
        place = of_user(self._ratings, user)
        return np.arange(place.start, place.stop)[rows[place]]

    def add(self, user: int, support: Ints, query: Ints) -> None:
        """Add a task of these rows; what is learnt of the user belongs to it. Nothing is added without a query."""
        if not len(query):
            return
        known, all_of = of_user(self._learnt, user), self._ratings
        self._tasks.append(
            task_of(
                user,
                (self._learnt.item[known], self._learnt.value[known]),
                (all_of.item[support], all_of.value[support]),
                all_of.item[query],
            )
        )
        self._truth.append(all_of.value[query])

    def done(self) -> Rehearsal:
        return Rehearsal(self._learnt, self._tasks, self._truth)


def task_of(user: int, known: tuple[Ints, Floats], support: tuple[Ints, Floats], query: Ints) -> Task:
    """Put (items, ratings) that were known of a user, and those of a support, into one task, sorted by item."""
    item, value = np.r_[known[0], support[0]], np.r_[known[1], support[1]]
    own = np.arange(len(item)) >= len(known[0])
    order = np.argsort(item, kind="stable")
    return Task(user, item[order], value[order], query, own[order])
