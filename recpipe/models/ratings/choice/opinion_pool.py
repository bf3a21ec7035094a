"""A logarithmic pool of several parts' chances, drawn back to the best closed forms unless it is clearly better."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from recpipe.metrics.probability import auc
from recpipe.models.ratings.levels import answer
from recpipe.models.ratings.ratings import Floats, Ints

PULL = 10.0
FOLDS = 5
SURE = 1.645
DRAWS = 100
SEEDS = 92


@dataclass(frozen=True)
class Rehearsed:
    """What every part said of queries whose answers are known.

    Attributes
    ----------
    logs
        (parts, queries, levels) logarithms of chances.
    level, task
        (queries,) the level that came; the task of each.
    levels
        (levels,) of the scale.
    """

    logs: Floats
    level: Ints
    task: Ints
    levels: Floats

    def of(self, rows: Ints) -> Rehearsed:
        """Return some of the queries."""
        return Rehearsed(self.logs[:, rows], self.level[rows], self.task[rows], self.levels)


@dataclass(frozen=True)
class Choice:
    """Weights of the parts.

    Attributes
    ----------
    weights
        (parts,) 0 or more.
    trust
        0 to 1: how far the weights are those of the combination; the rest is the centre's.
    gain, error
        How much better the combination is than the centre on tasks that its weights were not fitted to, and the standard
        error of that over tasks: of the area under the ROC curve on two levels, else of the mean absolute error.
    """

    weights: Floats
    trust: float
    gain: float
    error: float


def pooled(logs: Floats, weights: Floats) -> Floats:
    """Return (queries, levels) chances of the logarithmic pool, proportional to the product of chances to their weights.

    Genest and Zidek 1986, section 3; on two levels it adds up log odds.
    """
    return np.asarray(softmax(np.tensordot(weights, logs, 1), axis=1))


def choose_part(seen: Rehearsed, anchor: Floats, closed: int, seed: int = 0) -> Choice:
    """Lean from the best closed forms towards the learned part that fares best, as far as it is clearly better.

    Parameters
    ----------
    anchor
        (parts,) weights of the closed forms.
    closed
        The first so many parts are closed forms.
    """
    rest = range(closed, len(seen.logs))
    best = min(rest, key=lambda part: loss(answer(np.exp(seen.logs[part]), seen.levels), seen))
    alone = 1.0 * (np.arange(len(seen.logs)) == best)
    gains = gains_of(seen, [pooled(seen.logs, anchor)], np.exp(seen.logs[best]), np.random.default_rng([seed, SEEDS]))[0]
    return _believed(gains, alone, anchor)


def choose_pool(seen: Rehearsed, centre: Floats, rows: Ints, current: Floats, seed: int = 0) -> Choice:
    """Choose the weights of some queries: those that are likeliest, shrunk to a centre.

    The gain is that of all queries together, measured on tasks that the weights were not fitted to, fold by fold: answers of
    different fits are never compared.

    Parameters
    ----------
    centre
        (parts,) weights, where nothing is clearly better.
    rows
        Positions of the queries that the weights are for.
    current
        (queries, levels) chances of all queries so far.
    """
    random = np.random.default_rng([seed, SEEDS])
    tasks, place = np.unique(seen.task, return_inverse=True)
    fold = (random.permutation(len(tasks)) % FOLDS)[place]
    found = current.copy()
    for one in range(FOLDS):
        rest, out = rows[fold[rows] != one], rows[fold[rows] == one]
        found[out] = pooled(seen.logs[:, out], fit_weights(seen.of(rest), centre))
    gains = gains_of(seen, [current], found, random, fold)[0]
    return _believed(gains, fit_weights(seen.of(rows), centre), centre)


def _believed(gains: Floats, weights: Floats, centre: Floats) -> Choice:
    """Believe the weights by the positive part of James and Stein, 1 − (SURE error / gain)².

    A gain whose one-sided 95 % interval holds 0 counts as none.
    """
    gain, error = float(gains[0]), float(np.std(gains[1:]))
    trust = max(0.0, 1 - (SURE * error / gain) ** 2) if gain > 0 else 0.0
    return Choice(trust * weights + (1 - trust) * centre, trust, gain, error)


def best_of(seen: Rehearsed, closed: int, seed: int = 0) -> Floats:
    """Return the (parts,) weights of the closed forms that the best one is not clearly better than, all alike.

    Clearly: by more than a standard error of the difference. Which of two such forms comes first later is a matter of
    chance, and their mean is rarely worse than either.

    Parameters
    ----------
    closed
        The first so many parts are closed forms.
    """
    random = np.random.default_rng([seed, SEEDS])
    chances = [np.exp(logs) for logs in seen.logs[:closed]]
    best = int(np.argmin([loss(answer(one, seen.levels), seen) for one in chances]))
    gains = gains_of(seen, chances, chances[best], random)
    near = gains[:, 0] <= gains[:, 1:].std(1)
    near[best] = True
    shares: Floats = np.r_[near / near.sum(), np.zeros(len(seen.logs) - closed)]
    return shares


def fit_weights(seen: Rehearsed, centre: Floats, pull: float = PULL) -> Floats:
    """Return the (parts,) weights of 0 or more under which what came is likeliest, drawn to the centre.

    Parameters
    ----------
    pull
        Of the squared distance from the centre, in units of the log-likelihood of one query.
    """
    came = seen.logs[:, np.arange(len(seen.level)), seen.level]

    def lost(weights: Floats) -> tuple[float, Floats]:
        total = np.tensordot(weights, seen.logs, 1)
        chances = softmax(total, axis=1)
        gap = weights - centre
        value = logsumexp(total, axis=1).sum() - weights @ came.sum(1) + pull * gap @ gap / 2
        return float(value), np.einsum("ql,pql->p", chances, seen.logs) - came.sum(1) + pull * gap

    bounds = [(0.0, None)] * len(centre)
    return np.asarray(minimize(lost, centre, method="L-BFGS-B", jac=True, bounds=bounds).x)


def loss(found: Floats, seen: Rehearsed, times: Ints | None = None, fold: Ints | None = None) -> float:
    """Return 1 − area under the ROC curve of all queries together on two levels, else the mean absolute error.

    Parameters
    ----------
    found
        (queries,) answers.
    times
        (queries,) how often each counts; once if None.
    fold
        (queries,) numbers; only pairs of queries of one fold are compared. None: all pairs.
    """
    if len(seen.levels) > 2:
        return float(np.average(np.abs(found - seen.levels[seen.level]), weights=times))
    like, times = seen.level.astype(np.float64), np.ones(len(found), np.int64) if times is None else times
    right = pairs = 0.0
    for one in range(FOLDS) if fold is not None else [0]:
        rows = np.arange(len(found)) if fold is None else np.flatnonzero(fold == one)
        number = float(times[rows] @ like[rows]) * float(times[rows] @ (1 - like[rows]))
        if number:
            right, pairs = right + number * auc(found[rows], like[rows], times[rows]), pairs + number
    return 1 - right / pairs if pairs else 0.5


def gains_of(
    seen: Rehearsed, chances: list[Floats], other: Floats, random: np.random.Generator, fold: Ints | None = None
) -> Floats:
    """Return (chances, 1 + draws) how much less the other's loss is: as it is, then in draws of tasks with replacement."""
    first, second = [answer(one, seen.levels) for one in chances], answer(other, seen.levels)
    tasks, place = np.unique(seen.task, return_inverse=True)
    draws = random.multinomial(len(tasks), np.full(len(tasks), 1 / len(tasks)), DRAWS)
    times = [None, *(draw[place] for draw in draws)]
    second_loss = np.array([loss(second, seen, each, fold) for each in times])
    less: Floats = np.array([[loss(one, seen, each, fold) for each in times] for one in first]) - second_loss
    return less
