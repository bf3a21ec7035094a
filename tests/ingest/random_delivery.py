"""Random deliveries of a day: clean and dirty rows in any encoding, files whole and damaged, and what is known of each row."""

from __future__ import annotations

import io
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import random_encodings as enc

BEFORE, FIRST = date(2011, 8, 31), date(2011, 9, 1)
ZONES = ("UTC", "Europe/London", "Asia/Shanghai", "America/New_York", "Pacific/Auckland")
TYPES = {"buy": "purchase", "look": "view", "cancel": "return"}
"""Delivered event types that the settings map; others are delivered as the contract has them."""
SETTING = {"events": "event_columns", "items": "item_columns", "users": "user_columns"}
LONG = "x" * 20_000


@dataclass
class Row:
    """One delivered row: what it holds by contract column, and whether nothing is amiss with it."""

    tag: str
    values: dict[str, Any]
    clean: bool = True


@dataclass
class Part:
    """One delivered file of a table."""

    name: str
    rows: list[Row]
    content: bytes = b""


@dataclass
class Made:
    """One random delivery.

    Attributes
    ----------
    seed, day
        What it was made from, and for.
    settings
        Of the shop.
    parts
        Files by table.
    damage
        What was done to a file; empty: nothing.
    unclear
        Encodings that may be refused.
    marks
        Tables that get ``_SUCCESS``.
    forms
        Encodings by column.
    refused
        Whether it was refused, once it is known.
    """

    seed: int
    day: date
    settings: dict[str, Any]
    parts: dict[str, list[Part]]
    damage: str = ""
    unclear: list[str] = field(default_factory=list)
    forms: dict[str, str] = field(default_factory=dict)
    marks: tuple[str, ...] = ("events", "items", "users")
    refused: bool = False

    @property
    def dirty(self) -> bool:
        """Whether any row is not clean."""
        return any(not row.clean for parts in self.parts.values() for part in parts for row in part.rows)

    @property
    def repeated(self) -> bool:
        """Whether a row comes twice; its extra columns may differ then, so that one of the two is replaced."""
        tags = [row.tag for parts in self.parts.values() for part in parts for row in part.rows]
        return len(set(tags)) < len(tags)


def make_shop(seed: int) -> dict[str, Any]:
    """Return the settings of a random shop."""
    return _settings(random.Random(seed))


def make(seed: int, day: date, settings: dict[str, Any]) -> Made:
    """Make a delivery of a shop from a seed; equal seeds make equal deliveries."""
    dice = random.Random(seed)
    made = Made(seed, day, settings, {})
    zone = ZoneInfo(settings["timezone"])
    dirt = dice.choice([0.0, 0.0, 0.02, 0.3])
    for table, rows in _rows(dice, zone, made, dirt).items():
        made.parts[table] = _cut(dice, table, rows)
        _write(dice, made, table, zone)
    if dice.random() < 0.35:
        _damage(dice, made)
    return made


def _settings(dice: random.Random) -> dict[str, Any]:
    named = {table: {f"shop_{name}": name for name in _columns(table) if dice.random() < 0.2} for table in SETTING}
    return {
        **{SETTING[table]: names for table, names in named.items()},
        "timezone": dice.choice(ZONES), "batch_rows": dice.choice([1, 3, 17, 65_536]), "event_types": TYPES,
        "max_bad_share": dice.choice([1.0, 1.0, 0.05]), "items_need_title": dice.random() < 0.5,
        "set_aside_event_types": dice.choice([[], ["adjustment"]]),
        "user_key": "5a" * 32 if dice.random() < 0.1 else "",
    }  # fmt: skip


# --- rows -------------------------------------------------------------------------------------------------------------


