"""Deliveries that are the whole of a table: what is new or another is published, what is gone is withdrawn, the rest is only counted."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from recpipe.config.place_settings import DeliverySettings
from recpipe.config.settings import Settings
from recpipe.config.shop_settings import IntakeSettings, ShopSettings
from recpipe.contract import ITEMS, TABLES, USERS
from recpipe.days import ONE_DAY, day_start
from recpipe.errors import BadDelivery
from recpipe.faults import explained
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.delivered_ids import delivered_ids
from recpipe.tables.ingest.duplicates import ROW, RowNumbers, database, quoted
from recpipe.tables.ingest.known_before import require_days_before
from recpipe.tables.ingest.landed.delivery import Delivery, find_delivery, shown_name
from recpipe.tables.ingest.staged import AGAIN, RowWriter, left_open_if_refused, staged_schema
from recpipe.tables.ingest.tally import Tally
from recpipe.user_ids.keys import has_key

if TYPE_CHECKING:
    import duckdb

log = logging.getLogger(__name__)

KEYS: Final = {ITEMS.name: "item_id", USERS.name: "user_id"}
FEWEST: Final = 20
"""Entries before, below which no loss is too great: a small catalogue changes by the piece."""


@dataclass(frozen=True)
class Compared:
    """A day's whole, held against the newest state before it.

    Attributes
    ----------
    before
        Entries that stood there before, of items the available ones.
    gone
        Of these, the ones that are delivered no more.
    unchanged
        Delivered rows that say nothing new.
    """

    before: int
    gone: int
    unchanged: int


def is_snapshot(delivery: DeliverySettings, table: str) -> bool:
    """Whether each delivery of a table is the whole of it."""
    return {ITEMS.name: delivery.items_delivery, USERS.name: delivery.users_delivery}.get(table) == "snapshot"


def keep_changes(
    settings: Settings, folder: Path, tallies: Mapping[date, Mapping[str, Tally]]
) -> dict[str, list[dict[str, Any]]]:
    """Leave of staged wholes what differs from the newest state before each day, and note in the tallies what became of the rest.

    Returns
    -------
    dict
        What was read of the lake by table, for the register.

    Raises
    ------
    BadDelivery
        If a day lost more of what stood there before than a shop loses in a day, and nobody has said that it is right.
    MissingDay
        If an earlier day is not registered: the difference is one to the day before, whenever the day is taken in.
    """
    read: dict[str, list[dict[str, Any]]] = {}
    for table in (table for table in KEYS if is_snapshot(settings.delivery, table)):
        days = sorted(tallies)
        why = f"Deliveries of {table} are the whole of it, and what changed on {days[-1]} is told from the days before"
        remedy = f"or set RECPIPE_{table.upper()}_DELIVERY to changes"
        require_days_before(settings, table, days[-1], why, remedy, days)
        read[table] = [asdict(entry) | _plain_days(entry) for entry in _state_before(settings, table, days, folder)]
        last_whole = 0
        for number, day in enumerate(days):
            delivery, tally = find_delivery(settings, day), tallies[day][table]
            if delivery.files[table]:  # else nothing was said of it that day
                what = f"{table} of {day} cannot be compared with what stood there before"
                with left_open_if_refused(settings, day), explained(what, AGAIN, keep_back=has_key(settings.privacy)):
                    _keep(settings, delivery, table, folder, days[:number], tally, last_whole)
                last_whole = tally.judged_rows
        _tell_later_days(settings, table, days)
    return read


def _plain_days(entry: Input) -> dict[str, str]:
    return {"first_day": str(entry.first_day), "last_day": str(entry.last_day)}


def _tell_later_days(settings: Settings, table: str, days: Sequence[date]) -> None:
    later = [record.day for record in Lake.from_settings(settings).days(table) if record.complete and record.day > days[-1]]
    if later:
        log.warning(
            "%s of %s to %s are taken in after later days, which hold what differed from the days before them: if they say anything "
            "else than before, run recpipe history --from %s --to %s.", table, days[0], days[-1], later[0], later[-1],
        )  # fmt: skip


# --- the state before


def _state_before(settings: Settings, table: str, days: Sequence[date], folder: Path) -> list[Input]:
    """Write the rows of the lake's days before the last one, but those that are staged, and return what was read."""
    lake = Lake.from_settings(settings)
    schema, target = TABLES[table].schema, _before(folder, table)
    there = [
        record.day for record in lake.days(table) if record.complete and record.day < days[-1] and record.day not in set(days)
    ]
    delta = lake.delta(table) if there else None
    target.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(target, schema, compression="lz4") as writer:
        if delta is None:
            return []
        scanner = lake.dataset(delta, table).scanner(
            filter=ds.field("day").isin(there), batch_size=settings.intake.batch_rows, batch_readahead=1, fragment_readahead=1
        )
        for batch in scanner.to_batches():
            columns = [batch[f.name] if f.name in batch.schema.names else pa.nulls(batch.num_rows, f.type) for f in schema]
            writer.write_batch(
                pa.RecordBatch.from_arrays([c.cast(f.type) for c, f in zip(columns, schema, strict=True)], schema=schema)
            )
    if days[0] <= settings.shop.first_day:
        return []
    return [Input(table, settings.shop.first_day, days[0] - ONE_DAY, delta.version())]


