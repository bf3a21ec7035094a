"""Search texts on two real catalogues: prices on Online Retail, categories on Beauty."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake
from recpipe.pipeline.publish import run_day
from recpipe.tables.search.search_recommendations import SEARCHES

DAY = date(2026, 3, 2)


def answers(settings: Settings, items: list[dict], texts: list[str]) -> dict[str, list[dict]]:
    """Publish items and searches as one day, and return the rows of each text."""
    lake = Lake.from_settings(settings)
    searches = [
        {"event_id": str(n), "event_type": "search", "ts": datetime(2026, 3, 2, 10, tzinfo=UTC), "query": text}
        for n, text in enumerate(texts)
    ]
    for name, rows in (("items", items), ("events", searches)):
        schema = TABLES[name].schema
        full = [{column: {**row, "day": DAY}.get(column) for column in schema.names} for row in rows]
        lake.publish(name, [DAY], pa.Table.from_pylist(full, schema=schema))
    run_day(settings, SEARCHES, DAY)
    found: dict[str, list[dict]] = {}
    for row in lake.reader().read("search_recommendations", DAY, DAY).to_pylist():
        found.setdefault(row["query"], []).append(row)
    return found


@pytest.mark.slow
def test_limits_are_obeyed_on_online_retail(tmp_path, real_data: Path):
    rows = pq.read_table(real_data / "online_retail_ii" / "items.parquet").to_pylist()
    rows = [row for row in rows if row["is_merchandise"] and row["title"]][:600]
    items = [{"item_id": row["item_id"], "title": row["title"], "price": row["price"], "available": True} for row in rows]
    price, title = ({row["item_id"]: row[name] for row in rows} for name in ("price", "title"))
    texts = ["mug under £2", "Tasse unter 2 Euro", "1-2 € mug", "red candle"]
    found = answers(load_settings(home=tmp_path / "home"), items, texts)
    assert set(found) == {text.lower() for text in texts}
    for text, low, high in (("mug under £2", 0, 2), ("tasse unter 2 euro", 0, 2), ("1-2 € mug", 1, 2)):
        assert all(low <= price[row["item_id"]] <= high and not row["relaxed"] for row in found[text])
    assert "MUG" in title[found["mug under £2"][0]["item_id"]]
    assert any(set(row["matched_words"]) == {"red", "candle"} for row in found["red candle"][:5])


@pytest.mark.slow
def test_categories_are_obeyed_on_beauty(tmp_path, real_data: Path):
    rows = pq.read_table(real_data / "amazon2014_beauty" / "items.parquet").to_pylist()[::60]
    items = [
        {"item_id": row["item_id"], "title": row["title"], "category": row["category_path"].split(" > "), "available": True}
        for row in rows
    ]
    path = {row["item_id"]: row["category_path"] for row in rows}
    found = answers(
        load_settings(home=tmp_path / "home"),
        items,
        ["mascara", "shampoo for men under $15", "shampoo without sulfate", "洗发水"],
    )
    assert all("Mascara" in path[row["item_id"]] for row in found["mascara"])
    for text in ("shampoo for men under $15", "shampoo without sulfate", "洗发水"):
        assert all("Shampoo" in path[row["item_id"]] for row in found[text])
    assert {tuple(row["relaxed"]) for row in found["shampoo for men under $15"]} == {("price",)}  # nothing has a price here
