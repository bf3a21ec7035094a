"""A tiny shop, and a hand that drops its files into the landing folder."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings
from recpipe.lake.lake import Lake

DAY = date(2011, 9, 1)
Tables = pa.Table | list[pa.Table] | list[dict[str, Any]] | None


def event(user: Any = "u1", item: Any = "i1", kind: Any = "purchase", hour: int = 12, **more: Any) -> dict[str, Any]:
    return {"user_id": user, "item_id": item, "event_type": kind, "ts": datetime(2011, 9, 1, hour), **more}


def drop(settings: Settings, day: date = DAY, **tables: Tables) -> None:
    """Deliver a day: a table, a list of tables (one file each), rows as dictionaries, or None (nothing happened)."""
    for name in ("events", "items", "users"):
        folder = settings.places.landing_root / name / f"day={day}"
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob("*.parquet"):
            old.unlink()
        for number, part in enumerate(_parts(tables.get(name))):
            pq.write_table(part, folder / f"part-{number}.parquet")
        (folder / "_SUCCESS").touch()


def _parts(given: Tables) -> list[pa.Table]:
    if given is None:
        return []
    if isinstance(given, pa.Table):
        return [given]
    return [
        part if isinstance(part, pa.Table) else pa.Table.from_pylist(given)
        for part in given[: 1 if isinstance(given[0], dict) else None]
    ]


def published(settings: Settings, table: str) -> list[dict[str, Any]]:
    """Return everything that is published of a table, in a total order."""
    rows = Lake.from_settings(settings).reader().read(table).to_pylist()
    return sorted(rows, key=lambda row: [str(value) for value in row.values()])


@pytest.fixture
def deliver() -> Callable[..., None]:
    return drop


@pytest.fixture
def rows_of() -> Callable[[Settings, str], list[dict[str, Any]]]:
    return published


@pytest.fixture
def an_event() -> Callable[..., dict[str, Any]]:
    return event


@pytest.fixture
def part() -> Callable[[Settings, str], Path]:
    """Path of the first file that was dropped for a table."""
    return lambda settings, table: settings.places.landing_root / table / f"day={DAY}" / "part-0.parquet"