def _before(folder: Path, table: str) -> Path:
    return folder / "snapshots" / f"{table}-before.parquet"


# --- one day


def _keep(
    settings: Settings, delivery: Delivery, table: str, folder: Path, earlier: Sequence[date], tally: Tally, last_whole: int
) -> None:
    staged, day = folder / table / f"{delivery.day}.parquet", delivery.day
    scratch = folder / "snapshots" / f"{table}-{day}"
    scratch.mkdir(parents=True, exist_ok=True)
    if not staged.exists():
        staged.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(staged_schema(table).empty_table(), staged)
    states = [_before(folder, table), *(file for one in earlier if (file := folder / table / f"{one}.parquet").exists())]
    present = _present(settings, delivery, table, scratch, tally)
    unchanged, gone = scratch / "unchanged.parquet", scratch / "gone.parquet"
    with database(settings, scratch) as connection:
        _views(connection, table, day, states, staged, present)
        compared = _compare(connection, settings.shop, table, day, unchanged, gone)
    _refuse_loss(settings, table, day, compared, tally, last_whole)
    withdrawn = compared.gone if table == ITEMS.name else 0
    tally.note_snapshot(compared.unchanged, withdrawn, compared.gone)
    _rewrite(settings.intake, table, day, staged, unchanged, gone if withdrawn else None)
    log.info(
        "%s of %s: a whole of %s rows; %s new or changed, %s unchanged, %s gone%s", table, day, f"{tally.judged_rows:,}",
        f"{tally.rows - withdrawn:,}", f"{compared.unchanged:,}", f"{compared.gone:,}", " and withdrawn" if withdrawn else "",
    )  # fmt: skip


def _present(settings: Settings, delivery: Delivery, table: str, scratch: Path, tally: Tally) -> Path:
    """Write the ids of all delivered rows where some were not taken in: an item whose row is bad today is not gone."""
    key, target = KEYS[table], scratch / "present.parquet"
    with pq.ParquetWriter(target, pa.schema([(key, pa.string())])) as writer:
        if table == ITEMS.name and tally.bad_rows + tally.set_aside_rows:
            for file in delivery.files[table]:
                for _, ids in delivered_ids(settings, file, shown_name(settings.privacy, delivery, file), table, [key]):
                    writer.write_table(pa.table({key: ids[key].cast(pa.string())}))
    return target


def _views(
    connection: duckdb.DuckDBPyConnection, table: str, day: date, states: Sequence[Path], staged: Path, present: Path
) -> None:
    """Name the state before the day, what is staged, and what else is there; of the lake's days some may lie between staged ones."""
    columns = ", ".join(f'"{name}"' for name in TABLES[table].columns)
    rows = " UNION ALL ".join(f"SELECT {columns} FROM read_parquet('{quoted(file)}')" for file in states)  # noqa: S608  # ours
    place = f'ROW_NUMBER() OVER (PARTITION BY "{KEYS[table]}" ORDER BY day DESC)'
    connection.execute(f"CREATE VIEW before AS SELECT {columns} FROM ({rows}) WHERE day < DATE '{day}' QUALIFY {place} = 1")  # noqa: S608
    connection.execute(f"CREATE VIEW now AS SELECT * FROM read_parquet('{quoted(staged)}')")  # noqa: S608
    connection.execute(f"CREATE VIEW present AS SELECT * FROM read_parquet('{quoted(present)}')")  # noqa: S608


