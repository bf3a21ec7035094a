"""Choices of people: the conditional logit (McFadden 1974) of one candidate among several, beside a prior."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def fit_choices(
    table: Floats,
    start: NDArray[np.intp],
    chosen: NDArray[np.intp],
    begin: Floats,
    penalty: Floats,
    centre: Floats | float = 0.0,
    least: float | None = None,
) -> Floats:
    """Return (features,) weights under which what was chosen is likeliest, by L-BFGS.

    Parameters
    ----------
    table, start, chosen, penalty, centre
        As of `choice_loss`.
    begin
        (features,) where the search begins.
    least
        No weight is below it; None: any.
    """
    from scipy.optimize import minimize

    bounds = None if least is None else [(least, None)] * len(begin)
    loss = choice_loss(table, start, chosen, penalty, centre)
    return np.asarray(minimize(loss, begin, jac=True, method="L-BFGS-B", bounds=bounds).x, np.float64)


def choice_loss(
    table: Floats, start: NDArray[np.intp], chosen: NDArray[np.intp], penalty: Floats, centre: Floats | float = 0.0
) -> Callable[[Floats], tuple[float, Floats]]:
    """Return (features,) weights to what they lose, and its gradient.

    Parameters
    ----------
    table
        (candidates, features); the rows from one of ``start`` to the next are one choice.
    start, chosen
        (choices,) first row, and row of what was chosen.
    penalty, centre
        (features,) λ of λ (w − centre)², which is added to the loss.
    """
    size = np.diff(np.r_[start, len(table)])
    picked = table[chosen].sum(0)

    def loss(weights: Floats) -> tuple[float, Floats]:
        value = table @ weights
        value -= np.repeat(np.maximum.reduceat(value, start), size)
        share = np.exp(value)
        total = np.add.reduceat(share, start)
        away = weights - centre
        lost = float((np.log(total) - value[chosen]).sum() + (penalty * away) @ away)
        return lost, (share / np.repeat(total, size)) @ table - picked + 2 * penalty * away

    return loss
