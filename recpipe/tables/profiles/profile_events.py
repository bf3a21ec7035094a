"""The events behind profiles at the end of a day: items met, visits, searches and reviews of each user."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import POSITIVE_EVENT_TYPES, REVIEW_INSIGHTS
from recpipe.lake.reader import Reader, window
from recpipe.tables.profiles.preferences import Floats, Ints

COLUMNS: Final = ["day", "event_id", "user_id", "item_id", "event_type", "ts", "query", "rating", "price"]
EPOCH: Final = date(1970, 1, 1).toordinal()


@dataclass(frozen=True)
class Catalogue:
    """The items as of a day, by id: what they are called, where they stand, and what they cost."""

    ids: NDArray[np.object_]
    titles: list[str]
    categories: list[tuple[str, ...]]
    brands: list[str]
    prices: Floats


@dataclass(frozen=True)
class Happened:
    """Events of known users, as a frame by user, date, item, type and id, and what belongs to them.

    Attributes
    ----------
    day, half_life
        As of when, and the age in days at which evidence counts half.
    user_ids
        Sorted.
    items
        As of the day.
    events
        user, item (places; −1: none), event_type, date (ordinal, in the shop's zone), hour (−1: the clock says exactly midnight),
        query, rating, price, event_id, and weight by type of event.
    aspects
        By event id, the aspects of reviews with the polarity (or None) that the days before found.
    """

    day: date
    half_life: float
    user_ids: NDArray[np.object_]
    items: Catalogue
    events: Any
    aspects: dict[str, list[tuple[str, str | None]]]

    def decayed(self, dates: Ints) -> Floats:
        """Return how much evidence of some dates still counts, 0 to 1."""
        age = np.maximum(self.day.toordinal() - dates, 0)
        return np.asarray(0.5 ** (age / self.half_life))


def read_happened(settings: Settings, day: date, reader: Reader) -> Happened:
    """Read what the tables know of users at the end of a day; no attribute of a user is looked at."""
    first, last = window(day, settings.history.lookback_days)
    items = read_catalogue(reader, day)
    frame = reader.events(first, last, COLUMNS, ds.field("user_id").is_valid()).to_pandas()
    user_ids = np.array(sorted(frame["user_id"].unique()), object)
    frame["user"] = _places(user_ids, frame["user_id"])
    frame["item"] = _places(items.ids, frame["item_id"])
    local = frame["ts"].dt.tz_convert(settings.shop.zone)
    seconds = (local.dt.hour * 3600 + local.dt.minute * 60 + local.dt.second).to_numpy(np.int64)
    frame["hour"] = np.where(seconds == 0, -1, seconds // 3600)
    dates = local.dt.tz_localize(None).to_numpy().astype("datetime64[D]").astype(np.int64) + EPOCH
    frame["date"] = np.minimum(dates, day.toordinal())
    positive = {kind: weight for kind, weight in settings.history.event_weights.items() if kind in POSITIVE_EVENT_TYPES}
    frame["weight"] = frame["event_type"].map(positive).astype(np.float64).fillna(0.0)
    frame = frame.sort_values(["user", "date", "item", "event_type", "event_id"], kind="stable").reset_index(drop=True)
    kept = ["user", "item", "event_type", "date", "hour", "query", "rating", "price", "event_id", "weight"]
    aspects = _aspects(reader, first, day)
    return Happened(day, settings.history.half_life_days, user_ids, items, frame[kept], aspects)


def read_catalogue(reader: Reader, day: date) -> Catalogue:
    """Return the items that were delivered by the end of a day, by id."""
    rows = reader.as_of("items", day, ["day", "item_id", "title", "category", "brand", "price"])
    return Catalogue(
        np.array(rows["item_id"].to_pylist(), object),
        [title or "" for title in rows["title"].to_pylist()],
        [tuple(level for level in path or () if level) for path in rows["category"].to_pylist()],
        [brand or "" for brand in rows["brand"].to_pylist()],
        np.array([np.nan if price is None else price for price in rows["price"].to_pylist()], np.float64),
    )


def _places(known: NDArray[np.object_], ids: Any) -> Ints:
    """Return the place of each id among the known ones, which are sorted; −1 where it is none of them."""
    import pandas as pd

    return np.asarray(pd.Index(known).get_indexer(ids.astype(object)), np.int64)


def _aspects(reader: Reader, first: date, day: date) -> dict[str, list[tuple[str, str | None]]]:
    """Return what `review_insights` of the days before found in reviews: its rows of the day may still be under way."""
    columns = ["day", "event_id", "aspect", "polarity"]
    rows = reader.read(REVIEW_INSIGHTS.name, first, date.fromordinal(day.toordinal() - 1), columns)
    found: dict[str, list[tuple[str, str | None]]] = {}
    for row in rows.sort_by([(name, "ascending") for name in ("event_id", "aspect", "day")]).to_pylist():
        if row["aspect"] != "overall":
            found.setdefault(row["event_id"], []).append((row["aspect"], row["polarity"]))
    return found


def met(happened: Happened) -> Any:
    """Return what users met and kept: user, item, date, price and weight, an item once a day at its greatest weight.

    What was sent back is left out up to the day of the return. The price is the mean of that day's, else the item's own.
    """
    import pandas as pd

    events = happened.events
    found = events[(events["weight"] > 0) & (events["item"] >= 0)]
    found = found.groupby(["user", "item", "date"], sort=True, as_index=False).agg({"weight": "max", "price": "mean"})
    back = events[(events["event_type"] == "return") & (events["item"] >= 0)]
    back = back.groupby(["user", "item"], as_index=False)["date"].max().rename(columns={"date": "returned"})
    found = found.merge(back, on=["user", "item"], how="left")
    found = found[found["returned"].isna() | (found["date"] > found["returned"])]
    found = found.sort_values(["user", "date", "item"], kind="stable").reset_index(drop=True)
    listed = pd.Series(happened.items.prices[found["item"].to_numpy(np.int64)], index=found.index)
    return found.assign(price=found["price"].astype(np.float64).fillna(listed)).drop(columns="returned")
