"""A shop of ninety days in three colours: users of before the cut buy one colour, and so do those who come after it."""

from __future__ import annotations

import shutil
from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pytest
import small_shop

from recpipe.contract import TABLES

FIRST, DAYS, CUT = date(2026, 1, 1), 90, date(2026, 3, 11)
LAST = FIRST + timedelta(days=DAYS - 1)
COLOURS = ("red", "blue", "green")
OPTIONS = {"replay_days": (LAST - CUT).days + 1, "replay_horizon_days": 9, "min_users": 5, "metric_k": 3, "top_k": 5,
           "bootstrap_draws": 200, "min_country_users": 5}  # fmt: skip


def fill(shop):
    """Publish all days of each table in one commit: ninety of them would take longer than what is tested."""
    rng, items = np.random.default_rng(5), [f"{colour}{n}" for colour in COLOURS for n in range(8)]
    since = {f"old{n:02d}": FIRST for n in range(24)} | {f"new{n:02d}": CUT + timedelta(days=n % 8) for n in range(12)}
    users, events = [], []
    for offset in range(DAYS):
        day = FIRST + timedelta(days=offset)
        users += [(day, small_shop.user(user, f"{day} 09:00", "France")) for user, first in since.items() if first == day]
        keen = [user for user, first in since.items() if day >= first and rng.random() < (0.25 if first == FIRST else 0.5)]
        for minute, user in enumerate(keen):
            item = f"{COLOURS[int(user[3:]) % 3]}{rng.integers(8)}"
            events.append((day, small_shop.event(user, item, "purchase", f"{day} 10:{minute:02d}")))
    goods = [(FIRST, small_shop.item(one, f"{one[:-1]} cup")) for one in items]
    publish(shop, FIRST, DAYS, items=goods, users=users, events=events)


def publish(shop, first, days, **tables):
    """Publish some days, each table in one commit; rows are (day, row)."""
    for name, rows in tables.items():
        schema = TABLES[name].schema
        full = [{column: {**row, "day": day}.get(column) for column in schema.names} for day, row in rows]
        every = [first + timedelta(days=offset) for offset in range(days)]
        shop.lake.publish(name, every, pa.Table.from_pylist(full, schema=schema))
    shop.know(*sorted({row["title"] for _, row in tables["items"]}))


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    """A home that is copied for whoever changes it."""
    home = tmp_path_factory.mktemp("replayed")
    fill(small_shop.open_shop(home, **OPTIONS))
    return home


@pytest.fixture(scope="session")
def publish_days():
    return publish


@pytest.fixture
def shop(filled, tmp_path):
    shutil.copytree(filled, tmp_path / "home")
    return small_shop.open_shop(tmp_path / "home", **OPTIONS)
