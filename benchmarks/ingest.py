"""Ingestion: a month of the shipped shop, checked and published, beside pandas that reads and writes it unchecked."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import pandas as pd

from benchmarks.timing import Result, best
from recpipe.config.settings import Settings, load_settings
from recpipe.demo.shop import SETTINGS, land
from recpipe.tables.ingest.days_in import ingest_day, ingest_history

FIRST, LAST = date(2011, 8, 1), date(2011, 8, 30)


def ingestion(folder: Path) -> Iterator[Result]:
    """Time the month as history, and one day as a night does."""
    logging.disable(logging.WARNING)
    shop = {name.removeprefix("RECPIPE_").lower(): value for name, value in SETTINGS.items()}
    settings = load_settings(home=folder, **{name: _parsed(name, value) for name, value in shop.items()})
    land(settings.places.landing_root, FIRST, LAST)
    rows = sum(len(pd.read_parquet(file)) for file in settings.places.landing_root.rglob("*.parquet"))
    ingest_day(settings, FIRST)  # Great Expectations is imported once, and not timed
    ours, peer = best(lambda: ingest_history(settings, FIRST, LAST), lambda: copy(settings, folder / "copy"), turns=2)
    yield Result("ingest a month, one process", "rows", rows, ours, "pandas: read and write, nothing checked", peer)
    day = FIRST + timedelta(days=1)
    one = sum(len(pd.read_parquet(file)) for file in settings.places.landing_root.glob(f"*/day={day}/*.parquet"))
    ours, peer = best(lambda: ingest_day(settings, day), lambda: copy(settings, folder / "copy", day), turns=2)
    yield Result("ingest a day", "rows", one, ours, "pandas: read and write, nothing checked", peer)
    logging.disable(logging.NOTSET)


def copy(settings: Settings, target: Path, day: date | None = None) -> None:
    """Read what was landed and write it again, a file a day."""
    shutil.rmtree(target, ignore_errors=True)
    for file in settings.places.landing_root.glob(f"*/day={day or '*'}/*.parquet"):
        out = target / file.relative_to(settings.places.landing_root)
        out.parent.mkdir(parents=True)
        pd.read_parquet(file).to_parquet(out)


def _parsed(name: str, value: str) -> object:
    import json

    return json.loads(value) if value[:1] in "[{" else value
