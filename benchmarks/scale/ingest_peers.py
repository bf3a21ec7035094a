"""Ingestion of some days beside pyarrow, polars and DuckDB on the same files.

    python -m benchmarks.scale.ingest_peers LANDING SCRATCH [--days 10] [--turns 2] [--profile]

Peers check the rows of one table as recpipe does and write them; recpipe takes in three, with quarantine, audit and
register. Needs the packages of ``requirements.txt``.
"""

from __future__ import annotations

import argparse
import cProfile
import logging
import pstats
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from benchmarks.scale.generate import FIRST
from benchmarks.scale.metering import metered
from recpipe.config.settings import Settings, load_settings
from recpipe.contract import EVENT_TYPES
from recpipe.tables.ingest.day_commit import publish_days
from recpipe.tables.ingest.days_in import ingest_history
from recpipe.tables.ingest.stage import stage_days

LONGEST: Final = 10_000
"""Characters of a text above which a row is quarantined."""


@dataclass(frozen=True)
class Work:
    """Days to take in, and a folder to write to."""

    landing: Path
    scratch: Path
    days: list[date]

    def file(self, day: date) -> Path:
        """Return the events that were delivered on a day."""
        return self.landing / "events" / f"day={day}" / "part-0.parquet"

    @property
    def rows(self) -> int:
        """Events of all days."""
        return sum(pq.read_metadata(self.file(day)).num_rows for day in self.days)


def arrow(work: Work) -> None:
    """Copy the files, with nothing checked."""
    for day in work.days:
        pq.write_table(pq.read_table(work.file(day)), work.scratch / f"arrow-{day}.parquet", compression="zstd")


def polars(work: Work) -> None:
    """Check each row, keep the first of each event id, write."""
    import polars as pl

    for day in work.days:
        rows = pl.read_parquet(work.file(day))
        start = pl.lit(day).cast(pl.Datetime("us", "UTC"))
        late = (pl.col("ts") >= start + pl.duration(days=1)) | (pl.col("ts") < start - pl.duration(days=3))
        missing = pl.col("ts").is_null() | pl.col("event_id").is_null()
        homeless = pl.col("item_id").is_null() & (pl.col("event_type") != "search")
        wrong = (pl.col("price") < 0) | (pl.col("quantity") <= 0) | ~pl.col("event_type").is_in(EVENT_TYPES)
        long = (pl.col("query").str.len_chars() > LONGEST) | (pl.col("event_id").str.len_chars() > LONGEST)
        bad = (late | missing | homeless | wrong | long).fill_null(False)
        rows = rows.with_columns(pl.col("user_id", "item_id").str.strip_chars(), pl.lit(day).alias("day"))
        good = rows.filter(~bad).unique("event_id", keep="first")
        good.write_parquet(work.scratch / f"polars-{day}.parquet", compression="zstd", compression_level=3)


def duckdb(work: Work) -> None:
    """Do the same as a query."""
    import duckdb as engine

    connection = engine.connect(config={"threads": 2, "memory_limit": "1GB"})
    types = ", ".join(f"'{name}'" for name in EVENT_TYPES)
    for day in work.days:
        midnight = f"TIMESTAMPTZ '{day} 00:00:00+00'"
        connection.execute(
            f"COPY (SELECT DATE '{day}' AS day, * REPLACE (trim(user_id) AS user_id, trim(item_id) AS item_id) "  # noqa: S608
            f"FROM read_parquet('{work.file(day)}') WHERE event_type IN ({types}) AND ts < {midnight} + INTERVAL 1 DAY "
            f"AND ts >= {midnight} - INTERVAL 3 DAY AND (item_id IS NOT NULL OR event_type = 'search') "
            f"AND coalesce(price, 0) >= 0 AND coalesce(quantity, 1) > 0 AND coalesce(length(query), 0) <= {LONGEST} "
            f"AND event_id IS NOT NULL QUALIFY row_number() OVER (PARTITION BY event_id ORDER BY ts) = 1) "
            f"TO '{work.scratch}/duckdb-{day}.parquet' (FORMAT parquet, COMPRESSION zstd)"
        )


PEERS: Final[dict[str, Callable[[Work], None]]] = {
    "pyarrow: read and write": arrow,
    "polars: checks, first of each id, write": polars,
    "DuckDB: the same, 2 threads": duckdb,
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.ingest_peers", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("landing", type=Path)
    parser.add_argument("scratch", type=Path, help="folder of its own; what stands in it is removed")
    parser.add_argument("--days", type=int, default=10)
    parser.add_argument("--turns", type=int, default=2)
    parser.add_argument("--profile", action="store_true", help="say where recpipe's time goes")
    asked = parser.parse_args()
    shutil.rmtree(asked.scratch, ignore_errors=True)
    asked.scratch.mkdir(parents=True)
    work = Work(asked.landing, asked.scratch, [FIRST + timedelta(days=number) for number in range(asked.days)])
    logging.disable(logging.WARNING)
    settings = load_settings(home=asked.scratch / "home", landing=str(asked.landing), first_day=FIRST)
    measure(work, settings, asked.turns)
    if asked.profile:
        profile(work, settings)


def measure(work: Work, settings: Settings, turns: int) -> None:
    """Measure peers and recpipe in turn; a first day before it imports what there is to import."""
    ingest_history(settings, work.days[0], work.days[0])
    for _ in range(turns):
        for name, peer in PEERS.items():
            with metered(name, rows=work.rows):
                peer(work)
        with metered("recpipe: stage", rows=work.rows):
            folder = stage_days(settings, work.days)
        with metered("recpipe: audit and publish", rows=work.rows):
            publish_days(settings, work.days, folder)


def profile(work: Work, settings: Settings) -> None:
    """Print where recpipe's time goes."""
    with cProfile.Profile() as found:
        ingest_history(settings, work.days[0], work.days[-1])
    pstats.Stats(found).sort_stats("tottime").print_stats(22)
    pstats.Stats(found).sort_stats("cumtime").print_stats(45)


if __name__ == "__main__":
    main()
