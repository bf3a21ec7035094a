"""The quality of probabilities: the area under the ROC curve with its interval, and the distance from the rates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.intervals import ends, resamples

Floats = NDArray[np.float64]


def auc(scores: Floats, answered: Floats, weights: Floats | NDArray[np.int64] | None = None) -> float:
    """Return the chance that who answered scores above who did not, ties half (Hanley & McNeil 1982); NaN with one kind only.

    Parameters
    ----------
    scores, answered
        (rows,).
    weights
        (rows,) how often a row counts; once if None.
    """
    weights = np.ones(len(scores)) if weights is None else weights
    _, place = np.unique(scores, return_inverse=True)
    yes = np.bincount(place, weights * answered)
    no = np.bincount(place, weights * (1 - answered))
    if not len(scores) or not yes.sum() or not no.sum():
        return float("nan")
    below = np.cumsum(no) - no
    return float((yes * (below + no / 2)).sum() / (yes.sum() * no.sum()))


def auc_interval(scores: Floats, answered: Floats, draws: int, rng: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of `auc` of the bootstrap over rows; draws with one kind only are left out, NaN if all are."""
    found = np.array([auc(scores, answered, times) for block in resamples(np.ones(len(scores)), draws, rng) for times in block])
    known = found[~np.isnan(found)]
    return ends(known) if len(known) else (float("nan"), float("nan"))
