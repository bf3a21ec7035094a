"""Learners without training: popularity (now, in the season, in a country), damped item kNN, and the text prototype.

They are the bar for what is trained, and the best of them is the first champion.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support
from recpipe.evidence.trends import (
    SEASONS_AHEAD,
    faded_counts,
    faded_users,
    knows_season,
    log_popularity,
    log_share,
    met_by_several,
    of_country,
    season_counts,
    trusted_countries,
)
from recpipe.models.base import ItemSpace, Matrix


@dataclass(frozen=True)
class Popularity:
    """Everybody gets what sells now.

    Parameters
    ----------
    half_life_days
        Age at which a sale counts half.
    """

    name: ClassVar[str] = "popularity"
    half_life_days: float = 14.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: no vector to speak of, popularity as the bias."""
        return ItemSpace(np.zeros((len(evidence.catalogue), 1), np.float32), log_popularity(evidence, self.half_life_days))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return zeros, (users, 1): nobody is anything of his own here."""
        return np.zeros((len(support), 1), np.float32)


@dataclass(frozen=True)
class UserPopularity:
    """Everybody gets what many users met, however often each of them did.

    Where some customers order for a whole shop of their own, the events of an item say more of them than of who comes next.

    Parameters
    ----------
    half_life_days
        Age at which the last meeting of a user with an item counts half.
    """

    name: ClassVar[str] = "user_popularity"
    half_life_days: float = 90.0

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: no vector to speak of, popularity among users as the bias."""
        bias = log_share(faded_users(evidence, self.half_life_days))
        return ItemSpace(np.zeros((len(evidence.catalogue), 1), np.float32), bias)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return zeros, (users, 1): nobody is anything of his own here."""
        return np.zeros((len(support), 1), np.float32)


@dataclass(frozen=True)
class SeasonPopularity:
    """Everybody gets what sells now, and what sold in the weeks that follow the list's day a year before it.

    The item vector holds what each week that a list may lie ahead of the evidence adds to the bias, the user vector says
    which week it is: none in a night, whose lists are made for the day on which its evidence ends.

    Parameters
    ----------
    half_life_days
        Age at which a sale counts half.
    season_weight
        What all sales of the season count, in units of all that sells now. Where the evidence does not reach back to the
        season they count nothing.
    """

    name: ClassVar[str] = "season_popularity"
    half_life_days: float = 14.0
    season_weight: float = 0.1

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: (items, weeks ahead), popularity and season as the bias."""
        now = faded_counts(evidence, self.half_life_days)
        weeks = np.stack([log_share(now + self._season(evidence, now, week)) for week in range(SEASONS_AHEAD)], axis=1)
        return ItemSpace(weeks - weeks[:, :1], weeks[:, 0])

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, weeks ahead): 1 in the week that the list lies ahead, zeros for the first."""
        days = np.zeros(len(support)) if support.ahead_days is None else support.ahead_days
        week = np.clip(np.round(days / 7), 0, SEASONS_AHEAD - 1).astype(np.int64)
        return one_hot(np.where(week > 0, week, -1), SEASONS_AHEAD)

    def _season(self, evidence: Evidence, now: NDArray[np.float64], week: int) -> NDArray[np.float64]:
        if not knows_season(evidence, 7 * week):
            return np.zeros_like(now)
        counts = season_counts(evidence, 7 * week)
        return np.asarray(counts * (self.season_weight * now.sum() / max(counts.sum(), 1.0)))


@dataclass(frozen=True)
class CountryPopularity:
    """Everybody gets what sells now, and above it what sells in the own country.

    The item vector holds what is popular in each country, the user vector says which one it is: a user whose country is
    unknown, or has few customers, gets what sells everywhere.

    Parameters
    ----------
    half_life_days
        Age at which a sale counts half, everywhere and in a country.
    country_weight
        What the first favourite of a country gets, in units of what the first of all items gets.
    least_customers
        Users of a country from which its own favourites are trusted; those count that several of them met.
    """

    name: ClassVar[str] = "country_popularity"
    half_life_days: float = 14.0
    country_weight: float = 1.0
    least_customers: int = 20

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: (items, countries), popularity everywhere as the bias."""
        countries = np.zeros((len(evidence.catalogue), max(len(evidence.history.country_names), 1)), np.float32)
        for code in trusted_countries(evidence.history, self.least_customers):
            own = of_country(evidence, code)
            favourites = log_popularity(own, self.half_life_days) * met_by_several(own)
            countries[:, code] = np.float32(self.country_weight) * favourites
        return ItemSpace(countries, log_popularity(evidence, self.half_life_days))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, countries): 1 for the user's country, zeros where it is unknown."""
        unknown = np.full(len(support), -1, np.int32)
        return one_hot(unknown if support.country is None else support.country, space.vectors.shape[1])


def one_hot(code: NDArray[np.integer], width: int) -> NDArray[np.float32]:
    """Return (users, width): 1 at each user's code, a row of zeros where it is −1."""
    rows = np.zeros((len(code), width), np.float32)
    known = np.flatnonzero(code >= 0)
    rows[known, code[known]] = 1
    return rows
