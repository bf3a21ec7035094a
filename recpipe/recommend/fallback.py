"""Lists for users of whom nothing is known but, perhaps, a country or what they typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.config import Settings
from recpipe.encode import load_encoder
from recpipe.episodes import UserDay
from recpipe.learn.data import Evidence

KINDS = ("popular", "popular_in_season", "popular_in_country", "search")
"""Reasons from least to most telling: a list is filled from the last, then from the one before, and so on."""
POPULAR, SEASON, COUNTRY, SEARCH = range(4)

BELOW_ONE = 0.999

LEAST_COSINE = 0.25
"""Texts less alike than this have nothing to do with each other."""
POPULARITY_SHARE = 0.05
YEAR = np.timedelta64(364, "D")
"""The same weekday a year ago."""
SEASON_DAYS = np.timedelta64(28, "D")
LEAST_COUNTRY_BUYERS = 2


@dataclass(frozen=True)
class Fallback:
    """What is popular on a day, each (items,) between 0 and 1; 0 where it says nothing of an item.

    Attributes
    ----------
    recent
        Events of anybody, fading with ``settings.popular_half_life_days``.
    season
        Events of anybody in the four weeks that began a year ago; zeros where the history is shorter.
    country
        By country with enough customers: their events, for items that at least two of them met.
    vectors
        (items, d) text vectors of the catalogue.
    settings
        Name the encoder of the search texts.
    """

    recent: NDArray[np.float64]
    season: NDArray[np.float64]
    country: dict[str, NDArray[np.float64]]
    vectors: NDArray[np.float32]
    settings: Settings

    def scores(self, countries: Sequence[str], query_texts: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """Return (users, items): the most telling kind that speaks of an item (its place in `KINDS`), plus its value.

        Parameters
        ----------
        countries
            (users,) empty if unknown.
        query_texts
            (users,) newest first.
        """
        everywhere = _above(self.season, SEASON, BELOW_ONE * self.recent)
        found = np.tile(everywhere, (len(countries), 1))
        for row, country in enumerate(countries):
            if country in self.country:
                found[row] = _above(self.country[country], COUNTRY, found[row])
        typed = [row for row, texts in enumerate(query_texts) if texts]
        if typed:
            alike = self._search([query_texts[row] for row in typed])
            found[typed] = _above(alike, SEARCH, found[typed])
        return found

    def _search(self, query_texts: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """Return (users, items) likeness of texts typed to texts of items, between 0 and 1; 0 where not alike."""
        encoder = load_encoder(self.settings.encoder, self.settings.work / "encoder")
        wanted = np.stack([_newest_most(encoder.encode(texts)) for texts in query_texts])
        cosine = np.asarray(wanted @ self.vectors.T, dtype=np.float64)
        value = (cosine + POPULARITY_SHARE * self.recent) / (1 + POPULARITY_SHARE)
        return np.where(cosine >= LEAST_COSINE, np.clip(value, 0, 1), 0.0)


def open_fallback(evidence: Evidence, users: UserDay, settings: Settings) -> Fallback:
    """Count what is popular on a day: now, in each country, and in the weeks that came a year ago."""
    items = len(evidence.catalogue)
    return Fallback(
        recent=_faded(evidence.popularity_item, evidence.popularity_ts, evidence.until, settings.popular_half_life_days, items),
        season=_season(evidence, items),
        country=_countries(evidence, users, settings, items),
        vectors=evidence.catalogue.vectors,
        settings=settings,
    )


def kind_of(score: float) -> str:
    """Return the reason that a score of `Fallback.scores` stands for."""
    return KINDS[min(int(score), SEARCH)]


def _above(value: NDArray[np.float64], kind: int, below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the items that a kind speaks of above the others; values stay below the next whole number."""
    return np.where(value > 0, kind + BELOW_ONE * value, below)


def _faded(
    item: NDArray[np.int32], ts: NDArray[np.datetime64], until: np.datetime64, half_life_days: float, items: int
) -> NDArray[np.float64]:
    age = (until - ts) / np.timedelta64(1, "D")
    return _to_one(np.bincount(item, np.exp2(-age / half_life_days), minlength=items))


def _season(evidence: Evidence, items: int) -> NDArray[np.float64]:
    begin = evidence.until - YEAR
    if not len(evidence.popularity_ts) or evidence.popularity_ts.min() > begin:
        return np.zeros(items)
    then = (evidence.popularity_ts >= begin) & (evidence.popularity_ts < begin + SEASON_DAYS)
    return _to_one(np.bincount(evidence.popularity_item[then], np.ones(int(then.sum())), minlength=items))


def _countries(evidence: Evidence, users: UserDay, settings: Settings, items: int) -> dict[str, NDArray[np.float64]]:
    history = evidence.history
    country = users.country[np.searchsorted(users.user_ids, history.user_ids)]
    names, customers = np.unique(country[country != ""], return_counts=True)
    found = {}
    for name in names[customers >= settings.min_country_users]:
        rows = (country == name)[history.user]
        item, ts = history.item[rows], history.ts[rows]
        pairs = np.unique(history.user[rows].astype(np.int64) * items + item)
        buyers = np.bincount(pairs % items, minlength=items)
        value = _faded(item, ts, evidence.until, settings.half_life_days, items)
        found[str(name)] = np.where(buyers >= LEAST_COUNTRY_BUYERS, value, 0.0)
    return found


def _newest_most(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the direction of texts given newest first, each counting half as much as the one before it."""
    total = np.exp2(-np.arange(len(vectors), dtype=np.float32)) @ vectors
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), dtype=np.float32)


def _to_one(counts: NDArray[np.number]) -> NDArray[np.float64]:
    return np.asarray(counts / max(float(counts.max(initial=0.0)), 1e-300), np.float64)