def _compare(
    connection: duckdb.DuckDBPyConnection, shop: ShopSettings, table: str, day: date, unchanged: Path, gone: Path
) -> Compared:
    """Write the numbers of the staged rows that say nothing new, and the earlier rows of what is gone."""
    key, there = KEYS[table], "available" if table == ITEMS.name else "true"
    same = " AND ".join(_same(shop, table, name, day) for name in TABLES[table].columns if name not in ("day", key))
    connection.execute(
        f"COPY (SELECT now.{ROW} FROM now JOIN before ON now.{key} = before.{key} WHERE {same} ORDER BY now.{ROW}) "  # noqa: S608
        f"TO '{quoted(unchanged)}' (FORMAT PARQUET)"
    )
    missing = " AND ".join(
        f"NOT EXISTS (SELECT 1 FROM {other} WHERE {other}.{key} = before.{key})"  # noqa: S608
        for other in ("now", "present")
    )
    connection.execute(
        f"COPY (SELECT * FROM before WHERE {there} AND {missing} ORDER BY {key}) TO '{quoted(gone)}' (FORMAT PARQUET)"  # noqa: S608
    )
    [stood] = connection.execute(f"SELECT COUNT(*) FROM before WHERE {there}").fetchone() or (0,)  # noqa: S608
    return Compared(int(stood), pq.read_metadata(gone).num_rows, pq.read_metadata(unchanged).num_rows)


def _same(shop: ShopSettings, table: str, name: str, day: date) -> str:
    """Return the condition that a column says nothing new."""
    same = f'now."{name}" IS NOT DISTINCT FROM before."{name}"'
    if table == USERS.name and name == "registered_at":
        # what stands there where the shop does not say when an account was made: the day's begin, another one every day
        filled = day_start(day, shop.zone).isoformat()
        return f"({same} OR now.\"{name}\" = TIMESTAMPTZ '{filled}')"
    return same


def _refuse_loss(settings: Settings, table: str, day: date, compared: Compared, tally: Tally, last_whole: int) -> None:
    """Refuse a whole that lost too much; users who are gone stay in the table, so theirs is counted from what was delivered before."""
    stood, gone = compared.before, compared.gone
    if table == USERS.name:
        stood = last_whole or _delivered_before(settings, table, day)
        gone = max(0, stood - tally.judged_rows)
    if stood < FEWEST or gone <= settings.delivery.max_snapshot_loss * stood:
        return
    counts = f"{gone:,} of {stood:,} {table}"
    if day in settings.intake.accepted_snapshots:
        log.warning("%s lost %s; a person has said that this is right.", day, counts)
        return
    raise BadDelivery(
        f"{counts} are missing in the whole that was delivered on {day}: {gone / stood:.1%}, where at most {settings.delivery.max_snapshot_loss:.1%} "
        f"may go in a day. Nothing was published. See whether the delivery is whole, and have the rest delivered. If they are really gone, "
        f"say so: recpipe ingest --day {day} --accept-volume, the parameter accept_volume of a run of ingest_clickstream, or the day in "
        f"RECPIPE_ACCEPTED_SNAPSHOTS; RECPIPE_MAX_SNAPSHOT_LOSS is the bound."
    )


def _delivered_before(settings: Settings, table: str, day: date) -> int:
    """Return the rows of the newest whole before a day, as its verdict has them; 0 if none of the last weeks has any."""
    from recpipe.validation.verdicts import load_verdict

    for back in range(1, 7 * settings.intake.volume_weeks + 1):
        verdict = load_verdict(settings.places, table, day - back * ONE_DAY)
        if verdict and (rows := verdict.facts.get("delivered_rows")):
            return int(rows)
    return 0


def _rewrite(intake: IntakeSettings, table: str, day: date, staged: Path, unchanged: Path, gone: Path | None) -> None:
    """Write a staged file again: without what says nothing new, and with what is withdrawn."""
    out, half, last = RowNumbers(unchanged, intake.batch_rows), staged.with_suffix(".half"), -1
    schema = staged_schema(table)
    with pq.ParquetFile(staged, pre_buffer=False) as opened, RowWriter(half, schema) as kept:
        for batch in opened.iter_batches(intake.batch_rows):
            rows = batch[ROW].to_numpy()
            last = int(rows[-1])
            kept.write(batch.filter(pa.array(~np.isin(rows, out.before(last + 1)))))
        for batch in _withdrawn(intake, schema, day, gone, last + 1) if gone else ():
            kept.write(batch)
    staged.unlink()
    if half.exists():
        half.replace(staged)


def _withdrawn(intake: IntakeSettings, schema: pa.Schema, day: date, gone: Path, first_row: int) -> Iterator[pa.RecordBatch]:
    """Yield the earlier rows of what is gone, as this day's rows that say so."""
    with pq.ParquetFile(gone, pre_buffer=False) as opened:
        for batch in opened.iter_batches(intake.batch_rows):
            made = {
                "day": pa.repeat(pa.scalar(day, pa.date32()), batch.num_rows),
                "available": pa.repeat(False, batch.num_rows),
                ROW: pa.array(np.arange(first_row, first_row + batch.num_rows)),
            }
            columns = [made[field.name] if field.name in made else batch[field.name].cast(field.type) for field in schema]
            first_row += batch.num_rows
            yield pa.RecordBatch.from_arrays(columns, schema=schema)
