"""A shop whose items are colours, so that its lists can be made by hand."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
from small_shop import Shop, event, item, user

from recpipe.models.text_prototype import TextPrototype

DAY = date(2026, 3, 2)
TEXT = TextPrototype(popularity_weight=0.0)


def fill(shop: Shop) -> Shop:
    """Items are colours; u1 is long known and bought a, u2 is new and bought a and c, u3 is known by name alone."""
    shop.deliver(
        "2026-03-01",
        items=(item("a", "red"), item("b", "red"), item("c", "blue"), item("d", "red", available=False), item("e", "red blue")),
        users=(user("u1", "2020-01-01 00:00"), user("u2", "2026-03-01 00:00"), user("u3", "2026-03-01 00:00")),
    )
    shop.deliver(
        "2026-03-02",
        events=(
            event("u1", "a", "purchase", "2026-03-02 12:00"),
            event("u2", "a", "purchase", "2026-03-02 12:00"),
            event("u2", "c", "purchase", "2026-03-02 12:00"),
        ),
    )
    return shop


def published(shop: Shop, table="recommendations", day=DAY) -> pa.Table:
    rows = shop.lake.reader().read(table, day, day)
    keys = ["user_id", "rank"] if table == "recommendations" else ["user_id"]
    return rows.sort_by([(key, "ascending") for key in keys])
