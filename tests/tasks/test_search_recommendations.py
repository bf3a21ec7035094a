"""What a search text is answered with: by hand on a shop of eight items, inside every filter, and the same however it is cut."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from small_shop import Shop, event, item, open_shop

from recpipe import rails
from recpipe.tasks.search_recommendations import SEARCHES

DAY = date(2026, 3, 2)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Cups and pots in two colours with prices, and two soaps, one of which does without perfume."""
    shop = open_shop(tmp_path / "home", min_users=1, bootstrap_draws=50)
    shop.deliver(
        "2026-03-01",
        items=(
            item("1", "Red cup", ["Home", "Cups"], price=5.0, brand="Acme"),
            item("2", "Blue cup", ["Home", "Cups"], price=15.0, brand="Acme"),
            item("3", "Green cup", ["Home", "Cups"], price=25.0, brand="Bolt"),
            item("4", "Red pot", ["Home", "Pots & Pans"], price=8.0),
            item("5", "Red soap with parfum", ["Bath", "Soaps"], price=3.0),
            item("6", "Green soap, parfum-free", ["Bath", "Soaps"], price=4.0),
            item("7", "Red cup, chipped", ["Home", "Cups"], available=False, price=1.0),
            item("8", "Blue cup without a price", ["Home", "Cups"]),
        ),
        events=tuple(event(f"u{n}", "2", "purchase", f"2026-03-01 1{n}:00") for n in range(3)),
    )
    return shop


def ask(shop: Shop, *texts: str, rests: tuple[str, ...] = (), shards: int = 1) -> dict[str, list[dict]]:
    """Search texts on the day, by a visitor each, and return the rows of each."""
    shop.know("", *rests, *texts)
    shop.deliver(
        DAY.isoformat(),
        events=tuple(event(f"v{n}", None, "search", "2026-03-02 10:00", query=text) for n, text in enumerate(texts)),
    )
    rails.run_day(shop.settings, SEARCHES, DAY, shards=shards)
    found: dict[str, list[dict]] = {}
    for row in shop.lake.reader().read("search_recommendations", DAY, DAY).to_pylist():
        found.setdefault(row["query"], []).append(row)
    return found


def ids(rows: list[dict]) -> list[str]:
    return [row["item_id"] for row in rows]


def test_first(shop):
    for q, rows in ask(
        shop,
        "red cup",
        "Cup under £15",
        "soap without parfum",
        "cups under 2",
        "acme cup",
        rests=("cup", "cups", "soap without parfum"),
    ).items():
        print(q)
        for r in rows:
            print("  ", {k: v for k, v in r.items() if k not in ("day", "query", "model_version")})
