"""A small lake, published through the same door as a real one, under ``.recpipe`` of the working directory."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake

DAY = date(2011, 9, 1)
MORNING = datetime(2011, 9, 1, 9, 30, tzinfo=UTC)
EVENING = datetime(2011, 9, 1, 18, 0, tzinfo=UTC)
HEART, STAND, BUNTING = "85123A", "22423", "47566"

EVENT = {"user_id": "warm", "item_id": HEART, "event_type": "purchase", "ts": MORNING, "price": 2.55, "quantity": 6}
LISTED = {"model_version": "3", "cohort": "few", "propensity": 1.0}

ROWS: dict[str, list[dict[str, Any]]] = {
    "items": [
        {"item_id": HEART, "title": "WHITE HANGING HEART", "available": True, "price": 2.55},
        {"item_id": STAND, "title": "CAKESTAND [3 TIER]", "available": True},
        {"item_id": BUNTING, "available": True},
    ],
    "users": [
        {"user_id": user, "registered_at": MORNING - timedelta(days=9), "country": "France"} for user in ("few", "warm", "zero")
    ],
    "quarantine": [
        {"source_table": "events", "source_file": "part-0.parquet", "row_number": 4, "reason": "negative price", "column": "price",
         "set_aside": False, "row_hash": "ab" * 32, "payload": "{}"},
    ],
    "events": [
        EVENT | {"event_id": "e1"},
        EVENT | {"event_id": "e2", "item_id": STAND, "ts": EVENING},
        EVENT | {"event_id": "e3", "item_id": BUNTING, "ts": EVENING, "event_type": "return"},
        EVENT | {"event_id": "e4", "user_id": None},
    ],
    "episodes": [
        {"user_id": "few", "cohort": "few", "k": 1, "query_texts": ["night light"],
         "support": [{"item_id": HEART, "label": 1.0, "weight": 0.9, "ts": MORNING}]},
        {"user_id": "zero", "cohort": "zero", "k": 0, "query_texts": [], "support": []},
    ],
    "recommendations": [
        LISTED | {"user_id": "few", "rank": 2, "item_id": BUNTING, "score": 0.25,
                  "reason": {"kind": "popular_in_country", "because_item_ids": []}},
        LISTED | {"user_id": "few", "rank": 1, "item_id": STAND, "score": 1.5,
                  "reason": {"kind": "support", "because_item_ids": [HEART, BUNTING]}},
        LISTED | {"user_id": "warm", "rank": 1, "item_id": BUNTING, "score": 0.5, "cohort": "warm",
                  "reason": {"kind": "support", "because_item_ids": [STAND]}},
        LISTED | {"user_id": "zero", "rank": 1, "item_id": HEART, "score": 0.125, "cohort": "zero",
                  "reason": {"kind": "popular", "because_item_ids": []}},
    ],
    "outcomes": [
        {"horizon_days": 7, "cohort": "all", "metric": "ndcg@10", "value": 0.07, "ci_low": 0.05, "ci_high": 0.09, "users": 40,
         "name": "3", "table": "recommendations"},
        {"horizon_days": 7, "cohort": "all", "metric": "exposure@10", "value": 0.12, "ci_low": 0.11, "ci_high": 0.13, "users": 412,
         "name": "3", "table": "recommendations", "group": "newness=new"},
    ],
    "newcomer_outcomes": [
        {"lists_day": date(2011, 8, 25), "horizon_days": 7, "user_id": "few", "cohort": "few", "k": 1, "name": "lists", "metric_k": 10,
         "ndcg": 0.5, "recall": 0.5, "hit_rate": 1.0, "met": 2},
    ],
    "replays": [
        {"trained_until": date(2011, 6, 2), "horizon_days": 90, "group": "k>=1", "metric": "ndcg@10", "value": 0.1, "ci_low": 0.08,
         "ci_high": 0.12, "users": 40, "name": "stack", "against": ""},
    ],
    "complements": [
        {"item_id": "22697", "rank": 1, "complement_id": "22699", "score": 1.5, "orders_together": 7, "lift": 3.5,
         "model_version": "complements-1"},
    ],
    "cart_recommendations": [
        {"user_id": "few", "rank": 1, "item_id": STAND, "score": 1.5, "kind": "cart", "because_item_ids": [HEART],
         "cart_item_ids": [HEART], "model_version": "complements-1"},
    ],
    "search_recommendations": [
        {"query": "heart under 3", "rank": 1, "item_id": HEART, "score": 6.2, "searches": 4, "price_high": 3.0, "cheap": False,
         "categories": [], "without": [], "relaxed": [], "matched_words": ["heart"],
         "reason": 'holds "heart"; costs 2.55, not above 3', "model_version": "cb5d5e42c401+5c1d9be0"},
    ],
    "campaign_audiences": [
        {"campaign_id": "autumn-lights", "user_id": "few", "rank": 1, "probability": 0.31, "basis": "responses",
         "reason": {"kind": "campaign_items", "because_item_ids": [HEART]}, "model_version": "campaigns-1+9c1f02aa"},
    ],
    "user_profiles": [
        {"user_id": "few", "tag": "topic:lantern", "kind": "topic", "weight": 0.5, "seen": 6.0, "expected": 1.0, "pieces": 7,
         "because_item_ids": [HEART], "evidence": "Met or searched for 7 of 9 times, on 2011-09-01; most of all WHITE HANGING HEART.",
         "first_day": DAY, "last_day": DAY, "model_version": "profiles-1+cb5d5e42c401"},
        {"user_id": "few", "tag": "rhythm:evening", "kind": "rhythm", "weight": 0.25, "seen": 4.0, "expected": 2.0, "pieces": 4,
         "because_item_ids": [], "evidence": "Came in the evening 4 of 5 times, on 2011-09-01.",
         "first_day": DAY, "last_day": DAY, "model_version": "profiles-1+cb5d5e42c401"},
    ],
    "item_classes": [
        {"scheme": "category", "item_id": STAND, "class_path": ["home"], "level": 1, "confidence": 0.9, "abstained": False,
         "because_item_ids": [HEART], "model_version": "classes-2+cb5d5e42c401"},
    ],
    "review_insights": [
        {"event_id": "r17", "item_id": HEART, "aspect": "overall", "expected_rating": 2.3, "polarity": "negative",
         "confidence": 0.84, "abstained": False, "evidence_start": 0, "evidence_end": 9, "evidence": "too small",
         "model_version": "cb5d5e42c401+5c1d9be0"},
    ],
    "item_digests": [
        {"item_id": HEART, "aspect": "overall", "reviews": 9, "reviews_before": 9, "positive": 1, "negative": 8,
         "positive_share": 1 / 9, "trend": -7 / 9, "trend_low": -0.92, "trend_high": -0.33, "complaint": "too small",
         "complaint_event_id": "r17", "model_version": "cb5d5e42c401"},
    ],
}  # fmt: skip


def publish(settings: Settings, table: str, day: date, rows: list[dict[str, Any]]) -> None:
    """Publish hand-made rows as a day of a table."""
    made = pa.Table.from_pylist([{"day": day} | row for row in rows], schema=TABLES[table].schema)
    version = "3" if table == "recommendations" else None
    Lake.from_settings(settings).publish(table, [day], made, model_version=version)


def fill(settings: Settings) -> Settings:
    """Publish one day of every table, and lists of the day before."""
    for table, rows in ROWS.items():
        publish(settings, table, DAY, rows)
    before = ROWS["recommendations"][3] | {"model_version": "2"}
    publish(settings, "recommendations", DAY - timedelta(days=1), [before])
    return settings


@pytest.fixture(scope="session")
def read_only(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Settings of a filled home for tests that only read it: it is made once."""
    return fill(load_settings(home=tmp_path_factory.mktemp("filled") / ".recpipe"))


@pytest.fixture
def lake_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of a filled home below the working directory, for tests that publish more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECPIPE_HOME", ".recpipe")
    return fill(load_settings())


@pytest.fixture
def shown(read_only: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Settings of the filled home that is only read, in a working directory of the test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RECPIPE_HOME", str(read_only.places.home))
    return load_settings()