def _rows(dice: random.Random, zone: ZoneInfo, made: Made, dirt: float) -> dict[str, list[Row]]:
    digits = dice.random() < 0.5
    item = [str(1000 + n) if digits else f"SKU-{n}ü" for n in range(30)]
    user = [str(500_000 + n) if digits else f"user {n}" for n in range(20)]
    made.forms["ids"] = "digits" if digits else "words"
    start = datetime.combine(made.day, time.min, zone)
    rows: dict[str, list[Row]] = {
        "items": [Row(f"i{n}", _item(dice, item[n])) for n in dice.sample(range(30), dice.randint(0, 10))],
        "users": [Row(f"u{n}", {"user_id": user[n], "registered_at": _moment(dice, start)}) for n in range(dice.randint(0, 6))],
        "events": [Row(f"s{n}", _event(dice, n, user, item, start)) for n in range(dice.choice([0, 1, 7, 40]))],
    }
    for table, found in rows.items():
        for row in found:
            if dice.random() < dirt:
                _soil(dice, table, row, start)
        if table != "users" and found and dice.random() < 0.2:
            found += [Row(row.tag, dict(row.values), row.clean) for row in dice.sample(found, min(len(found), 3))]
        if table == "items" and found and dice.random() < 0.2:  # a later state of an item
            row = dice.choice(found)
            found.append(Row(row.tag, row.values | {"price": 0.25}, row.clean))
    return rows


def _moment(dice: random.Random, start: datetime) -> datetime:
    return start.astimezone(UTC) + timedelta(seconds=dice.choice([0, 1, dice.randrange(82_800), dice.randrange(82_800)]))


def _item(dice: random.Random, name: str) -> dict[str, Any]:
    return {"item_id": name, "title": f"Thing {name}", "price": dice.randrange(1, 2000) / 4, "available": dice.random() < 0.9}


def _event(dice: random.Random, number: int, user: list[str], item: list[str], start: datetime) -> dict[str, Any]:
    kind = dice.choice(["view", "cart", "purchase", "buy", "look", "cancel", "review", "search"])
    return {
        "event_id": f"e{number}", "session_id": f"s{number}", "user_id": dice.choice([*user, None]),
        "item_id": None if kind == "search" else dice.choice(item), "event_type": kind, "ts": _moment(dice, start),
        "price": dice.choice([None, dice.randrange(1, 2000) / 4]), "quantity": dice.choice([None, 1, 7, 120]),
        "query": "red lamp" if kind == "search" else None, "rating": 4.0 if kind == "review" else None,
    }  # fmt: skip


def _soil(dice: random.Random, table: str, row: Row, start: datetime) -> None:
    """Make one value of a row odd: it is taken in with some meaning, or quarantined, but never lost."""
    day = timedelta(days=1)
    odd: dict[str, list[Any]] = {
        "user_id": ["", "  ", "null", "(not set)", "undefined", "\u200b7", "12.0", LONG, None],
        "item_id": ["", None, "null", "\ufeff", LONG, "1e5"],
        "event_type": [None, "bogus", "", "adjustment", "VIEW", "purchase "],
        "ts": [None, start + 2 * day, start - 10 * day, start + day, start - timedelta(hours=5)],
        "price": [-1.0, float("nan"), float("inf"), 1e30, None, -0.0],
        "quantity": [0, -3, 10**15, 2**62],
        "rating": [0.0, 99.0, float("nan")],
        "query": [LONG, "\x00", "\x1b[31m", "ä" * 9_000, "=cmd|' /C calc'!A0"],
        "title": [None, "", LONG, "\x1b]0;x\x07", "\ud7ff"],
        "registered_at": [None, start + 2 * day, datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)],
    }
    column = dice.choice([name for name in odd if name in row.values])
    row.values[column] = dice.choice(odd[column])
    row.clean = False


def _cut(dice: random.Random, table: str, rows: list[Row]) -> list[Part]:
    """Cut rows into files; some files are empty."""
    if not rows and dice.random() < 0.5:
        return []
    cuts = sorted(dice.randint(0, len(rows)) for _ in range(dice.choice([0, 0, 1, 2])))
    ends = [*cuts, len(rows)]
    return [Part(f"part-{n}.parquet", rows[a:b]) for n, (a, b) in enumerate(zip([0, *cuts], ends, strict=True))]


