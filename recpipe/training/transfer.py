"""Transfer: a shop starts from the model of another one, and goes on from it as far as its own log allows.

The numbers of the other shop's model are a prior whose strength falls with the episodes at hand (L2-SP, Li et al. 2018, "Explicit
Inductive Bias for Transfer Learning with Convolutional Networks", section 3, equation 3; divided by the number of episodes it is the
Gaussian prior of a maximum a posteriori estimate): with few episodes the model stays what it was, with many it learns as usual.
What was learned is kept only if the shop's own later days say so; else the model is taken as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from recpipe.dataset.episodes import as_of, cut_at_order
from recpipe.dataset.history import Evidence, events_of
from recpipe.training.quality import Window

if TYPE_CHECKING:
    import torch

    from recpipe.training.config import Config

PRIOR_EPISODES = 50.0
"""What a squared difference of one from the other shop's number costs, in episodes."""
LEAST_EPISODES = 20
"""Fewer episodes than this, to learn from or to look at, say nothing."""
LONGEST = 7.0
SHARE = 0.25
"""Days of an order's window, and of its query, as a share of the shop's days, and at most."""
CUTS = 4


def knows_weeks(evidence: Evidence, config: Config) -> bool:
    """Return whether a shop has a log long enough to be taught as usual, week by week."""
    return _days_known(evidence) >= 7 * (config.valid_weeks + config.cutoffs + 1)


def cut_first_days(evidence: Evidence, facts: Mapping[str, Any]) -> tuple[list[Window], list[Window]]:
    """Cut the first days of a shop at the orders in them: a window to look at, and some to learn from.

    Nothing that the first window looks at, from its instant on, is in the others: their queries end there.

    Newest come first; windows without episodes are left out.
    """
    last, span = np.datetime64(str(facts["fitted_until"]), "D"), min(LONGEST, SHARE * _days_known(evidence))
    half_life = float(facts.get("half_life_days", 90))
    windows: list[Window] = []
    for number in range(CUTS + 1):
        back = span * (2 if number == 0 else 2.5 + number / 2)
        cutoff = evidence.until - np.timedelta64(round(back * 86_400), "s")
        end = evidence.until if number == 0 else evidence.until - np.timedelta64(round(2 * span * 86_400), "s")
        known = as_of(evidence, cutoff, last - int(np.ceil(back)))
        seen = events_of(evidence.history, np.flatnonzero(evidence.history.ts < end))
        episodes = cut_at_order(seen, cutoff, window_days=span, horizon_days=span, half_life_days=half_life)
        windows.append(Window(known, episodes))
    first, *others = windows
    return [first] if len(first.episodes) else [], [window for window in others if len(window.episodes) >= 2]


def enough(looked_at: list[Window], learned: list[Window]) -> bool:
    """Return whether some windows hold enough episodes to learn anything from, and to tell whether it helped."""
    return all(sum(len(window.episodes) for window in windows) >= LEAST_EPISODES for windows in (looked_at, learned))


def pull(tensors: Mapping[str, torch.Tensor], towards: Mapping[str, torch.Tensor], episodes: int) -> torch.Tensor:
    """Return what being away from the other shop's numbers costs, in the unit of the mean loss over so many episodes."""
    import torch

    away = torch.stack([((tensor - towards[name]) ** 2).sum() for name, tensor in tensors.items()]).sum()
    return away * (PRIOR_EPISODES / max(episodes, 1))


def clearly_better(change: Mapping[str, float]) -> bool:
    """Return whether a paired difference is above zero by more than its standard error (its 95 % interval is about four wide)."""
    return bool(change["difference"] > (change["high"] - change["low"]) / 4)


def _days_known(evidence: Evidence) -> float:
    ts = evidence.history.ts
    return float((evidence.until - ts.min()) / np.timedelta64(1, "D")) if len(ts) else 0.0
