"""Adaptation: supports to user vectors, batched, beside a loop over users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks import world
from benchmarks.timing import Result, best
from recpipe.learn.closed_forms import ItemKNN, TextPrototype
from recpipe.learn.data import ItemSpace, Learner, Support
from recpipe.learn.networks.prototypical import initial_tensors, to_learner
from recpipe.learn.prototypical import SETTINGS, look

USERS, LOOPED = 20_000, 500


def adaptation(folder: Path) -> Iterator[Result]:
    """Time every learner on users with ten items each."""
    shop = world.evidence()
    supports = world.support(USERS, 10, len(shop.catalogue))
    network = to_learner(initial_tensors(look(shop, SETTINGS), 128, 0, "cpu"), SETTINGS)
    learners: list[Learner] = [network, ItemKNN(), TextPrototype()]
    for learner in learners:
        space = learner.items(shop)
        ours, loop = best(lambda: learner.adapt(space, supports), lambda: one_by_one(learner, space, supports))  # noqa: B023
        yield Result(f"adapt, {learner.name}", "users", USERS, ours, "a loop over users", loop * USERS / LOOPED)


def one_by_one(learner: Learner, space: ItemSpace, supports: Support) -> None:
    """Adapt some users, one call each."""
    for user in np.arange(LOOPED):
        learner.adapt(space, supports.users(int(user), int(user) + 1))
