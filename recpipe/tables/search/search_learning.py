"""The weights of evidence in a search: learned from the items met right after searches, beside a prior."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import POSITIVE_EVENT_TYPES
from recpipe.lake.reader import Reader
from recpipe.models.conditional_logit import fit_choices
from recpipe.tables.search.search_answers import FEATURES, Floats, ask, eligible, features
from recpipe.tables.search.search_catalogue import Goods, wish_for
from recpipe.tables.search.search_words import SearchWords
from recpipe.text.encoder import load_encoder
from recpipe.text.queries import is_personal, normalise

PRIOR: Final = (12.4, 4.3, 9.0, 1.9)
"""Weights of `FEATURES` where the log has no searches: learned on Online Retail II by ``python -m benchmarks.search FOLDER fit``."""
STRENGTH: Final = 20.0
"""Searches that the prior is worth, about."""
LEARN_DAYS: Final = 28
FEWEST: Final = 50
"""Pairs of a search and an item met after it below which nothing is learned."""
MOST: Final = 1000
NEGATIVES: Final = 30
"""Items a feature, the first by it, that stand beside the one that was met."""
AFTER: Final = timedelta(minutes=30)
BLOCK: Final = 32
COLUMNS: Final = ["event_id", "user_id", "session_id", "item_id", "event_type", "ts", "query"]
Choice = tuple[Floats, int]
"""(candidates, features), and the place of the one that was met."""


def met_after(rows: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Return (text, item) for everything that a visitor met within half an hour of a search and before the next one, sorted."""
    visits: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if visitor := _visitor(row):
            visits.setdefault(visitor, []).append(row)
    found: set[tuple[str, str, str]] = set()
    for visitor, own in visits.items():
        last: dict[str, Any] | None = None
        for row in sorted(own, key=lambda row: (row["ts"], row["event_type"] != "search", row["event_id"])):
            if row["event_type"] == "search":
                last = row if row["query"] else None
            elif last and row["item_id"] and row["event_type"] in POSITIVE_EVENT_TYPES and row["ts"] - last["ts"] <= AFTER:
                found.add((normalise(last["query"]), row["item_id"], f"{visitor} {last['event_id']}"))
    return [(text, item) for text, item, _ in sorted(found) if text and not is_personal(text)]


def _visitor(row: dict[str, Any]) -> str:
    if row["user_id"]:
        return f"user {row['user_id']}"
    return f"visit {row['session_id']}" if row["session_id"] else ""


def learn_weights(settings: Settings, reader: Reader, day: date, goods: Goods, words: SearchWords, sales: Floats) -> Floats:
    """Return (features,) weights from the searches of the last weeks; `PRIOR` where there are too few.

    Parameters
    ----------
    settings
        Name the encoder and the seed.
    reader, day
        Nothing after the day is looked at.
    goods, words
        The catalogue as of the day, and the words of filters.
    sales
        (items,) popularity before the weeks that are learned from, since what was met in them is the answer.
    """
    pairs = met_after(reader.events(day - timedelta(days=LEARN_DAYS - 1), day, COLUMNS).to_pylist())
    place = {item: row for row, item in enumerate(goods.item_ids)}
    pairs = [(text, item) for text, item in pairs if item in place]
    if len(pairs) < FEWEST:
        return np.array(PRIOR)
    if len(pairs) > MOST:
        some = np.sort(np.random.default_rng(settings.training.seed).choice(len(pairs), MOST, replace=False))
        pairs = [pairs[at] for at in some]
    encoder = load_encoder(settings.text.encoder, settings.places.work / "encoder")
    choices: list[Choice] = []
    for start in range(0, len(pairs), BLOCK):
        block = pairs[start : start + BLOCK]
        wishes = [wish_for(goods, text, words) for text, _ in block]
        found = features(goods, wishes, encoder.encode([wish.rest for wish in wishes]))
        found[len(FEATURES) - 1] = sales
        for at, one in enumerate(ask(goods, wishes, words)):
            choices += choice(found[:, at], eligible(goods, one, found[:, at]), place[block[at][1]])
    return fit(choices) if len(choices) >= FEWEST else np.array(PRIOR)


def choice(found: Floats, left: NDArray[np.bool_], target: int) -> list[Choice]:
    """Return the item that was met beside the first ones by each feature; nothing where no filter would have let it in."""
    if not left[target]:
        return []
    rows = np.flatnonzero(left)
    first = [rows[np.argsort(-found[kind, rows], kind="stable")[:NEGATIVES]] for kind in range(len(found))]
    kept = np.unique(np.concatenate([*first, [target]]))
    return [(found[:, kept].T, int(np.searchsorted(kept, target)))]


def fit(choices: Sequence[Choice], prior: Sequence[float] = PRIOR, strength: float = STRENGTH) -> Floats:
    """Return the weights of a conditional logit (McFadden 1974) that are likeliest beside a prior, none below zero.

    Parameters
    ----------
    choices
        What stood to choose, and what was chosen.
    prior
        (features,) where the weights are drawn to.
    strength
        How strongly: half the sum of squared relative distances from it, times this, is added to the loss.
    """
    centre = np.asarray(prior, np.float64)
    if not choices:
        return np.round(centre, 4)
    size = np.array([len(candidates) for candidates, _ in choices])
    start = np.cumsum(size) - size
    chosen = start + np.array([place for _, place in choices])
    penalty = strength / 2 / np.maximum(centre, 0.5) ** 2
    table = np.concatenate([candidates for candidates, _ in choices])
    return np.round(fit_choices(table, start, chosen, centre, penalty, centre, least=0.0), 4)
