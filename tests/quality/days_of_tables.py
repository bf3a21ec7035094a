"""Hand-made days of every table that pass their suite."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from recpipe.contract import TABLES
from recpipe.validation.suites import LIST_FACTS

DAY = date(2011, 9, 1)
MORNING = datetime(2011, 9, 1, 9, 30, tzinfo=UTC)

ENTRY = {"item_id": "85123A", "label": 1.0, "weight": 0.5, "ts": MORNING}

GOOD_ROWS: dict[str, list[dict[str, Any]]] = {
    "events": [
        {"event_id": "e1", "user_id": "u1", "item_id": "85123A", "event_type": "purchase", "ts": MORNING, "price": 2.55, "quantity": 6},
        {"event_id": "e2", "user_id": None, "item_id": "22423", "event_type": "view", "ts": MORNING},
        {"event_id": "e3", "user_id": "u2", "item_id": None, "event_type": "search", "ts": MORNING, "query": "light"},
        {"event_id": "e4", "user_id": "u2", "item_id": "22423", "event_type": "review", "ts": MORNING, "rating": 4.0, "text": "fine"},
    ],
    "items": [
        {"item_id": "85123A", "title": "WHITE HANGING HEART", "price": 2.55, "available": True, "category": ["home", "light"]},
        {"item_id": "22423", "title": "CAKESTAND", "description": "three tiers", "available": False},
    ],
    "users": [
        {"user_id": "u1", "registered_at": MORNING, "country": "France", "attributes": [("tier", "gold")]},
        {"user_id": "u2", "registered_at": datetime(2011, 8, 1, tzinfo=UTC)},
    ],
    "quarantine": [
        {
            "source_table": "events", "source_file": "a.parquet", "row_number": n, "reason": "no item id", "column": "item",
            "set_aside": False, "row_hash": "0123456789abcdef" * 4, "payload": '{"price": 2.5}',
        }
        for n in range(2)
    ],
    "episodes": [
        {"user_id": "u1", "cohort": "few", "k": 2, "support": [ENTRY, ENTRY | {"item_id": "22423"}], "query_texts": ["light"]},
        {"user_id": "u2", "cohort": "zero", "k": 0, "support": [], "query_texts": []},
    ],
    "recommendations": [
        {
            "user_id": "u1", "rank": rank, "item_id": item, "score": 1.0 / rank, "cohort": "few", "model_version": "3", "propensity": 1.0,
            "reason": {"kind": kind, "because_item_ids": because},
        }
        for rank, item, kind, because in ((1, "22423", "support", ["85123A"]), (2, "47566", "popular", []))
    ],
    "outcomes": [
        {
            "horizon_days": 7, "cohort": "all", "metric": "ndcg@10", "value": 0.2, "ci_low": 0.1, "ci_high": 0.3, "users": 40,
            "name": "3", "table": "recommendations",
        },
        {
            "horizon_days": 7, "cohort": "zero", "metric": "ndcg@10", "value": None, "users": 3, "name": "3",
            "table": "recommendations",
        },
    ],
    "newcomer_outcomes": [
        {
            "lists_day": date(2011, 8, 25), "horizon_days": 7, "user_id": user, "cohort": cohort, "k": k, "name": "lists", "metric_k": 10,
            "ndcg": 0.5, "recall": 0.5, "hit_rate": 1.0, "met": 2,
        }
        for user, cohort, k in (("u1", "few", 2), ("u2", "zero", 0))
    ],
    "replays": [
        {
            "trained_until": date(2011, 6, 2), "horizon_days": 90, "group": group, "metric": "ndcg@10", "value": 0.2, "ci_low": 0.1,
            "ci_high": 0.3, "users": 40, "name": "stack", "against": "",
        }
        for group in ("k=0", "k>=1")
    ],
}  # fmt: skip

GOOD_FACTS: dict[str, dict[str, Any]] = {
    "events": {"bad_share": 0.01},
    "items": {"bad_share": 0.0},
    "users": {"bad_share": 0.0},
    "recommendations": dict.fromkeys(LIST_FACTS, 0),
}


def good_rows(table: str, of_day: date = DAY, **changes: Any) -> pa.Table:
    """Return the good day of a table, with changes to its first row."""
    first, *others = GOOD_ROWS[table]
    listed = [{"day": of_day} | row for row in (first | changes, *others)]
    schema = TABLES[table].schema
    loose = pa.schema([field.with_nullable(True) for field in schema])
    return pa.Table.from_pylist(listed, schema=loose).cast(loose).replace_schema_metadata(None)
