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


def calibration_error(probability: Floats, answered: Floats, bins: int = 10) -> float:
    """Return the mean distance of probability and rate over bins of equally many rows, weighed by them; 0 without rows.

    Bins of equal width (Guo et al. 2017, section 2) would hold nearly all rows in the first where answers are rare, and in the
    last where a model is sure; bins of equally many rows (Nguyen & O'Connor 2015, section 3) weigh alike everywhere.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    away = sum(abs(float((probability[part] - answered[part]).sum())) for part in parts)
    return away / len(order) if len(order) else 0.0
