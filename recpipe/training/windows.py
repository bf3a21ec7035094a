"""The windows that a run learns from: earlier instants, newest first, and batches of their episodes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from recpipe.dataset.episodes import Episodes, as_of, choose, cut_as_new, cut_episodes, shorten, without_users
from recpipe.dataset.history import Evidence
from recpipe.training.cold_start import AGES, cut_openings
from recpipe.training.quality import Window

if TYPE_CHECKING:
    from recpipe.training.config import Config

NEW_USER_SIZES = (0, 1, 3, 5, 10)
"""Items that the supports of simulated new users hold."""
FORGET_EVERY = 4
"""Of the known users every so manieth is taken for new at a cut, another part at each."""
MOST_VALID = 800
"""Episodes of a window that are looked at to decide when to stop; of more, evenly spread ones."""


def windows_of(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> list[Window]:
    """Cut the past as the present will be: openings of a shop, new users, or week by week.

    Openings if the model is to start other shops, new users where the input names a window of them.
    """
    if config.openings:
        return cut_openings(evidence, facts, config)
    if facts.get("window_days"):
        return cut_new_users(evidence, facts, config)
    return cut_windows(evidence, facts, range(1, 1 + config.valid_weeks + config.cutoffs))


def windows_to_look_at(config: Config) -> int:
    """Return how many of the newest windows decide when to stop."""
    return len(AGES) if config.openings else config.valid_weeks


def cut_windows(evidence: Evidence, facts: Mapping[str, Any], weeks_back: Sequence[int]) -> list[Window]:
    """Cut the past at some numbers of weeks before its end; weeks with too few users or nothing before them are left out."""
    last = np.datetime64(str(facts["fitted_until"]), "D")
    horizon = float(facts.get("horizon_days", 7))
    windows = []
    for weeks in weeks_back:
        cutoff = evidence.until - np.timedelta64(7 * weeks, "D")
        known = as_of(evidence, cutoff, last - 7 * weeks)
        episodes = cut_episodes(
            evidence.history,
            cutoff,
            horizon_days=min(horizon, 7.0),  # what came next of a week never reaches into the next one's
            half_life_days=float(facts.get("half_life_days", 90)),
            last_events=int(facts.get("last_events", 200)),
        )
        if len(known.history.user) and len(episodes) >= 2:
            windows.append(Window(known, episodes))
    return windows


def cut_new_users(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> list[Window]:
    """Cut the past as a benchmark of new users cuts the present, newest cut first: the evidence stays that of the cut.

    A third of the horizon lies between two cuts, and at least two thirds of it behind the newest; the oldest leaves a third
    of the log as evidence. New users are few, so that some of the known ones are cut as if they were new, too: their past is
    taken out of the evidence of the cut. The newest cuts, which decide when to stop, have none of these.
    """
    horizon, window = float(facts["horizon_days"]), float(facts["window_days"])
    last, step = np.datetime64(str(facts["fitted_until"]), "D"), max(1, round(horizon / 3))
    reach = (evidence.until - evidence.history.ts.min()) / np.timedelta64(1, "D") if len(evidence.history.ts) else 0.0
    windows = []
    backs = range(2 * step, int(reach * 2 / 3), step)[: config.valid_weeks + config.new_user_cuts]
    for number, back in enumerate(backs):
        cutoff = evidence.until - np.timedelta64(back, "D")
        history = evidence.history
        if number >= config.valid_weeks:
            forgotten = np.flatnonzero((np.arange(len(history.user_ids)) + number) % FORGET_EVERY == 0)
            history = without_users(history, forgotten, cutoff)
        known = as_of(replace(evidence, history=history), cutoff, last - back)
        episodes = cut_as_new(
            history,
            cutoff,
            window_days=window,
            horizon_days=horizon,
            half_life_days=float(facts.get("half_life_days", 90)),
            sizes=NEW_USER_SIZES,
        )
        known = replace(known, catalogue=evidence.catalogue)  # the catalogue of such a benchmark knows no day of delivery
        if len(known.history.user) and len(episodes) >= 2:
            windows.append(Window(known, episodes))
    return windows


def cut_newcomers(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> list[Window]:
    """Cut the newest weeks as newcomers live them, beside the known users: one window, or none where nobody comes back in it.

    Who comes after the cut is taken at the first items, and so is each `FORGET_EVERY`-th known user, whose past is hidden: there
    are few real newcomers in two weeks. Nothing that training learns from lies behind the cut. Where all windows are of newcomers,
    this one is the newest with the known users beside.
    """
    horizon = float(facts["horizon_days"]) if facts.get("window_days") else 7.0 * config.valid_weeks
    back = 2 * max(1, round(horizon / 3)) if facts.get("window_days") else 7 * config.valid_weeks
    cutoff, history = evidence.until - np.timedelta64(back, "D"), evidence.history
    history = without_users(history, np.arange(0, len(history.user_ids), FORGET_EVERY), cutoff)
    known = as_of(replace(evidence, history=history), cutoff, np.datetime64(str(facts["fitted_until"]), "D") - back)
    if facts.get("window_days"):
        known = replace(known, catalogue=evidence.catalogue)
    episodes = cut_as_new(
        history,
        cutoff,
        window_days=float(facts.get("window_days") or back),
        horizon_days=horizon,
        half_life_days=float(facts.get("half_life_days", 90)),
        sizes=NEW_USER_SIZES,
    )
    return [some_of(Window(known, episodes))] if len(known.history.user) and len(episodes) >= 2 else []


def some_of(window: Window) -> Window:
    """Return a window with at most `MOST_VALID` episodes."""
    count = len(window.episodes)
    if count <= MOST_VALID:
        return window
    return Window(window.evidence, choose(window.episodes, np.linspace(0, count - 1, MOST_VALID).astype(np.intp)))


def draw(episodes: Episodes, config: Config, random: np.random.Generator) -> Episodes:
    """Draw a batch; some of its users are cut as if they were new."""
    rows = random.choice(len(episodes), min(config.batch_users, len(episodes)), replace=False)
    short = random.random(len(rows)) < config.short_share
    most = np.where(short, random.integers(0, config.short_items + 1, len(rows)), np.iinfo(np.int32).max)
    return shorten(choose(episodes, rows), most)


def too_little(evidence: Evidence, facts: Mapping[str, Any], config: Config) -> str:
    """Return the sentence for a history that no episode can be cut from."""
    if not len(evidence.history.ts):
        found = "it holds no event"
    else:
        days = (evidence.until - evidence.history.ts.min()) / np.timedelta64(1, "D")
        found = f"it reaches back {days:.0f} days, with {len(evidence.history.user)} events"
    return (
        f"The training input until {facts['fitted_until']} is too little to learn from: {found}. Training needs at least "
        f"{config.valid_weeks + 2} weeks in which users come back. Take more history in, or go on with a closed form."
    )
