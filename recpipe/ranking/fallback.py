"""Lists for users of whom nothing is known but, perhaps, a country or what they typed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.history import Evidence
from recpipe.evidence.trends import faded_counts, knows_season, met_by_several, of_country, season_counts, trusted_countries
from recpipe.text.encoder import load_encoder

KINDS = ("popular", "popular_in_season", "popular_in_country", "search")
POPULAR, SEASON, COUNTRY, SEARCH = range(4)
"""Places in `KINDS`. A list is filled with what was searched, then from the country, then from everywhere: now and in season."""
SEASON_SHARE = 0.1
"""What all sales of the season count beside all that sell now. A list by the season alone had nDCG@10 .069 where one by what
sells now had .106 (Online Retail II, users without support before March 2011), so it adds items and orders few."""

BELOW_ONE = 0.999

LEAST_COSINE = 0.25
"""Texts less alike than this have nothing to do with each other."""
POPULARITY_SHARE = 0.05


@dataclass(frozen=True)
class Fallback:
    """What is popular on a day, each (items,) between 0 and 1; 0 where it says nothing of an item.

    Attributes
    ----------
    everywhere
        Events of anybody, fading with ``settings.lists.popular_half_life_days``, and a share of those of the season.
    recent
        The first part of it alone.
    in_season
        (items,) bool: most of it is of the weeks that began a year ago (`recpipe.evidence.trends.season_counts`).
    country
        By name of a country with ``settings.lists.min_country_users`` customers: their events, for items that several of them met.
    vectors
        (items, d) text vectors of the catalogue.
    settings
        Name the encoder of the search texts.
    """

    everywhere: NDArray[np.float64]
    recent: NDArray[np.float64]
    in_season: NDArray[np.bool_]
    country: dict[str, NDArray[np.float64]]
    vectors: NDArray[np.float32]
    settings: Settings

    def scores(
        self, countries: Sequence[str], query_texts: Sequence[tuple[str, ...]]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return scores and kinds, (users, items) each: the place in `KINDS` of the most telling one that speaks of an item.

        Parameters
        ----------
        countries
            (users,) empty if unknown.
        query_texts
            (users,) newest first.
        """
        found = np.tile(BELOW_ONE * self.everywhere, (len(countries), 1))
        kinds = np.tile(np.where(self.in_season, SEASON, POPULAR), (len(countries), 1))
        for row, country in enumerate(countries):
            if country in self.country:
                found[row], kinds[row] = _above(self.country[country], COUNTRY, found[row], kinds[row])
        typed = [row for row, texts in enumerate(query_texts) if texts]
        if typed:
            alike = self._search([query_texts[row] for row in typed])
            found[typed], kinds[typed] = _above(alike, SEARCH, found[typed], kinds[typed])
        return found, kinds

    def _search(self, query_texts: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
        """Return (users, items) likeness of texts typed to texts of items, between 0 and 1; 0 where not alike."""
        encoder = load_encoder(self.settings.text.encoder, self.settings.places.work / "encoder")
        wanted = np.stack([_newest_most(encoder.encode(texts)) for texts in query_texts])
        cosine = np.asarray(wanted @ self.vectors.T, dtype=np.float64)
        value = (cosine + POPULARITY_SHARE * self.recent) / (1 + POPULARITY_SHARE)
        return np.where(cosine >= LEAST_COSINE, np.clip(value, 0, 1), 0.0)


def open_fallback(evidence: Evidence, settings: Settings) -> Fallback:
    """Count what is popular on a day: now, in each country, and in the weeks that came a year ago."""
    now = faded_counts(evidence, settings.lists.popular_half_life_days)
    season = season_counts(evidence) if knows_season(evidence) else np.zeros(len(evidence.catalogue))
    season = season * (SEASON_SHARE * now.sum() / max(season.sum(), 1.0))
    return Fallback(
        everywhere=_to_one(now + season),
        recent=_to_one(now),
        in_season=season > now,
        country=_countries(evidence, settings),
        vectors=evidence.catalogue.vectors,
        settings=settings,
    )


def _above(
    value: NDArray[np.float64], kind: int, below: NDArray[np.float64], kinds: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Put the items that a kind speaks of above the others; values stay below the next whole number."""
    speaks = value > 0
    return np.where(speaks, kind + BELOW_ONE * value, below), np.where(speaks, kind, kinds)


def _countries(evidence: Evidence, settings: Settings) -> dict[str, NDArray[np.float64]]:
    found = {}
    for code in trusted_countries(evidence.history, settings.lists.min_country_users):
        own = of_country(evidence, code)
        value = _to_one(faded_counts(own, settings.history.half_life_days))
        found[evidence.history.country_names[code]] = np.where(met_by_several(own), value, 0.0)
    return found


def _newest_most(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the direction of texts given newest first, each counting half as much as the one before it."""
    total = np.exp2(-np.arange(len(vectors), dtype=np.float32)) @ vectors
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-12), dtype=np.float32)


def _to_one(counts: NDArray[np.number]) -> NDArray[np.float64]:
    return np.asarray(counts / max(float(counts.max(initial=0.0)), 1e-300), np.float64)
