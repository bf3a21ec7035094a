"""Shops that open: what is known of one some days after it opened, and users at their first order from then on.

A shop that opens knows texts before it knows users. How much each kind of evidence is worth in its first days can be learned from
another shop's log: openings are played through in it, at several instants, with what lies before each one hidden (episodic
training in the sense of Vinyals et al. 2016, section 2.2: learn under the conditions of use).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recpipe.dataset.episodes import as_of, cut_at_order
from recpipe.dataset.history import Evidence, events_of
from recpipe.training.quality import Window

if TYPE_CHECKING:
    import torch

    from recpipe.training.config import Config

    Tensors = dict[str, torch.Tensor]

AGES = (0, 7, 30)
"""Days since the opening at which a shop is looked at; one after the other, newest opening first."""
WINDOW_DAYS = 7
"""Days after such an instant in which a user's order is waited for."""
SHARE_KEPT = 0.25
"""Of what openings taught, so much is kept: what helps one shop misleads another. Of a quarter, a half, three quarters and all, a quarter
harmed least between Beauty and a sample of completejourney, in both directions (docs/benchmarks/other-shops.md)."""
LEAST_EPISODES = 100
"""Where fewer users come back within the horizon, it is doubled: shops differ in how often one comes."""
LONGEST_HORIZON, LONGEST_SHARE = 120.0, 1 / 8
"""Days of a query at most, and as a share of the log."""


def kept_for_others(taught: Tensors, untaught: Tensors) -> Tensors:
    """Return numbers between those before and after training: `SHARE_KEPT` of the way.

    Interpolated weights keep more of what holds elsewhere (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", section 3).
    """
    return {name: untaught[name].detach() + SHARE_KEPT * (held - untaught[name].detach()) for name, held in taught.items()}


def opened_at(evidence: Evidence, opened: np.datetime64, until: np.datetime64, last_day: np.datetime64) -> Evidence:
    """Return what a shop that opened at an instant knows later on: the catalogue, and what happened in between.

    Parameters
    ----------
    evidence
        As of ``until`` or later.
    opened, until
        datetime64[us]: events before the first, and at or after the second, are hidden.
    last_day
        datetime64[D] of the shop before ``until``: items first delivered after it become unavailable.
    """
    known = as_of(evidence, until, last_day)
    late = known.popularity_ts >= opened
    return replace(
        known,
        history=events_of(known.history, np.flatnonzero(known.history.ts >= opened)),
        popularity_item=known.popularity_item[late],
        popularity_ts=known.popularity_ts[late],
    )


def cut_openings(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> list[Window]:
    """Play openings through in the past, newest first, one of each age after the other.

    Instants lie a week apart at least, evenly over the last year of the log; the newest ones, one of each age, decide when to stop.
    The catalogue is that of the evidence throughout: a shop opens with all that it sells.
    """
    last = np.datetime64(str(facts["fitted_until"]), "D")
    reach = float((evidence.until - evidence.history.ts.min()) / np.timedelta64(1, "D")) if len(evidence.history.ts) else 0.0
    horizon = _horizon(evidence, facts, reach)
    first = round(horizon) + WINDOW_DAYS
    count = config.openings + len(AGES)
    step = max(7, int((min(reach, 365.0 + first) - max(AGES) - first) // max(count - 1, 1)))
    windows = []
    for number in range(count):
        back, age = first + number * step, AGES[number % len(AGES)]
        if back + age > reach:
            break
        windows.append(opening(evidence, facts, last, back, age, horizon))
    return [window for window in windows if len(window.episodes) >= 2]


def opening(evidence: Evidence, facts: Mapping[str, Any], last: np.datetime64, back: int, age: int, horizon: float) -> Window:
    """Return the window of a shop that opened ``age`` days before an instant, which lies ``back`` days before the end."""
    until = evidence.until - np.timedelta64(back, "D")
    opened = until - np.timedelta64(age, "D")
    known = opened_at(evidence, opened, until, last - back)
    known = replace(known, catalogue=evidence.catalogue)
    since = events_of(evidence.history, np.flatnonzero(evidence.history.ts >= opened))
    cut = cut_at_order(
        since, until, window_days=WINDOW_DAYS, horizon_days=horizon, half_life_days=float(facts.get("half_life_days", 90))
    )
    return Window(known, cut)


def _horizon(evidence: Evidence, facts: Mapping[str, Any], reach: float) -> float:
    """Return the days of a query: those of the facts, doubled as long as too few users come back within them."""
    horizon = float(facts.get("horizon_days", 7))
    while horizon * 2 <= min(LONGEST_HORIZON, LONGEST_SHARE * reach) and _come_back(evidence, horizon) < LEAST_EPISODES:
        horizon *= 2
    return horizon


def _come_back(evidence: Evidence, horizon: float) -> int:
    until = evidence.until - np.timedelta64(round(horizon) + WINDOW_DAYS, "D")
    return len(cut_at_order(evidence.history, until, window_days=WINDOW_DAYS, horizon_days=horizon, half_life_days=90.0))
