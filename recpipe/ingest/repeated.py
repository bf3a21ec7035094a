"""Rows that repeat another row of their day are taken out of what is staged, and into quarantine."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config import Settings
from recpipe.contract import QUARANTINE
from recpipe.ingest.columns import plan_columns
from recpipe.ingest.delivery import Delivery, require_delivery, shown_name, source_name
from recpipe.ingest.duplicates import ROW, RowNumbers, count_duplicates, write_duplicates
from recpipe.ingest.quarantine import duplicate_rows
from recpipe.ingest.reading import open_file, read_batches
from recpipe.ingest.staged import RowWriter, left_open_if_refused, staged_files
from recpipe.ingest.tally import Tally, refuse_bad_share


def take_out_duplicates(settings: Settings, table: str, folder: Path, tallies: dict[date, dict[str, Tally]]) -> None:
    """Take repeated rows of a table out of the staged days, and count them.

    Raises
    ------
    BadDelivery
        If too many rows of a day are bad with them.
    """
    files = staged_files(folder, table, list(tallies))
    for day, count in sorted(count_duplicates(settings, table, files, folder).items()):
        tally = tallies[day][table]
        tally.add_duplicates(count)
        with left_open_if_refused(settings, day):
            refuse_bad_share(settings, table, day, tally)
        numbers = folder / "duplicates.parquet"
        write_duplicates(settings, table, folder / table / f"{day}.parquet", numbers)
        _rewrite_without(settings, folder / table / f"{day}.parquet", numbers, tally)
        target = folder / "quarantine" / f"{day}-{table}-duplicates.parquet"
        _quarantine_duplicates(settings, require_delivery(settings, day), table, numbers, target)
        numbers.unlink()


def _rewrite_without(settings: Settings, staged: Path, numbers: Path, tally: Tally) -> None:
    """Write a staged file again, without some of its rows."""
    out = RowNumbers(numbers, settings.batch_rows)
    half = staged.with_suffix(".half")
    tally.first_ts = tally.last_ts = None
    with pq.ParquetFile(staged, pre_buffer=False) as opened, RowWriter(half, opened.schema_arrow) as kept:
        for batch in opened.iter_batches(settings.batch_rows):
            rows = batch[ROW].to_numpy()
            good = batch.filter(pa.array(~np.isin(rows, out.before(int(rows[-1]) + 1))))
            tally.see(good)
            kept.write(good)
    half.replace(staged)


def _quarantine_duplicates(settings: Settings, delivery: Delivery, table: str, numbers: Path, target: Path) -> None:
    """Fetch the duplicates from the delivered files once more: the quarantine keeps rows as they were delivered."""
    out = RowNumbers(numbers, settings.batch_rows)
    seen = 0
    with RowWriter(target, QUARANTINE.schema) as refused:
        for file in delivery.files[table]:
            begin = seen
            name, source = shown_name(settings, delivery, file), source_name(settings, delivery, file)
            with open_file(file, name) as opened:
                plan = plan_columns(settings, table, name, opened.schema_arrow)
                for batch in read_batches(file, name, opened, settings.batch_rows):
                    at = out.before(seen + batch.num_rows)
                    twice = batch.take(pa.array(at - seen))
                    refused.write(duplicate_rows(settings, plan, twice, delivery.day, source, at - begin))
                    seen += batch.num_rows
