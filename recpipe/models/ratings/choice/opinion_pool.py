"""A convex combination of several parts' chances, drawn back to the best closed form unless it is clearly better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from recpipe.metrics.probability import auc
from recpipe.models.ratings.levels import answer
from recpipe.models.ratings.ratings import Floats, Ints

ROUNDS = 100
STRENGTH = 20.0
FOLDS = 5
DRAWS = 100
SEEDS = 92


@dataclass(frozen=True)
class Rehearsed:
    """What every part said of queries whose answers are known.

    Attributes
    ----------
    chances
        (parts, queries, levels).
    level, task
        (queries,) the level that came; the task of each, numbers from 0.
    levels
        (levels,) of the scale.
    """

    chances: Floats
    level: Ints
    task: Ints
    levels: Floats

    def of(self, rows: Ints) -> Rehearsed:
        """Return some of the queries."""
        return Rehearsed(self.chances[:, rows], self.level[rows], self.task[rows], self.levels)


@dataclass(frozen=True)
class Choice:
    """Weights of the parts.

    Attributes
    ----------
    weights
        (parts,) 0 or more, sum 1.
    anchor
        The best closed form.
    trust
        0 to 1: how far the weights are those of the combination; the rest is the anchor's.
    gain, error
        How much better the combination is than the anchor on tasks that its weights were not fitted to, and the standard
        error of that over tasks: of the area under the ROC curve on two levels, else of the mean absolute error.
    """

    weights: Floats
    anchor: int
    trust: float
    gain: float
    error: float


def choose(seen: Rehearsed, closed: int, seed: int = 0) -> Choice:
    """Choose weights: those of the linear opinion pool (Stone 1961), shrunk to the best closed form.

    The gain is measured on tasks that the weights were not fitted to; trust is the positive part of James and Stein,
    1 − (error / gain)², so that a gain below its standard error counts as none.

    Parameters
    ----------
    closed
        The first so many parts are closed forms.
    """
    parts = len(seen.chances)
    anchor = int(np.argmin([loss(answer(seen.chances[part], seen.levels), seen) for part in range(closed)]))
    centre = np.full(parts, 0.5 / parts) + 0.5 * (np.arange(parts) == anchor)
    random = np.random.default_rng([seed, SEEDS])
    tasks = int(seen.task.max()) + 1
    fold = (random.permutation(tasks) % FOLDS)[seen.task]
    pooled = np.zeros_like(seen.chances[0])
    for one in range(FOLDS):
        rest, out = np.flatnonzero(fold != one), np.flatnonzero(fold == one)
        pooled[out] = np.tensordot(fit_weights(seen.of(rest), centre), seen.chances[:, out], 1)
    gain, error = _gain(seen, seen.chances[anchor], pooled, random)
    trust = max(0.0, 1 - (error / gain) ** 2) if gain > 0 else 0.0
    found = trust * fit_weights(seen, centre) + (1 - trust) * (np.arange(parts) == anchor)
    return Choice(found, anchor, trust, gain, error)


def fit_weights(seen: Rehearsed, centre: Floats, strength: float = STRENGTH) -> Floats:
    """Return the (parts,) weights under which what came is likeliest, by expectation maximisation.

    The prior counts as ``strength`` queries that fell to the parts as ``centre`` says.
    """
    came = seen.chances[:, np.arange(len(seen.level)), seen.level]
    weights = centre
    for _ in range(ROUNDS):
        share = weights[:, None] * came
        counts = (share / share.sum(0)).sum(1) + strength * centre
        weights = counts / counts.sum()
    return weights


def loss(found: Floats, seen: Rehearsed, times: Ints | None = None) -> float:
    """Return 1 − area under the ROC curve of all queries together on two levels, else the mean absolute error.

    Parameters
    ----------
    found
        (queries,) answers.
    times
        (queries,) how often each counts; once if None.
    """
    if len(seen.levels) == 2:
        area = auc(found, seen.level.astype(np.float64), times)
        return 0.5 if np.isnan(area) else 1 - area
    return float(np.average(np.abs(found - seen.levels[seen.level]), weights=times))


def _gain(seen: Rehearsed, one: Floats, other: Floats, random: np.random.Generator) -> tuple[float, float]:
    """Return how much less the other's loss is than the one's, and the standard error over tasks, by the bootstrap."""
    first, second = answer(one, seen.levels), answer(other, seen.levels)
    _, task = np.unique(seen.task, return_inverse=True)
    tasks = int(task.max()) + 1
    draws = random.multinomial(tasks, np.full(tasks, 1 / tasks), DRAWS)
    gains = [loss(first, seen, draw[task]) - loss(second, seen, draw[task]) for draw in draws]
    return loss(first, seen) - loss(second, seen), float(np.std(gains))
