"""Rows with the key of another row of their day: copies are taken out, and of two states of a key the earlier."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.config.shop_settings import IntakeSettings
from recpipe.contract import EVENTS, QUARANTINE
from recpipe.errors import BadDelivery
from recpipe.faults import explained
from recpipe.files import whole_file
from recpipe.printable import named
from recpipe.tables.ingest.duplicates import ROW, RowNumbers, count_duplicates, largest_user_shares, write_fates, write_repeated
from recpipe.tables.ingest.landed.delivery import Delivery, require_delivery, shown_name, source_name
from recpipe.tables.ingest.quarantine_rows import repeated_rows
from recpipe.tables.ingest.rows.columns import Plan, convert, plan_columns, version_column
from recpipe.tables.ingest.rows.file_reading import Batch, open_file, read_batches
from recpipe.tables.ingest.rows.identity import content_hashes
from recpipe.tables.ingest.rows.jsonable import python_values
from recpipe.tables.ingest.rows.plain_types import plain
from recpipe.tables.ingest.rows.row_checks import FEEDS
from recpipe.tables.ingest.rows.shop_readings import Shop, is_text
from recpipe.tables.ingest.rows.times import read_time
from recpipe.tables.ingest.staged import AGAIN, RowWriter, left_open_if_refused, staged_files
from recpipe.tables.ingest.tally import Tally, refuse_bad_share
from recpipe.user_ids.keys import has_key

VERSION: Final = pa.decimal128(38, 9)
CONTENTS: Final = pa.schema([(ROW, pa.int64()), ("content", pa.string()), ("version", VERSION)])
SMALLEST: Final = Decimal("1e-9")
LARGEST: Final = Decimal(10) ** 28
EXACT: Final = Context(prec=VERSION.precision)
"""Python's own context has 28 digits, too few for a number of twenty and nine behind its point."""


def take_out_duplicates(settings: Settings, table: str, folder: Path, tallies: dict[date, dict[str, Tally]]) -> None:
    """Take rows that repeat a key of their day out of the staged days of a table, and count them.

    Raises
    ------
    BadDelivery
        If too many rows of a day are bad with them.
    """
    files = staged_files(folder, table, list(tallies))
    for day in sorted(count_duplicates(settings, table, files, folder)):
        what = f"Repeated rows of {table} of {day} cannot be found"
        with left_open_if_refused(settings, day), explained(what, AGAIN, keep_back=has_key(settings.privacy)):
            _take_out(settings, require_delivery(settings, day), table, folder, tallies[day][table])
    if table == EVENTS.name:
        for day, share in largest_user_shares(settings, staged_files(folder, table, list(tallies)), folder).items():
            tallies[day][table].largest_user_share = share


def _take_out(settings: Settings, delivery: Delivery, table: str, folder: Path, tally: Tally) -> None:
    day, staged = delivery.day, folder / table / f"{delivery.day}.parquet"
    _refuse_other_files(delivery, table, tally)
    repeated, contents, fates = (folder / f"duplicates{part}.parquet" for part in ("", "-contents", "-fates"))
    write_repeated(settings, table, staged, repeated)
    _write_contents(settings, delivery, table, repeated, contents)
    copies, replaced = write_fates(settings, table, staged, contents, fates)
    tally.add_repeated(copies, replaced, aside=table in FEEDS)
    refuse_bad_share(settings, table, day, tally)
    _rewrite_without(settings.intake, staged, fates, tally)
    _quarantine_repeated(settings, delivery, table, fates, folder / "quarantine" / f"{day}-{table}-duplicates.parquet")
    for file in (repeated, contents, fates):
        file.unlink()


def _refuse_other_files(delivery: Delivery, table: str, tally: Tally) -> None:
    """Refuse a day whose files are others than a moment ago: the numbers of its rows would be those of other rows."""
    if [(file.name, file.size) for file in delivery.files[table]] != tally.files:
        raise BadDelivery(
            f"The files of {table} of {delivery.day} changed while they were taken in: write {delivery.settings.delivery.landing_mark} only after the "
            f"last byte; then run the day again."
        )


