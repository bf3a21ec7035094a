"""Lists for users of whom nothing is known but, perhaps, a country or what they typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.config import Settings
from recpipe.encode import load_encoder
from recpipe.learn.data import Evidence
from recpipe.learn.sales import faded_counts, knows_season, met_by_several, of_country, season_counts, trusted_countries

KINDS = ("popular", "popular_in_season", "popular_in_country", "search")
"""Reasons from least to most telling: a list is filled from the last, then from the one before, and so on."""
POPULAR, SEASON, COUNTRY, SEARCH = range(4)

BELOW_ONE = 0.999

LEAST_COSINE = 0.25
"""Texts less alike than this have nothing to do with each other."""
POPULARITY_SHARE = 0.05


@dataclass(frozen=True)
class Fallback:
    """What is popular on a day, each (items,) between 0 and 1; 0 where it says nothing of an item.

    Attributes
    ----------
    recent
        Events of anybody, fading with ``settings.popular_half_life_days``.
    season
        Events of anybody in the weeks that began a year ago (`recpipe.learn.sales.season_counts`); zeros where the history
        is shorter.
    country
        By name of a country with ``settings.min_country_users`` customers: their events, for items that several of them met.
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


def open_fallback(evidence: Evidence, settings: Settings) -> Fallback:
    """Count what is popular on a day: now, in each country, and in the weeks that came a year ago."""
    season = season_counts(evidence) if knows_season(evidence) else np.zeros(len(evidence.catalogue))
    return Fallback(
        recent=_to_one(faded_counts(evidence, settings.popular_half_life_days)),
        season=_to_one(season),
        country=_countries(evidence, settings),
        vectors=evidence.catalogue.vectors,
        settings=settings,
    )


def kind_of(score: float) -> str:
    """Return the reason that a score of `Fallback.scores` stands for."""
    return KINDS[min(int(score), SEARCH)]


def _above(value: NDArray[np.float64], kind: int, below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Put the items that a kind speaks of above the others; values stay below the next whole number."""
    return np.where(value > 0, kind + BELOW_ONE * value, below)


def _countries(evidence: Evidence, settings: Settings) -> dict[str, NDArray[np.float64]]:
    found = {}
    for code in trusted_countries(evidence.history, settings.min_country_users):
        own = of_country(evidence, code)
        value = _to_one(faded_counts(own, settings.half_life_days))
        found[evidence.history.country_names[code]] = np.where(met_by_several(own), value, 0.0)
    return found


def _newest_most(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the direction of texts given newest first, each counting half as much as the one before it."""
    total = np.exp2(-np.arange(len(vectors), dtype=np.float32)) @ vectors
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), dtype=np.float32)


def _to_one(counts: NDArray[np.number]) -> NDArray[np.float64]:
    return np.asarray(counts / max(float(counts.max(initial=0.0)), 1e-300), np.float64)
