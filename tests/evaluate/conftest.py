"""A small shop whose lists and behaviour are known in full, so that outcomes can be worked out by hand."""

from __future__ import annotations

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake

FIRST = date(2026, 3, 1)
LISTS = date(2026, 3, 8)
DAY = date(2026, 3, 15)
ITEMS_SOLD = [f"i{n}" for n in range(8)]
WARM, ZERO = [f"w{n}" for n in range(6)], [f"z{n}" for n in range(3)]
LIST_OF = {"w": ["i4", "i5", "i6"], "z": ["i0", "i1", "i2"]}


def rows(name, found):
    table = TABLES[name]
    return pa.Table.from_pylist([{column: row.get(column) for column in table.columns} for row in found], schema=table.schema)


def event(day, user, item, kind="purchase"):
    ts = datetime(day.year, day.month, day.day, 9, tzinfo=UTC)
    return {"day": day, "event_id": f"{user}-{item}-{kind}-{day}", "user_id": user, "item_id": item, "event_type": kind, "ts": ts}


def list_rows(day, version="3"):
    reason = {"kind": "popular", "because_item_ids": []}
    return [
        {"day": day, "user_id": user, "rank": rank, "item_id": item, "score": 4.0 - rank, "cohort": cohort, "reason": reason,
         "model_version": version, "propensity": 1.0}
        for users, cohort in ((WARM, "warm"), (ZERO, "zero")) for user in users for rank, item in enumerate(LIST_OF[user[0]], 1)
    ]  # fmt: skip


def behaviour():
    """Everybody warm bought i0 and i1 before; since the lists, four users met something."""
    before = [event(FIRST, user, item) for user in WARM for item in ("i0", "i1")]
    before += [event(FIRST, None, "i2"), event(FIRST, None, "i3")]
    day = LISTS + timedelta(days=1)
    since = [
        event(day, "w0", "i4"),  # first place: nDCG 1
        event(day, "w1", "i5"),  # second place: 1 / log2 3
        event(day, "w2", "i5"), event(day, "w2", "i5", "return"),  # sent back: nothing met
        event(day, "w3", "i0"),  # met before: nothing new
        event(DAY, "w4", "i7"),  # not in the list: 0
        event(DAY, "z0", "i2"),  # third place: 1/2
        event(DAY + timedelta(days=1), "z1", "i0"),  # after the horizon
        event(day, None, "i4"),  # nobody's
    ]  # fmt: skip
    return before + since


@pytest.fixture(scope="session")
def filled_home(tmp_path_factory) -> Path:
    settings = load_settings(home=tmp_path_factory.mktemp("template"))
    lake = Lake.from_settings(settings)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    lake.publish("items", [FIRST], rows("items", [
        {"day": FIRST, "item_id": item, "title": f"cup {item}", "available": item != "i3"} for item in ITEMS_SOLD]))  # fmt: skip
    lake.publish("users", [FIRST], rows("users", [
        {"day": FIRST, "user_id": user, "registered_at": start} for user in WARM + ZERO]))  # fmt: skip
    days = [FIRST + timedelta(days=n) for n in range(16)]
    lake.publish("events", days, rows("events", behaviour()))
    lake.publish("recommendations", [LISTS], rows("recommendations", list_rows(LISTS)), model_version="3")
    from recpipe.dataset.as_of import build_evidence

    build_evidence(lake.reader(), settings, LISTS)  # the texts are encoded once
    return settings.places.home


@pytest.fixture
def settings(filled_home: Path, tmp_path: Path) -> Settings:
    shutil.copytree(filled_home, tmp_path / "home")
    return load_settings(home=tmp_path / "home", min_users=2, metric_k=3, top_k=3, bootstrap_draws=200)
