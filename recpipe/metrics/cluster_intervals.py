"""Means over lists of which several belong to one person: the bootstrap draws persons, with all that is theirs.

A person stands in many nights, and in a replay at several sizes of the support. Their values go together, so that as many
lists of half as many persons say less. Resampling whole persons keeps that (Davison & Hinkley 1997, section 3.8; Field &
Welsh 2007, "Bootstrapping clustered data").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.intervals import Gain, Interval, ends, gain_of, sum_draws


def clustered_interval(
    values: NDArray[np.float64],
    person: NDArray[np.integer],
    draws: int,
    rng: np.random.Generator,
    min_users: int,
    stratum: NDArray[np.integer] | None = None,
) -> Interval:
    """Return the mean over lists with its percentile interval over persons.

    Parameters
    ----------
    values
        (lists,) a metric.
    person
        (lists,) code of the person that each list belongs to.
    draws
        Draws of the bootstrap.
    rng
        As `recpipe.metrics.intervals.seed_of` gives it.
    min_users
        Fewer persons than this have no interval.
    stratum
        (lists,) code of the part that each list belongs to, such as the size of the support: the value is then the mean over
        the parts' means, so that each part counts alike. None: one part.

    Returns
    -------
    Interval
        ``users`` is the number of persons.
    """
    sums, counts = _by_person([values], person, stratum)
    persons = len(counts)
    if persons < max(min_users, 1):
        return Interval(None, None, None, persons)
    ((value,), drawn) = _means(sums, counts, draws, rng)
    return Interval(float(value), *ends(drawn[0]), persons)


def clustered_gain(
    candidate: NDArray[np.float64],
    champion: NDArray[np.float64],
    person: NDArray[np.integer],
    draws: int,
    rng: np.random.Generator,
    min_users: int,
    stratum: NDArray[np.integer] | None = None,
) -> Gain:
    """Return the paired relative difference of two metrics of the same lists, with its percentile interval over persons.

    A draw in which the champion has no hit counts as an endless gain if the candidate has one, as none otherwise. Parameters
    are those of `clustered_interval`.
    """
    sums, counts = _by_person([candidate, champion], person, stratum)
    persons = len(counts)
    if not persons:
        return Gain(0.0, 0.0, None, None, None, 0)
    (mine, theirs), drawn = _means(sums, counts, draws, rng)
    if persons < max(min_users, 1) or theirs == 0.0:
        return Gain(mine, theirs, None, None, None, persons)
    return gain_of((mine, theirs), drawn, persons)


def _by_person(
    columns: list[NDArray[np.float64]], person: NDArray[np.integer], stratum: NDArray[np.integer] | None
) -> tuple[list[NDArray[np.float64]], NDArray[np.float64]]:
    """Return, (persons, parts) each, the sums of some columns and the number of lists."""
    who = np.unique(person, return_inverse=True)[1]
    part = np.zeros(len(who), np.int64) if stratum is None else np.unique(stratum, return_inverse=True)[1]
    persons, parts = (int(code.max(initial=-1)) + 1 for code in (who, part))
    cell = who * max(parts, 1) + part

    def summed(weights: NDArray[np.float64] | None) -> NDArray[np.float64]:
        found = np.bincount(cell, weights, minlength=persons * parts)
        return np.asarray(found.reshape(persons, parts), np.float64)

    return [summed(column) for column in columns], summed(None)


def _means(
    sums: list[NDArray[np.float64]], counts: NDArray[np.float64], draws: int, rng: np.random.Generator
) -> tuple[list[float], list[NDArray[np.float64]]]:
    """Return the mean of each column, and (draws,) means over persons drawn with replacement; the same persons for all columns."""
    parts = counts.shape[1]
    drawn = sum_draws(np.hstack([*sums, counts]), draws, rng)
    lists = drawn[:, -parts:]
    # a part that nobody of a draw belongs to has no mean in it
    resampled = [_over_parts(drawn[:, at * parts : (at + 1) * parts], lists) for at in range(len(sums))]
    whole = [float(_over_parts(column.sum(0)[None], counts.sum(0)[None])[0]) for column in sums]
    return whole, resampled


def _over_parts(total: NDArray[np.float64], lists: NDArray[np.float64]) -> NDArray[np.float64]:
    there = lists > 0
    means = np.divide(total, lists, out=np.zeros_like(total), where=there)
    return np.asarray(means.sum(axis=1) / np.maximum(there.sum(axis=1), 1))
