"""A small shop with four kinds of customers, two model folders, and MLflow stores that were migrated once."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import EVENTS, ITEMS, USERS
from recpipe.lake.lake import Lake
from recpipe.models.io import save
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity

FIRST = date(2026, 3, 2)
WEEK = date(2026, 3, 15)  # last day of the training's week; the gate looks at 9 to 15 March
FITTED = date(2026, 3, 8)
GROUPS, ITEMS_A_GROUP, USERS_A_GROUP = 4, 8, 10


def rows(table, found):
    return pa.Table.from_pylist([{name: row.get(name) for name in table.columns} for row in found], schema=table.schema)


def at(day, hour):
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC)


def item_id(group, number):
    return f"i{group}{number}"


def fill(lake: Lake) -> None:
    """Each kind of customer buys the items of its kind, three before the gate's days and two new ones in them."""
    shelves = [(g, n) for g in range(GROUPS) for n in range(ITEMS_A_GROUP)]
    items = [{"day": FIRST, "item_id": item_id(g, n), "title": f"{['red', 'blue', 'green', 'gold'][g]} cup {n}", "available": True}
             for g, n in shelves]  # fmt: skip
    people = [f"u{g}{n}" for g in range(GROUPS) for n in range(USERS_A_GROUP)]
    users = [{"day": FIRST, "user_id": user, "registered_at": at(FIRST, 0)} for user in people]
    lake.publish("items", [FIRST], rows(ITEMS, items))
    lake.publish("users", [FIRST], rows(USERS, users))
    rng, events = np.random.default_rng(0), []
    for user in people:
        bought = rng.permutation(ITEMS_A_GROUP)[:5]
        for place, number in enumerate(bought):
            day = FIRST + timedelta(days=place) if place < 3 else FITTED + timedelta(days=place - 2)
            events.append({"day": day, "event_id": f"{user}-{number}", "user_id": user, "item_id": item_id(int(user[1]), number),
                           "event_type": "purchase", "ts": at(day, 9), "price": 2.5, "quantity": 1})  # fmt: skip
    days = [FIRST + timedelta(days=n) for n in range((WEEK - FIRST).days + 1)]
    lake.publish("events", days, rows(EVENTS, events))


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory) -> Path:
    """A home with the shop's lake and an MLflow store without runs."""
    from recpipe.dataset.as_of import build_evidence
    from recpipe.registry.store import client

    settings = load_settings(home=tmp_path_factory.mktemp("template"))
    fill(Lake.from_settings(settings))
    client(settings).search_experiments()
    build_evidence(Lake.from_settings(settings).reader(), settings, WEEK)  # the texts are encoded once
    return settings.places.home


@pytest.fixture
def settings(filled_home: Path, tmp_path: Path) -> Settings:
    shutil.copytree(filled_home, tmp_path / "home")
    return load_settings(home=tmp_path / "home", bootstrap_draws=500, top_k=10)


def write_model(folder: Path, learner, trained=WEEK, fitted=FITTED, **facts) -> str:
    inputs = [{"table": "events", "first_day": str(FIRST), "last_day": str(fitted), "version": 1}]
    known = {"trained_until": str(trained), "fitted_until": str(fitted), "seed": 1, "encoder": "", "inputs": inputs}
    save(learner, folder, {**known, **facts})
    return str(folder)


@pytest.fixture
def popular(tmp_path: Path) -> str:
    return write_model(tmp_path / "popular", Popularity())


@pytest.fixture
def neighbours(tmp_path: Path) -> str:
    return write_model(tmp_path / "neighbours", ItemKNN())


@pytest.fixture
def model_folder(tmp_path: Path):
    def write(name: str, learner, trained: date, fitted: date) -> str:
        return write_model(tmp_path / name, learner, trained, fitted)

    return write
