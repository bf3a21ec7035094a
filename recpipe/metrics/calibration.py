"""The distance of probabilities from rates."""

from __future__ import annotations

import numpy as np

from recpipe.metrics.probability import Floats


def calibration_error(probability: Floats, answered: Floats, bins: int = 10) -> float:
    """Return the mean distance of probability and rate over bins of equally many rows, weighed by them; 0 without rows.

    Bins of equal width (Guo et al. 2017, section 2) would hold nearly all rows in the first where answers are rare, and in the
    last where a model is sure; bins of equally many rows (Nguyen & O'Connor 2015, section 3) weigh alike everywhere.
    """
    order = np.argsort(probability, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    away = sum(abs(float((probability[part] - answered[part]).sum())) for part in parts)
    return away / len(order) if len(order) else 0.0