# --- files ------------------------------------------------------------------------------------------------------------


def _write(dice: random.Random, made: Made, table: str, zone: ZoneInfo) -> None:
    columns = [name for name in _columns(table) if name != "event_id" or dice.random() < 0.5]
    forms = {name: _form(dice, made, table, name, zone) for name in columns}
    names = {name: name for name in forms} | {name: given for given, name in made.settings[SETTING[table]].items()}
    extras = dice.sample(enc.EXTRA_NAMES, dice.choice([0, 0, 1, 3]))
    int96 = table == "events" and dice.random() < 0.1
    for part in made.parts[table]:
        columns = [(names[name], _array(dice, forms[name], [row.values[name] for row in part.rows])) for name in forms]
        if int96:
            columns = [(name, _instants(array, zone)) for name, array in columns]
        columns += [(name, enc.extra_column(dice, len(part.rows))) for name in extras]
        dice.shuffle(columns)
        part.content = _parquet(dice, pa.table([array for _, array in columns], names=[name for name, _ in columns]), int96)


def _columns(table: str) -> list[str]:
    if table == "items":
        return ["item_id", "title", "price", "available"]
    if table == "users":
        return ["user_id", "registered_at"]
    return ["event_id", "session_id", "user_id", "item_id", "event_type", "ts", "price", "quantity", "query", "rating"]


def _form(dice: random.Random, made: Made, table: str, name: str, zone: ZoneInfo) -> enc.Encoder:
    plain: dict[str, enc.Encoder] = dict(enc.TEXTS)
    unclear: dict[str, enc.Encoder] = {}
    if name in ("ts", "registered_at"):
        plain, unclear = enc.times(zone), enc.unclear_times()
    elif name in ("price", "rating"):
        plain = enc.PRICES
    elif name == "quantity":
        plain = enc.QUANTITIES
    elif name == "available":
        plain = {"flag": lambda values: pa.array(values, pa.bool_()), "number": lambda values: pa.array(values).cast(pa.int8())}
    elif name in ("user_id", "item_id"):
        digits = made.forms["ids"] == "digits"
        plain, unclear = ({**plain, **enc.PADDED, **enc.WHOLE_IDS}, enc.UNCLEAR_IDS) if digits else ({**plain, **enc.PADDED}, {})
    chosen = dice.choice(list(plain))
    if unclear and dice.random() < 0.15:
        chosen = dice.choice(list(unclear))
        made.unclear.append(f"{table}.{name} as {chosen}")
    made.forms[f"{table}.{name}"] = chosen
    return {**plain, **unclear}[chosen]