def _rewrite_without(intake: IntakeSettings, staged: Path, numbers: Path, tally: Tally) -> None:
    """Write a staged file again, without some of its rows."""
    out = RowNumbers(numbers, intake.batch_rows)
    tally.first_ts = tally.last_ts = None
    with (
        whole_file(staged) as half,
        pq.ParquetFile(staged, pre_buffer=False) as opened,
        RowWriter(half, opened.schema_arrow) as kept,
    ):
        for batch in opened.iter_batches(intake.batch_rows):
            rows = batch[ROW].to_numpy()
            good = batch.filter(pa.array(~np.isin(rows, out.before(int(rows[-1]) + 1))))
            tally.see(good)
            kept.write(good)


# --- the delivered rows, fetched once more ----------------------------------------------------------------------------


def _again(
    settings: Settings, delivery: Delivery, table: str, numbers: Path
) -> Iterator[tuple[Plan, str, Batch, NDArray[np.int64], int, pa.Table]]:
    """Fetch numbered rows of a table's delivery from its files, a batch at a time.

    Yields
    ------
    Plan, str, Batch, array, int, Table
        How the file's columns are read, its name within the day's delivery, the rows, their numbers within the delivery, the number that the file
        begins with, and what is written beside the numbers.
    """
    out = RowNumbers(numbers, settings.intake.batch_rows)
    seen = 0
    for file in delivery.files[table]:
        begin = seen
        name, source = shown_name(settings.privacy, delivery, file), source_name(settings.privacy, delivery, file)
        with open_file(file, name) as opened:
            plan = plan_columns(settings, table, name, opened.schema_arrow)
            for batch in read_batches(settings, file, name, opened):
                at, beside = out.rows_before(seen + batch.num_rows)
                if len(at):
                    yield plan, source, batch.take(at - seen), at, begin, beside
                seen += batch.num_rows


def _write_contents(settings: Settings, delivery: Delivery, table: str, numbers: Path, target: Path) -> None:
    """Write what tells copies from rows that differ: the quarantine's columns do not, for the contract does not know all columns."""
    shop = Shop.of(settings)
    with RowWriter(target, CONTENTS) as contents:
        for plan, _, batch, at, _, _ in _again(settings, delivery, table, numbers):
            rows = convert(plan, batch, shop)
            version = _versions(plan, batch.rows, version_column(settings.shop, table), shop)
            contents.write(
                pa.RecordBatch.from_arrays([pa.array(at), content_hashes(settings.privacy, rows), version], schema=CONTENTS)
            )


def _quarantine_repeated(settings: Settings, delivery: Delivery, table: str, fates: Path, target: Path) -> None:
    """Quarantine the rows that went, as they were delivered."""
    with RowWriter(target, QUARANTINE.schema) as refused:
        for plan, source, batch, at, begin, beside in _again(settings, delivery, table, fates):
            copies = beside["copy"].to_numpy()
            refused.write(repeated_rows(settings, plan, batch.rows, delivery.day, source, at - begin, copies))


def _versions(plan: Plan, rows: pa.RecordBatch, name: str, shop: Shop) -> pa.Array:
    """Return what orders the states of a key: numbers as they are, times in microseconds; null, before all others, if neither."""
    if not name:
        return pa.nulls(rows.num_rows, VERSION)
    array = plain(plan.column(rows, name))
    if is_text(array.type):
        moments = read_time(array, shop)[0].cast(pa.int64()).to_pylist()
        found = [
            _number(text) if _number(text) is not None else moment
            for text, moment in zip(array.to_pylist(), moments, strict=True)
        ]
    elif pt.is_timestamp(array.type) or pt.is_date(array.type):
        found = read_time(array, shop)[0].cast(pa.int64()).to_pylist()
    else:
        found = [_number(value) for value in python_values(array)]
    _refuse_without_order(plan, name, array, found)
    return pa.array([None if value is None else Decimal(value).quantize(SMALLEST, context=EXACT) for value in found], VERSION)


def _refuse_without_order(plan: Plan, name: str, array: pa.Array, found: Sequence[object]) -> None:
    unread = sum(value is None for value in found) - array.null_count
    if unread > 0:
        setting = f"RECPIPE_{plan.table[:-1].upper()}_VERSION_COLUMN"
        raise BadDelivery(
            f"Column {named(name)} of {plan.table}, which {setting} says tells the later of two rows, holds {unread:,} values that are "
            f"neither numbers nor times, among rows of one key. Name a column of numbers or times there, or leave the setting empty: the "
            f"later row of the delivery counts then."
        )


def _number(value: object) -> Decimal | None:
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < LARGEST else None
