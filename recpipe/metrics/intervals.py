"""Intervals of means over users, by the bootstrap (Efron & Tibshirani 1993, chapters 6 and 13).

Drawing n users with replacement and averaging is the same as drawing how often each *distinct* value comes, from one
multinomial. Ranking metrics take few distinct values, so a million users cost no more than a thousand.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

MOST_VALUES: Final = 1024


CELLS_AT_ONCE: Final = 4_000_000


MOST_CELLS: Final = 4096


LOW, HIGH = 0.025, 0.975


SURE: Final = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean over users with its 95 % interval; all None where too few users were measured.

    Attributes
    ----------
    value, low, high
        Mean, 2.5 % and 97.5 % point.
    users
        Users measured.
    """

    value: float | None
    low: float | None
    high: float | None
    users: int


@dataclass(frozen=True)
class Gain:
    """Paired relative difference of two means over the same users.

    Attributes
    ----------
    candidate, champion
        The two means.
    relative, low, high
        (candidate − champion) / champion and its 95 % interval; None where it is not defined: too few users, or a
        champion without a single hit.
    users
        Users measured.
    """

    candidate: float
    champion: float
    relative: float | None
    low: float | None
    high: float | None
    users: int


def seed_of(seed: int, *names: object) -> np.random.Generator:
    """Return a generator that depends on the seed and on what is drawn, not on what was drawn before it."""
    return np.random.default_rng([seed, zlib.crc32("/".join(map(str, names)).encode())])


def mean_interval(values: NDArray[np.float64], draws: int, rng: np.random.Generator, min_users: int) -> Interval:
    """Return the mean of (users,) values and its percentile interval; NaN values are not of measured users."""
    measured = values[~np.isnan(values)]
    if len(measured) < max(min_users, 1):
        return Interval(None, None, None, len(measured))
    return Interval(float(measured.mean()), *ends(mean_draws(measured, draws, rng)), len(measured))


