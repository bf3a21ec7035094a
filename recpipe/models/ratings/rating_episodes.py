"""Tasks made from known users the way later tasks come: users cut as if they were new, items as if nobody had rated them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recpipe.models.ratings.ratings import Floats, Ints, Ratings, Task
from recpipe.models.ratings.side_features import of_user

LEAST, MOST = 3, 90
QUERIES = 20
MOST_USERS = 8000


def simulate(ratings: Ratings, kept_out: NDArray[np.bool_], seed: int = 0) -> tuple[list[Task], list[Floats]]:
    """Make tasks and their answers.

    Parameters
    ----------
    ratings
        Of all known users.
    kept_out
        (users,) whose ratings the items' biases and factors have not seen: they act as new users, once on items as
        they are known and once on the same items as if they were new. The others act as known users: some of their
        items become new ones, the rest stays known.
    """
    tasks: list[Task] = []
    answers: list[Floats] = []
    users = np.unique(ratings.user)
    drawn = np.random.default_rng(seed).choice(users, min(len(users), MOST_USERS), replace=False)
    for user in np.sort(drawn):
        rows = of_user(ratings, int(user))
        random = np.random.default_rng([seed, int(user)])
        kinds = ("known", "fresh") * 2 if kept_out[user] else ("mixed",)
        for kind in kinds:
            task, answer = _one(int(user), ratings.item[rows], ratings.value[rows], ratings.items, kind, random)
            if len(answer):
                tasks.append(task)
                answers.append(answer)
    return tasks, answers


def _one(user: int, item: Ints, value: Floats, items: int, kind: str, random: np.random.Generator) -> tuple[Task, Floats]:
    """Draw a support of log-uniform size and a query; the rest of a known user's ratings stand in the support as known."""
    order = random.permutation(len(item))
    size = 0 if random.random() < 0.03 else int(np.exp(random.uniform(np.log(LEAST), np.log(MOST + 1))))
    size = min(size, max(0, len(item) - min(10, len(item) // 2)))
    support, query, rest = np.split(order, [size, size + QUERIES])
    shift = 0 if kind == "known" else items
    seen, known = item[support] + shift, value[support]
    if kind == "mixed":
        seen, known = np.r_[item[rest], seen], np.r_[value[rest], known]
    place = np.argsort(seen, kind="stable")
    return Task(user, seen[place], known[place], item[query] + shift), value[query]


def by_length(tasks: Sequence[Task], size: int) -> list[NDArray[np.intp]]:
    """Return batches of at most ``size`` tasks of like padded length, in an order that follows from the lengths alone."""
    length = np.array([(padded(len(task.item)), padded(len(task.query))) for task in tasks]).reshape(-1, 2)
    order = np.lexsort((length[:, 1], length[:, 0]))
    edges = np.flatnonzero((np.diff(length[order], axis=0) != 0).any(1)) + 1
    return [group[start : start + size] for group in np.split(order, edges) for start in range(0, len(group), size)]


def padded(length: int) -> int:
    """Return the padded length: the next power of 2, at least 8."""
    return max(8, 1 << max(0, length - 1).bit_length())
