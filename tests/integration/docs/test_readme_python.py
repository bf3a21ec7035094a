"""The README's Python runs: the night of a shop, and a model on frames."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from small_shop import event, item, open_shop, user

from recpipe.demo.shop import DATA
from recpipe.models.popularity import Popularity
from recpipe.registry.store import client

ROOT = Path(__file__).parents[3]
BLOCKS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S)


def run(word: str) -> dict[str, Any]:
    """Run the one block that holds a word, and return its names."""
    (block,) = [block for block in BLOCKS if word in block]
    names: dict[str, Any] = {}
    exec(block, names)  # noqa: S102  # the page's own code is what is tested
    return names


@pytest.fixture
def delivered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The home of a shop with a day behind it, a model, and the delivery of the README's day."""
    monkeypatch.chdir(tmp_path)
    home = Path(".recpipe")
    shop = open_shop(home)
    monkeypatch.setenv("RECPIPE_ENCODER", shop.settings.text.encoder)
    things = tuple(item(name, colour) for name, colour in zip("abcd", ("red", "blue", "green", "red"), strict=True))
    people = (user("12375", "2011-09-01 08:00"), user("12376", "2011-09-01 08:00"))
    bought = tuple(event("12376", name, "purchase", "2011-09-01 10:00") for name in "ab")
    shop.deliver("2011-09-01", items=things, users=people, events=bought)
    shop.model(Popularity())
    client(shop.settings).set_model_version_tag(shop.settings.promotion.registered_model, "1", "promoted_on", "2011-08-28")
    new = {"user_id": "12375", "item_id": "a", "event_type": "purchase", "ts": pd.Timestamp("2011-09-02 10:00")}
    for table, rows in (("items", []), ("users", []), ("events", [new])):
        folder = home / "landing" / table / "day=2011-09-02"
        folder.mkdir(parents=True)
        if rows:
            pq.write_table(pa.Table.from_pylist(rows), folder / "part-0.parquet")
        (folder / "_SUCCESS").touch()


def test_the_night_of_a_shop(delivered: None, capsys: pytest.CaptureFixture[str]) -> None:
    shop = run("open_shop")["shop"]
    found = shop.table("recommendations", "2011-09-02")
    assert set(found["user_id"]) == {"12375", "12376"}
    mine = found[found["user_id"] == "12375"].sort_values("rank")["item_id"]
    assert set(mine) == {"b", "c", "d"}  # all that is on sale but what the user has
    assert list(shop.recommendations("12375")["item_id"]) == list(mine)
    assert mine.iloc[0] in capsys.readouterr().out


@pytest.mark.slow
def test_a_model_on_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """On the best sellers of the shipped shop's last months."""
    monkeypatch.chdir(tmp_path)
    events = (
        pd.read_parquet(DATA / "events.parquet").query("event_type == 'purchase' and ts >= '2011-06-20'").dropna(subset="user_id")
    )
    best = events["item_id"].value_counts().index[:40]
    events[events["item_id"].isin(best)].to_parquet("events.parquet")
    items = pd.read_parquet(DATA / "items.parquet")
    items[items["item_id"].isin(best)].to_parquet("items.parquet")

    names = run("from_frames")
    lists = names["model"].recommend(names["test"].support, k=10)
    assert list(lists.columns) == ["user_id", "item_id", "rank", "score", "because"]
    assert len(lists) == 10 * len(names["test"])  # forty items, of which ten at most are known
    assert set(lists["item_id"]) <= set(best)
    assert str(lists["item_id"].iloc[0]) in capsys.readouterr().out


def test_each_block_is_run() -> None:
    assert len(BLOCKS) == 2