def mean_draws(values: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (draws,) means of (users,) values, at least one, over users drawn with replacement."""
    distinct, counts = _merged(*np.unique(values, return_counts=True))
    return _sums(distinct[:, None], counts, draws, rng)[:, 0] / len(values)


def sum_draws(columns: NDArray[np.float64], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (draws, columns) sums over users drawn with replacement; all columns of a draw are of the same users.

    More than `MOST_CELLS` users are dealt at random into that many cells, which are drawn as if each were one user (the method of
    random groups, Wolter 2007, chapter 2): sums of users who have nothing to do with each other vary by cell as they do by user.
    """
    if not len(columns):
        return np.zeros((draws, columns.shape[1]))
    cells = min(len(columns), MOST_CELLS)
    if cells < len(columns):
        dealt = columns[rng.permutation(len(columns))]
        columns = np.add.reduceat(dealt, np.linspace(0, len(columns), cells, endpoint=False).astype(np.int64), axis=0)
    return _sums(columns, np.ones(cells), draws, rng)


def greatest_gap(groups: Sequence[NDArray[np.float64]], draws: int, rngs: Sequence[np.random.Generator]) -> Interval:
    """Return the greatest difference between the means of some groups of users, with a simultaneous 95 % interval.

    The greatest of several differences is above 0 by chance alone, and the more so the more groups there are. So the interval is
    that of all pairs at once: |D* − D| / se of the pair where it is greatest has the 95 % point q (the bootstrap of Tukey's
    studentised range; Westfall & Young 1993, section 2), every difference lies within D ± q se, and so does the greatest.
    Its lower end is 0 where all groups may be alike.

    Parameters
    ----------
    groups
        (users,) values of each group, at least one in each.
    draws
        Draws of the bootstrap.
    rngs
        One a group.
    """
    users = sum(map(len, groups))
    if len(groups) < 2:
        return Interval(None, None, None, users)
    means = np.array([values.mean() for values in groups])
    drawn = np.stack([mean_draws(values, draws, rng) for values, rng in zip(groups, rngs, strict=True)], axis=1)
    one, other = np.triu_indices(len(groups), 1)
    gap, gaps = means[one] - means[other], drawn[:, one] - drawn[:, other]
    error = gaps.std(axis=0)
    far = np.divide(np.abs(gaps - gap), error, out=np.zeros_like(gaps), where=error > 0).max(axis=1)
    reach = np.quantile(far, SURE) * error
    return Interval(
        float(np.abs(gap).max()), float(max(0.0, (np.abs(gap) - reach).max())), float((np.abs(gap) + reach).max()), users
    )


def paired_gain(
    candidate: NDArray[np.float64], champion: NDArray[np.float64], draws: int, rng: np.random.Generator, min_users: int
) -> Gain:
    """Return the paired relative difference of two metrics of the same users, with its percentile interval.

    Each draw takes users, not values, so what is hard for both weighs on both (Smucker, Allan & Carterette 2007).
    A draw in which the champion has no hit counts as an endless gain if the candidate has one, as none otherwise.

    Parameters
    ----------
    candidate, champion
        (users,) metric of the same user at the same place.
    draws
        Draws of the bootstrap.
    rng
        As `seed_of` gives it.
    min_users
        Fewer users than this have no interval.
    """
    users = len(candidate)
    means = (float(candidate.mean()), float(champion.mean())) if users else (0.0, 0.0)
    if users < max(min_users, 1) or means[1] == 0.0:
        return Gain(*means, None, None, None, users)
    pairs, counts = np.unique(np.stack([candidate, champion], axis=1), axis=0, return_counts=True)
    return gain_of(means, _sums(pairs, counts, draws, rng).T / users, users)


def gain_of(means: tuple[float, float], drawn: Sequence[NDArray[np.float64]] | NDArray[np.float64], users: int) -> Gain:
    """Return the relative difference of two means, the second above 0, and its interval by (2, draws) means of draws."""
    mine, theirs = drawn
    low, high = ends_or_none(np.divide(mine - theirs, theirs, out=np.where(mine > 0, np.inf, 0.0), where=theirs > 0))
    return Gain(*means, means[0] / means[1] - 1.0, low, high, users)


def ends(drawn: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5 % and 97.5 % points of (draws,) numbers."""
    low, high = np.quantile(drawn, [LOW, HIGH])
    return float(low), float(high)


def ends_or_none(drawn: NDArray[np.float64]) -> tuple[float | None, float | None]:
    """Return both points of (draws,) ratios of which some may be endless; None for a point that is."""
    # no interpolation: between a number and an endless one there is none
    low, high = (float(end) if np.isfinite(end) else None for end in np.quantile(drawn, [LOW, HIGH], method="inverted_cdf"))
    return low, high


def resamples(counts: NDArray[Any], draws: int, rng: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Yield blocks of (some draws, values): how often each value comes when as many as there are are drawn with replacement.

    Parameters
    ----------
    counts
        (values,) how often each value is there; ones where each stands for itself.
    """
    step = max(1, CELLS_AT_ONCE // len(counts))
    for start in range(0, draws, step):
        yield rng.multinomial(int(counts.sum()), counts / counts.sum(), min(step, draws - start))


def _sums(columns: NDArray[np.float64], counts: NDArray[Any], draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return (draws, columns) sums over resampled users; rows (values, columns) are there counts (values,) times."""
    return np.asarray(np.concatenate([block @ columns for block in resamples(counts, draws, rng)]))


def _merged(values: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Merge neighbours until few enough values are left; their mean stands for them, the overall mean stays."""
    if len(values) <= MOST_VALUES:
        return values, counts
    start = np.linspace(0, len(values), MOST_VALUES, endpoint=False).astype(np.int64)
    merged = np.add.reduceat(counts, start)
    return np.add.reduceat(values * counts, start) / merged, merged
