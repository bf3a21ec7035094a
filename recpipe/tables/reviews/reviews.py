"""Reviews, as the events of some days have them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

import pyarrow.dataset as ds

from recpipe.lake.reader import Reader

COLUMNS: Final = ["day", "event_id", "item_id", "event_type", "text", "rating"]


@dataclass(frozen=True)
class Review:
    """A review with a text."""

    day: date
    event_id: str
    item_id: str
    text: str
    rating: float | None


def read_reviews(reader: Reader, first: date, last: date) -> list[Review]:
    """Return the reviews of some days that have an item and a text, by event id."""
    rows = reader.events(first, last, COLUMNS, ds.field("event_type") == "review").to_pylist()
    return [
        Review(row["day"], row["event_id"], row["item_id"], row["text"], row["rating"])
        for row in sorted(rows, key=lambda row: str(row["event_id"]))
        if row["item_id"] and row["text"] and row["text"].strip()
    ]
