"""The whole predictor: fitted on known ratings and tables, then asked task by task."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import TrainingFailed
from recpipe.models.ratings.content_features import Encode, blocks_of
from recpipe.models.ratings.factors import fit_factors
from recpipe.models.ratings.levels import Levels, Seen, answer, look, stacked, train_levels
from recpipe.models.ratings.meta_head import Head, train_head
from recpipe.models.ratings.rating_episodes import simulate
from recpipe.models.ratings.ratings import Columns, Floats, Ratings, Task, levels_of, nearest_level
from recpipe.models.ratings.side_features import Side, build_side, refs

log = logging.getLogger(__name__)
RATINGS_A_FACTOR = 4
WAYS = ("median", "mean", "gaussian")


@dataclass(frozen=True)
class Config:
    """Settings of the predictor; one set for all data.

    Attributes
    ----------
    factors, axes
        Columns of a user's taste that come from ratings, and from the catalogue.
    kept_out
        Share of the users that simulate new ones; biases and factors do not see them.
    way
        What is answered: the ``median`` of the learned distribution, the Gaussian's median (``gaussian``), or the ``mean``.
    """

    factors: int = 16
    axes: int = 48
    kept_out: float = 0.2
    seed: int = 0
    way: str = "median"


@dataclass(frozen=True)
class Model:
    """A fitted predictor.

    Attributes
    ----------
    centre, width
        Of the standardised scale: what is learned sees (rating - centre) / width.
    levels
        Of the scale, in its own units.
    base
        (levels,) how often each occurs.
    """

    side: Side
    head: Head
    correction: Levels
    centre: float
    width: float
    levels: Floats
    base: Floats
    way: str

    def predict(self, tasks: Sequence[Task]) -> list[Floats]:
        """Return (queries,) predictions a task, on the scale of the data, each from its own support alone."""
        inner = (self.levels - self.centre) / self.width
        seen = look(self.head, self.side, [self._inner(task) for task in tasks], inner, self.base)
        return [self._answer(one) for one in seen]

    def chances(self, tasks: Sequence[Task]) -> list[Floats]:
        """Return (queries, levels) chances of the levels a task, each from its own support alone."""
        inner = (self.levels - self.centre) / self.width
        seen = look(self.head, self.side, [self._inner(task) for task in tasks], inner, self.base)
        return [self.correction.chances(one) for one in seen]

    def _inner(self, task: Task) -> Task:
        """Put a task into what was learned on: standardised values, rows of the side, sorted."""
        rows = refs(self.side, task.item)
        order = np.lexsort((task.value, rows))
        return Task(task.user, rows[order], (task.value[order] - self.centre) / self.width, refs(self.side, task.query))

    def _answer(self, seen: Seen) -> Floats:
        if self.way == "mean":
            return np.clip(self.centre + self.width * seen.mean, self.levels[0], self.levels[-1])
        chances = self.correction.chances(seen) if self.way == "median" else self.correction.uncorrected(seen)
        return answer(chances, self.levels)


def fit(ratings: Ratings, items: Columns, users: Columns, config: Config, encode: Encode | None = None) -> Model:
    """Fit the predictor: factors, catalogue, the numbers of the solve, the levels; in this order, each from the last.

    Parameters
    ----------
    ratings
        Of known users.
    items, users
        Columns, a value for each of ``ratings.items`` and ``ratings.users``; may be empty.
    encode
        Turns long texts into vectors; without it they are words.

    Raises
    ------
    TrainingFailed
        If there are no ratings.
    """
    if not len(ratings.value):
        raise TrainingFailed("There are no ratings to learn from: give at least one rating of a known user.")
    levels = levels_of(ratings.value)
    centre, width = float(ratings.value.mean()), float(ratings.value.std()) or 1.0
    inner = replace(ratings, value=(ratings.value - centre) / width)
    kept_out = keep_out(ratings, config)
    known = inner.kept(~kept_out[inner.user])
    factors = fit_factors(known, rank(known, config.factors), seed=config.seed)
    side = build_side(factors, blocks_of(items, encode), blocks_of(users), config.axes, config.seed)
    tasks, truth = simulate(inner, kept_out, config.seed)
    log.info("learning to adapt on %d simulated tasks", len(tasks))
    head = train_head(side, tasks, truth, seed=config.seed)
    scale = (levels - centre) / width
    base = np.bincount(nearest_level(ratings.value, levels), minlength=len(levels)) / len(ratings.value)
    correction = _levels(head, side, tasks, truth, scale, base, config)
    return Model(side, head, correction, centre, width, levels, base, config.way)


def _levels(
    head: Head, side: Side, tasks: list[Task], truth: list[Floats], scale: Floats, base: Floats, config: Config
) -> Levels:
    seen = stacked(look(head, side, tasks, scale, base), len(scale))
    answers = np.concatenate([np.zeros(0), *truth])
    return train_levels(seen, nearest_level(answers, scale), scale, seed=config.seed)


def rank(ratings: Ratings, most: int) -> int:
    """Return how many factors these ratings can teach: one for every four ratings of the average user or item, at least 1.

    With more, each user and item can fit its few ratings by heart: the noise goes to 0, and new users are misread.
    """
    there = len(np.unique(ratings.user)) + len(np.unique(ratings.item))
    return int(np.clip(len(ratings.value) // (RATINGS_A_FACTOR * there), 1, most))


def keep_out(ratings: Ratings, config: Config) -> NDArray[np.bool_]:
    """Draw the users that simulate new ones; never all of them."""
    drawn = np.random.default_rng([config.seed, 1]).random(ratings.users) < config.kept_out
    return drawn if (~drawn[ratings.user]).any() else np.zeros(ratings.users, bool)
