"""What the demo says of newcomers: whose first items are followed, how they change the list, and what serves and why."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console
from small_shop import Shop, event, item, open_shop, user

from recpipe.demo.first_items import follow, pick_newcomer, print_steps
from recpipe.demo.main import LOCAL, RECOMMENDED
from recpipe.demo.shop import DATA, SETTINGS
from recpipe.demo.what_serves import _on_newcomers, ratio_sentences
from recpipe.models.text_prototype import TextPrototype
from recpipe.readers.outcome_curves import Point, Replayed
from recpipe.tables.recommendations.night_publish import recommend_day

DAY = "2026-03-03"


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Cups and lamps in two colours; two users came the day before the lists and met two and three items, one came earlier."""
    shop = open_shop(tmp_path / "home", top_k=6)
    goods = tuple(item(f"{colour}{n}", f"{colour} cup") for colour in ("red", "blue") for n in range(5))
    sold = tuple(event(None, "blue4", "purchase", f"2026-03-01 10:0{n}") for n in range(5))
    shop.deliver("2026-03-01", items=goods, users=(user("early", "2026-03-01 09:00"),), events=sold)
    shop.deliver(
        "2026-03-02",
        users=tuple(user(name, f"2026-03-02 0{at}:00") for at, name in enumerate(("two", "three", "none"))),
        events=(
            event("early", "blue0", "purchase", "2026-03-02 10:00"),
            event("early", "blue1", "purchase", "2026-03-02 11:00"),
            *(event("three", f"red{n}", "purchase", f"2026-03-02 1{n}:00") for n in range(3)),
        ),
    )
    shop.deliver(
        DAY, events=(event("two", "red0", "purchase", f"{DAY} 10:00"), event("two", "blue0", "purchase", f"{DAY} 11:00"))
    )
    shop.model(TextPrototype(popularity_weight=0.1))
    recommend_day(shop.settings, date.fromisoformat(DAY), "1")
    return shop


def test_the_newest_user_with_two_items_is_picked_and_of_equally_new_ones_the_one_with_the_fewest(shop: Shop) -> None:
    assert pick_newcomer(shop.lake.reader(), date.fromisoformat(DAY)) == "two"


def test_each_item_changes_the_list_by_the_functions_of_the_night(shop: Shop) -> None:
    steps = follow(shop.settings, date.fromisoformat(DAY), "two")
    assert steps.items == ("red cup", "blue cup")
    nothing, one, both = ([row["item_id"] for row in rows] for rows in steps.lists)
    assert nothing[0] == "blue4"  # what sells
    assert [name[:3] for name in one[:4]] == ["red"] * 4  # after a red cup the other four red ones
    assert "red0" not in one
    # with everything known it is the published list
    rows = shop.lake.reader().read("recommendations").to_pylist()
    published = sorted((row for row in rows if row["user_id"] == "two"), key=lambda row: row["rank"])
    assert both == [row["item_id"] for row in published]
    assert [row["score"] for row in steps.lists[2]] == [row["score"] for row in published]


def test_what_is_new_is_marked(shop: Shop) -> None:
    said = io.StringIO()
    print_steps(Console(file=said, width=160), follow(shop.settings, date.fromisoformat(DAY), "two"))
    text = said.getvalue()
    assert "user two, registered on 2026-03-02, served on 2026-03-03" in text
    assert "because of red cup" in text
    assert "+ red cup" in text
    assert "Of 6 places the first item changed" in text


def point(name: str, against: str, value: float | None) -> Point:
    low, high = (None, None) if value is None else (value / 2, value * 2)
    return Point("k>=1", name, against, value, low, high, 30)


def test_the_network_is_held_beside_what_serves() -> None:
    points = (
        point("pair_network", "", 0.2), point("stack", "", 0.1), point("pair_network", "stack", 2.0),
        point("stack", "popularity", None),
    )  # fmt: skip
    found = Replayed(date(2026, 3, 3), date(2026, 1, 1), 90, points)
    said = _on_newcomers(found, "pair_network", "stack")
    assert "a short training of it had 0.2000 and the stack of closed forms 0.1000: 2.00 (1.00–4.00) times" in said
    assert _on_newcomers(found, "pair_network", "country_popularity") == ""
    assert "too few persons (30)" in ratio_sentences(found)[1]


def test_the_demos_clock_stands_at_its_last_night() -> None:
    assert LOCAL["RECPIPE_CLOCK_DAY"] == str(RECOMMENDED[1]) < SETTINGS["RECPIPE_LAST_DAY"]
    assert (DATA / "replay.json").is_file()