def _array(dice: random.Random, form: enc.Encoder, values: list[Any]) -> pa.Array:
    """Encode values; where a form cannot hold an odd one, all are text, as an export without types writes them."""
    try:
        return form(values)
    except (pa.ArrowException, ValueError, OverflowError, ArithmeticError, AttributeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _instants(array: pa.Array, zone: ZoneInfo) -> pa.Array:
    """Return naive times as the instants (UTC) that Spark stores."""
    if not pa.types.is_timestamp(array.type) or array.type.tz:
        return array
    moments = [None if value is None else value.as_py() for value in array.cast(pa.timestamp("us"))]
    utc = [None if moment is None else moment.replace(tzinfo=zone).astimezone(UTC).replace(tzinfo=None) for moment in moments]
    return pa.array(utc, array.type)


def _parquet(dice: random.Random, rows: pa.Table, int96: bool) -> bytes:
    sink = io.BytesIO()
    options: dict[str, Any] = {
        "compression": dice.choice(["none", "snappy", "zstd", "gzip"]), "row_group_size": dice.choice([1, 5, 1000]),
        "data_page_version": dice.choice(["1.0", "2.0"]), "write_page_checksum": dice.random() < 0.5,
        "use_dictionary": dice.random() < 0.7, "store_schema": dice.random() < 0.8,
    }  # fmt: skip
    if int96:
        options["use_deprecated_int96_timestamps"] = True
    pq.write_table(rows, sink, **options)
    return sink.getvalue()


# --- damage -----------------------------------------------------------------------------------------------------------


def _damage(dice: random.Random, made: Made) -> None:
    table = dice.choice([name for name, parts in made.parts.items() if parts] or ["events"])
    parts = made.parts[table]
    kinds = ["no mark"] if not parts else list(DAMAGES)
    made.damage = dice.choice(kinds)
    if made.damage == "no mark":
        made.marks = tuple(name for name in made.marks if name != table)
    else:
        DAMAGES[made.damage](dice, dice.choice(parts))
    made.damage += f" ({table})"


def _flip(dice: random.Random, part: Part) -> None:
    content = bytearray(part.content)
    for _ in range(dice.choice([1, 1, 5])):
        content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
    part.content = bytes(content)


def _flip_in_the_footer(dice: random.Random, part: Part) -> None:
    content = bytearray(part.content)
    content[dice.randrange(len(content) - 8 - int.from_bytes(content[-8:-4], "little"), len(content))] ^= 1 << dice.randrange(8)
    part.content = bytes(content)


def _truncate(dice: random.Random, part: Part) -> None:
    part.content = part.content[: dice.choice([0, 3, 4, dice.randrange(len(part.content))])]


def _grow(dice: random.Random, part: Part) -> None:
    part.content += dice.randbytes(dice.randint(1, 50))


def _other_bytes(dice: random.Random, part: Part) -> None:
    part.content = dice.choice([b"user_id,item_id\n1,2\n", b"PAR1PAR1", b"PK\x03\x04", dice.randbytes(200), b"ORC", b"\n"])


def _other_name(dice: random.Random, part: Part) -> None:
    part.name = dice.choice(
        ["000000_0", "part-0.PARQUET", "part-0.snappy", "part.parquet.gz", "a.orc", "a.csv", "hour=05/part-0", "x\x1b[31m.pq"]
    )


def _column_twice(dice: random.Random, part: Part) -> None:
    rows = pq.read_table(io.BytesIO(part.content))
    name = dice.choice(rows.schema.names)
    _replace(part, rows.append_column(name, rows[name]))


def _column_gone(dice: random.Random, part: Part) -> None:
    rows = pq.read_table(io.BytesIO(part.content))
    _replace(part, rows.drop_columns([dice.choice(rows.schema.names)]))


def _broken_text(dice: random.Random, part: Part) -> None:
    rows = pq.read_table(io.BytesIO(part.content))
    names = [name for name in rows.schema.names if pa.types.is_string(rows.schema.field(name).type) and "session" not in name]
    if not names or not part.rows:
        return
    name, at = dice.choice(names), dice.randrange(len(part.rows))
    part.rows[at].clean = False
    values = enc.broken_texts(rows[name].to_pylist(), at)
    _replace(part, rows.set_column(rows.schema.names.index(name), name, values))


def _odd_type(dice: random.Random, part: Part) -> None:
    rows = pq.read_table(io.BytesIO(part.content))
    at = dice.randrange(rows.num_columns)
    _replace(part, rows.set_column(at, rows.schema.names[at], enc.extra_column(dice, rows.num_rows)))


def _replace(part: Part, rows: pa.Table) -> None:
    sink = io.BytesIO()
    pq.write_table(rows, sink)
    part.content = sink.getvalue()


DAMAGES = {
    "flipped bits": _flip, "flipped bit in the footer": _flip_in_the_footer, "truncated": _truncate, "grown": _grow,
    "other bytes": _other_bytes, "other name": _other_name, "column twice": _column_twice, "column gone": _column_gone,
    "broken text": _broken_text, "odd type": _odd_type, "no mark": None,
}  # fmt: skip
TRACEABLE = ("", "broken text", "no mark", "other name", "column twice")
"""Damage after which every row can still be told from the others."""
