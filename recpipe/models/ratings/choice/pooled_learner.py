"""The pooled learner: closed forms and learned parts, weighed by how they fared in a rehearsal, kind by kind of query."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import softmax

from recpipe.errors import TrainingFailed
from recpipe.models.ratings.bias_baselines import CANDIDATES, Predict
from recpipe.models.ratings.choice.opinion_pool import Choice, Rehearsed, best_of, choose_part, choose_pool, pooled
from recpipe.models.ratings.choice.ordered_logit import OrderedLogit, fit_ordered_logit
from recpipe.models.ratings.choice.rehearsal import LEAST_QUERIES, LEAST_TASKS, Mask, Rehearsal, rehearse
from recpipe.models.ratings.levels import answer
from recpipe.models.ratings.ratings import Floats, Ratings, Task, levels_of, nearest_level

log = logging.getLogger(__name__)
Chances = Callable[[Sequence[Task]], list[Floats]]
Learn = Callable[[Ratings, Floats], Chances]
"""Fits a learned part on ratings; it answers with (queries, levels) chances of the levels given."""
Kind = tuple[str, ...]
FEWEST_TASKS, FEWEST_QUERIES = 5, 50
LEAST_WEIGHT, LEAST_CHANCE = 1e-3, 1e-6


@dataclass(frozen=True)
class PooledModel:
    """Parts, taught on everything that is known, and their weights.

    Attributes
    ----------
    forms, learned
        Closed forms and learned parts by name, of those that any kind of query listens to.
    maps
        What a closed form's number, or a learned part's expected level, stands for; by name.
    weights
        (forms + 2 × learned,) of a logarithmic pool by kind: the closed forms, then each learned part's chances as they
        are and by its map.
    """

    forms: Mapping[str, Predict]
    learned: Mapping[str, Chances]
    maps: Mapping[str, OrderedLogit]
    weights: Mapping[Kind, Floats]
    levels: Floats
    rated: Mask

    def predict(self, tasks: Sequence[Task]) -> list[Floats]:
        """Return (queries,) predictions a task, on the scale of the data, each from its own support alone."""
        if not len(tasks):
            return []
        edges = np.cumsum([len(task.query) for task in tasks])[:-1]
        logs = _words(self.forms, self.learned, tasks, self.levels).logs(self.maps)
        weights = np.array([self.weights[_nearest(kind, self.weights)] for kind in kinds_of(tasks, self.rated)])
        found = answer(softmax(np.einsum("qp,pql->ql", weights, logs), axis=1), self.levels)
        return [np.asarray(part) for part in np.split(found, edges)]


@dataclass(frozen=True)
class _Words:
    """What parts say of queries: numbers of closed forms by name, chances of learned parts by name."""

    numbers: dict[str, Floats]
    chances: dict[str, Floats]
    levels: Floats

    def expected(self) -> dict[str, Floats]:
        """Return (queries,) one number of every part."""
        return self.numbers | {name: chances @ self.levels for name, chances in self.chances.items()}

    def logs(self, maps: Mapping[str, OrderedLogit]) -> Floats:
        """Return (parts, queries, levels) logarithms of chances, in the order of `PooledModel.weights`."""
        expected = self.expected()
        mapped = {name: maps[name].chances(expected[name]) for name in expected}
        learned = [part for name, chances in self.chances.items() for part in (chances, mapped[name])]
        return np.log(np.maximum(np.stack([*(mapped[name] for name in self.numbers), *learned]), LEAST_CHANCE))


def fit_pooled(ratings: Ratings, learned: Mapping[str, Learn], seed: int = 0) -> PooledModel:
    """Rehearse, choose weights, and teach the parts that weigh anything on all ratings.

    Without enough to rehearse on, the first learned part answers alone.

    Raises
    ------
    TrainingFailed
        If there are no ratings.
    """
    if not len(ratings.value):
        raise TrainingFailed("There are no ratings to learn from: give at least one rating of a known user.")
    levels = levels_of(ratings.value)
    rated = np.bincount(ratings.item, minlength=ratings.items) > 0
    folds = [fold for fold in rehearse(ratings, seed) if fold.tasks] if len(levels) > 1 else []
    tasks, queries = sum(len(fold.tasks) for fold in folds), sum(len(one) for fold in folds for one in fold.truth)
    if tasks < FEWEST_TASKS or queries < FEWEST_QUERIES:
        log.info("%d tasks are too few to choose by", tasks)
        name = next(iter(learned))
        whole = OrderedLogit(0.0, 1.0, 1.0, np.zeros(len(levels) - 1))
        return PooledModel({}, {name: learned[name](ratings, levels)}, {name: whole}, {(): np.array([1.0, 0.0])}, levels, rated)
    maps, weights = _chosen(folds, learned, levels, seed)
    return _taught(ratings, learned, maps, weights, levels)


def _chosen(
    folds: Sequence[Rehearsal], learned: Mapping[str, Learn], levels: Floats, seed: int
) -> tuple[dict[str, OrderedLogit], dict[Kind, Floats]]:
    """Return the maps of all parts and the weights by kind."""
    said = [_rehearsed(fold, learned, levels) for fold in folds]
    words = _Words(
        {name: np.concatenate([one.numbers[name] for one in said]) for name in said[0].numbers},
        {name: np.concatenate([one.chances[name] for one in said]) for name in said[0].chances},
        levels,
    )
    level = nearest_level(np.concatenate([one for fold in folds for one in fold.truth]), levels)
    maps = {name: fit_ordered_logit(number, level, len(levels)) for name, number in words.expected().items()}
    tasks = [task for fold in folds for task in fold.tasks]
    task = np.repeat(np.arange(len(tasks)), [len(one.query) for one in tasks])
    seen = Rehearsed(words.logs(maps), level, task, levels)
    kinds = [
        kind for fold in folds for kind in kinds_of(fold.tasks, np.bincount(fold.ratings.item, minlength=fold.ratings.items) > 0)
    ]
    return maps, _weights(seen, kinds, list(words.numbers), seed)


def _weights(seen: Rehearsed, kinds: Sequence[Kind], forms: list[str], seed: int) -> dict[Kind, Floats]:
    """Choose a part for all queries together, then a pool for every kind that enough were asked of.

    A kind departs from the wider one: a pool of all kinds together would lend a new item the weights of rated ones.
    """
    anchor = best_of(seen, len(forms), seed)
    log.info("best closed forms: %s", ", ".join(name for name, weight in zip(forms, anchor, strict=False) if weight))
    choice = choose_part(seen, anchor, len(forms), seed)
    found: dict[Kind, Floats] = {(): _said((), choice, len(forms))}
    current = pooled(seen.logs, found[()])
    for kind in sorted({one[:depth] for one in kinds for depth in (1, 2)}, key=lambda one: (len(one), one)):
        rows = np.array([row for row, one in enumerate(kinds) if one[: len(kind)] == kind])
        if len(rows) < LEAST_QUERIES or len(np.unique(seen.task[rows])) < LEAST_TASKS:
            continue
        choice = choose_pool(seen, found[_nearest(kind, found)], rows, current, seed)
        found[kind] = _said(kind, choice, len(forms))
        current[rows] = pooled(seen.logs[:, rows], found[kind])
    return found


def _said(kind: Kind, choice: Choice, closed: int) -> Floats:
    """Tell of a choice, and return its weights without those that are next to nothing."""
    weights = np.where(choice.weights >= LEAST_WEIGHT, choice.weights, 0.0)
    of, learned = ", ".join(kind) or "all queries", weights[closed:].sum() / weights.sum()
    log.info("%s: gain %.4f, error %.4f, trust %.2f; learned %.2f", of, choice.gain, choice.error, choice.trust, learned)
    return weights


def _taught(
    ratings: Ratings,
    learned: Mapping[str, Learn],
    maps: dict[str, OrderedLogit],
    weights: dict[Kind, Floats],
    levels: Floats,
) -> PooledModel:
    """Teach on everything the parts that any kind of query listens to; leave the others out."""
    heard = np.sum(list(weights.values()), axis=0) > 0
    forms = [name for name, there in zip(CANDIDATES, heard, strict=False) if there]
    of_learned = heard[len(CANDIDATES) :].reshape(-1, 2).any(1)
    kept = np.r_[heard[: len(CANDIDATES)], np.repeat(of_learned, 2)]
    return PooledModel(
        {name: CANDIDATES[name](ratings) for name in forms},
        {name: learn(ratings, levels) for (name, learn), there in zip(learned.items(), of_learned, strict=True) if there},
        maps,
        {kind: each[kept] for kind, each in weights.items()},
        levels,
        np.bincount(ratings.item, minlength=ratings.items) > 0,
    )


def _rehearsed(fold: Rehearsal, learned: Mapping[str, Learn], levels: Floats) -> _Words:
    forms = {name: form(fold.ratings) for name, form in CANDIDATES.items()}
    return _words(forms, {name: learn(fold.ratings, levels) for name, learn in learned.items()}, fold.tasks, levels)


def _words(forms: Mapping[str, Predict], learned: Mapping[str, Chances], tasks: Sequence[Task], levels: Floats) -> _Words:
    numbers = {name: np.concatenate(form(tasks)) for name, form in forms.items()}
    return _Words(numbers, {name: np.concatenate(part(tasks)) for name, part in learned.items()}, levels)


def kinds_of(tasks: Sequence[Task], rated: Mask) -> list[Kind]:
    """Return the kind of every query: whether anybody rated the item, and whether the user was known.

    Parameters
    ----------
    rated
        (items,) whether an item has known ratings.
    """
    found: list[Kind] = []
    for task in tasks:
        user = "known user" if len(task.given()) < len(task.value) else "new user"
        found += [("rated item" if there else "new item", user) for there in rated[task.query]]
    return found


def _nearest(kind: Kind, weights: Mapping[Kind, Floats]) -> Kind:
    """Return the kind itself, or the nearest wider one that weights were chosen for."""
    return next(kind[:depth] for depth in range(len(kind), -1, -1) if kind[:depth] in weights)


def onto(chances: Floats, own: Floats, levels: Floats) -> Floats:
    """Return (queries, levels) chances that were of other levels: each goes to the level next to it."""
    return np.asarray(chances @ np.eye(len(levels))[nearest_level(own, levels)])
