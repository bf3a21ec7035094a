"""A small shop to look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa
import pytest

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake

DAY = date(2011, 9, 2)
MOMENT = datetime(2011, 9, 1, 9, 30, tzinfo=UTC)
LISTED = {"model_version": "3", "propensity": 1.0, "score": 0.5}
BECAUSE = {"kind": "support", "because_item_ids": ["B"]}
LISTS = {
    date(2011, 9, 1): {"few": ["A", "C"]},
    DAY: {"few": ["A", "D"], "warm": ["A"]},
}
TABLES_OF_A_SHOP: dict[str, list[dict[str, Any]]] = {
    "items": [
        {"item_id": item, "title": title, "available": True}
        for item, title in (("A", "PAPER <b>LANTERN</b>"), ("B", "WHITE HEART"), ("C", "CAKE STAND"), ("D", "RED TEAPOT"))
    ],
    "users": [{"user_id": user, "registered_at": MOMENT, "country": "France"} for user in ("few", "warm")],
    "events": [
        {"event_id": f"{user}-{kind}", "user_id": user, "item_id": "B", "event_type": kind, "ts": MOMENT}
        for user in ("few", "warm")
        for kind in ("view", "purchase")
    ],
    "quarantine": [
        {"source_table": "events", "source_file": "part-0.parquet", "row_number": row, "reason": "negative price",
         "column": "price", "set_aside": False, "row_hash": "ab" * 32, "payload": '{"price": -4711.25}'}
        for row in (4, 9, 11, 12)
    ],
    "episodes": [
        {"user_id": "few", "cohort": "few", "k": 1, "query_texts": ["night light"],
         "support": [{"item_id": "B", "label": 1.0, "weight": 1.0, "ts": MOMENT}]},
    ],
    "outcomes": [
        {"horizon_days": 7, "cohort": cohort, "metric": "ndcg@10", "value": value, "ci_low": value, "ci_high": value, "users": 40,
         "name": name, "table": table, "group": None}
        for name, table, cohort, value in (
            ("3", "recommendations", "all", 0.25), ("popularity", None, "all", 0.125), ("3", "recommendations", "few", None),
            ("3", "cart_recommendations", "all", 0.9),
        )
    ],
}  # fmt: skip


@pytest.fixture(scope="session")
def open_shop() -> Callable[..., None]:
    """A function that publishes a small shop: lists of two days, and one day of what they were made from; ids of users as it is told."""

    def publish(settings: Settings, ids: Mapping[str, str] = MappingProxyType({})) -> None:
        lake = Lake.from_settings(settings)
        for table, rows in TABLES_OF_A_SHOP.items():
            known = [row | ({"user_id": ids.get(row["user_id"], row["user_id"])} if "user_id" in row else {}) for row in rows]
            made = pa.Table.from_pylist([{"day": DAY} | row for row in known], schema=TABLES[table].schema)
            lake.publish(table, [DAY], made)
        for day, lists in LISTS.items():
            rows = [
                LISTED
                | {"day": day, "user_id": ids.get(user, user), "cohort": user, "rank": rank, "item_id": item, "reason": BECAUSE}
                for user, items in lists.items()
                for rank, item in enumerate(items, 1)
            ]
            lake.publish("recommendations", [day], pa.Table.from_pylist(rows, schema=TABLES["recommendations"].schema))

    return publish
