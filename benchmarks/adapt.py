"""Adaptation: supports to user vectors, batched, beside a loop over users."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from benchmarks import world
from benchmarks.timing import Result, best
from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support
from recpipe.models.base import ItemSpace, Learner, score_users
from recpipe.models.item_knn import ItemKNN
from recpipe.models.text_prototype import TextPrototype
from recpipe.training.config import Config
from recpipe.training.networks import PLACES, find_network

USERS, SCORED, LOOPED = 100_000, 2_048, 200
WIDTH = 128


def adaptation(folder: Path) -> Iterator[Result]:
    """Time every learner on users with ten items each."""
    shop = world.evidence()
    supports = world.support(USERS, 10, len(shop.catalogue))
    learners: list[Learner] = [*(untaught(name, shop) for name in PLACES), ItemKNN(), TextPrototype()]
    for learner in learners:
        space = learner.items(shop)
        ours, loop = best(lambda: learner.adapt(space, supports), lambda: one_by_one(learner, space, supports))  # noqa: B023
        yield Result(f"adapt, {learner.name}", "users", USERS, ours, "a loop over users", loop * USERS / LOOPED)


def scoring(folder: Path) -> Iterator[Result]:
    """Time the scores of the default learner over the whole catalogue, for users with ten items each."""
    shop = world.evidence()
    supports = world.support(SCORED, 10, len(shop.catalogue))
    learner = untaught(Config.learner, shop)
    space = learner.items(shop)

    def alone() -> None:
        for user in range(LOOPED):
            score_users(learner, space, supports.users(user, user + 1))

    def batched() -> None:
        for start in range(0, SCORED, 256):
            score_users(learner, space, supports.users(start, start + 256))

    ours, loop = best(batched, alone)
    yield Result(f"score, {learner.name}", "users", SCORED, ours, "a loop over users", loop * SCORED / LOOPED)


def untaught(name: str, shop: Evidence) -> Learner:
    """Return a learner as training starts it: what it has learned since changes no time."""
    network = find_network(name)
    return network.learner(network.start(network.look(shop), WIDTH, seed=0))


def one_by_one(learner: Learner, space: ItemSpace, supports: Support) -> None:
    """Adapt some users, one call each."""
    for user in range(LOOPED):
        learner.adapt(space, supports.users(user, user + 1))
