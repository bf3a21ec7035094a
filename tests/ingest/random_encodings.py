"""How one column of clean values may lie in a parquet file: the types and forms that shops write."""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

Values = list[Any]
Encoder = Callable[[Values], pa.Array]
DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def _text(kind: pa.DataType) -> Encoder:
    return lambda values: pa.array([None if value is None else str(value) for value in values], pa.string()).cast(kind)


def _numbers(kind: pa.DataType) -> Encoder:
    return lambda values: pa.array(values, kind)


def _decimals(kind: pa.DataType) -> Encoder:
    return lambda values: pa.array([None if value is None else Decimal(str(value)) for value in values], kind)


def _written(form: Callable[[Any], str]) -> Encoder:
    return lambda values: pa.array([None if value is None else form(value) for value in values], pa.string())


TEXTS: dict[str, Encoder] = {
    "string": _text(pa.string()),
    "large_string": _text(pa.large_string()),
    "string_view": _text(pa.string_view()),
    "dictionary": lambda values: _text(pa.string())(values).dictionary_encode(),
}
PADDED: dict[str, Encoder] = {"padded": _written(lambda value: f"  {value}\t")}
WHOLE_IDS: dict[str, Encoder] = {
    "int32": lambda values: pa.array([None if value is None else int(value) for value in values], pa.int32()),
    "int64": lambda values: pa.array([None if value is None else int(value) for value in values], pa.int64()),
    "uint64": lambda values: pa.array([None if value is None else int(value) for value in values], pa.uint64()),
    "int64 dictionary": lambda values: pa.array(
        [None if value is None else int(value) for value in values], pa.int64()
    ).dictionary_encode(),
}
PRICES: dict[str, Encoder] = {
    "double": _numbers(pa.float64()),
    "float": _numbers(pa.float32()),
    "half": _numbers(pa.float16()),
    "decimal": _decimals(pa.decimal128(12, 2)),
    "decimal256": _decimals(pa.decimal256(40, 2)),
    "text": _written(str),
    "signed text": _written(lambda value: f" +{value}"),
    "exponent text": _written(lambda value: f"{value:e}"),
    "text dictionary": lambda values: _written(str)(values).dictionary_encode(),
    "text view": lambda values: _written(str)(values).cast(pa.string_view()),
}
QUANTITIES: dict[str, Encoder] = {
    "int16": _numbers(pa.int16()),
    "int64": _numbers(pa.int64()),
    "uint8": _numbers(pa.uint8()),
    "uint64": _numbers(pa.uint64()),
    "double": lambda values: pa.array([None if value is None else float(value) for value in values]),
    "decimal": _decimals(pa.decimal128(10, 0)),
    "text": _written(str),
    "signed text": _written(lambda value: f"+{value}"),
}


def times(zone: ZoneInfo) -> dict[str, Encoder]:
    """Return the forms of times; the values are aware."""
    local = [lambda moment: moment.astimezone(zone).replace(tzinfo=None)]

    def naive(values: Values) -> Values:
        return [None if value is None else local[0](value) for value in values]

    forms: dict[str, Encoder] = {
        f"{unit} naive": lambda values, unit=unit: pa.array(naive(values), pa.timestamp(unit)) for unit in ("ms", "us", "ns")
    }
    for name in ("UTC", "America/New_York", "Asia/Kolkata", "+05:45"):
        forms[f"us {name}"] = lambda values, name=name: pa.array(values, pa.timestamp("us", name))
    return forms | {
        "iso naive": lambda values: _written(lambda value: value.isoformat())(naive(values)),
        "iso blank": lambda values: _written(lambda value: value.isoformat(" "))(naive(values)),
        "iso Z": _written(lambda value: value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")),
        "iso offset": _written(lambda value: value.astimezone(ZoneInfo("Asia/Kolkata")).isoformat()),
    }


def unclear_times(since: datetime = datetime(1970, 1, 1, tzinfo=UTC)) -> dict[str, Encoder]:
    """Return forms of times that may be refused as unclear, and otherwise mean what they say."""

    def counted(factor: int, kind: pa.DataType) -> Encoder:
        return lambda values: pa.array(
            [None if value is None else (value - since) // timedelta(microseconds=1) * factor // 10**6 for value in values], kind
        )

    return {
        "epoch s": counted(1, pa.int64()),
        "epoch ms": counted(10**3, pa.int64()),
        "epoch us": counted(10**6, pa.int64()),
        "epoch ns": counted(10**9, pa.int64()),
        "epoch text": lambda values: counted(1, pa.int64())(values).cast(pa.string()),
        "bigquery": _written(lambda value: value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")),
        "database": _written(lambda value: value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S+00")),
    }


UNCLEAR_IDS: dict[str, Encoder] = {
    "double": lambda values: pa.array([None if value is None else float(value) for value in values]),
    "with a point": _written(lambda value: f"{value}.0"),
    "decimal": lambda values: pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(20, 0)),
    "bytes": lambda values: _text(pa.string())(values).cast(pa.binary()),
}


def broken_texts(values: Values, at: int) -> pa.Array:
    """Return texts of which one is not UTF-8."""
    parts = [None if value is None else str(value).encode() for value in values]
    parts[at] = b"\xff\xfe" + (parts[at] or b"")
    raw = pa.array(parts, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())


# --- columns that the contract does not know --------------------------------------------------------------------------


def extra_column(dice: random.Random, rows: int) -> pa.Array:
    """Return a column of any type that a parquet file may hold."""
    return dice.choice(EXTRAS)(dice, rows)


def _made(kind: pa.DataType, value: Callable[[random.Random], Any]) -> Callable[[random.Random, int], pa.Array]:
    return lambda dice, rows: pa.array([None if dice.random() < 0.2 else value(dice) for _ in range(rows)], kind)


_POINT = pa.struct([("x", pa.int32()), ("y", pa.struct([("z", pa.list_(pa.string()))]))])
EXTRAS = (
    _made(pa.string(), lambda dice: dice.choice(["", "n", "ü€😀", "\x00\x1b[31m", "x" * 300])),
    _made(pa.string_view(), lambda dice: "view " * dice.randint(0, 9)),
    _made(pa.binary(), lambda dice: dice.randbytes(5)),
    _made(pa.binary_view(), lambda dice: dice.randbytes(20)),
    _made(pa.binary(4), lambda dice: dice.randbytes(4)),
    _made(pa.bool_(), lambda dice: dice.random() < 0.5),
    _made(pa.uint64(), lambda dice: dice.choice([0, 2**64 - 1])),
    _made(pa.float64(), lambda dice: dice.choice([float("nan"), float("-inf"), 1e308, -0.0])),
    _made(pa.decimal256(70, 3), lambda dice: Decimal("1" * 60)),
    _made(pa.date32(), lambda dice: datetime(dice.choice([1, 2011, 9999]), 1, 1).date()),
    _made(pa.time64("ns"), lambda dice: dice.randrange(86_400 * 10**9)),
    _made(pa.duration("us"), lambda dice: dice.randrange(-(10**15), 10**15)),
    _made(pa.timestamp("s"), lambda dice: dice.choice([0, 10**11, -(10**11)])),
    _made(pa.timestamp("ms", "+23:59"), lambda dice: dice.choice([0, 10**17, -(10**17)])),
    _made(pa.list_(pa.int8()), lambda dice: [dice.choice([None, 1])] * dice.randint(0, 3)),
    _made(pa.list_(pa.null()), lambda dice: [None] * dice.randint(0, 2)),
    _made(pa.large_list(pa.string()), lambda dice: ["a", None][: dice.randint(0, 2)]),
    # no null lists among them: Arrow cannot read back a file that it has written with some
    lambda dice, rows: pa.array([[1.0, None]] * rows, pa.list_(pa.float32(), 2)),
    _made(_POINT, lambda dice: {"x": 1, "y": dice.choice([None, {"z": None}, {"z": ["a", None]}])}),
    _made(pa.map_(pa.string(), pa.list_(pa.int64())), lambda dice: [("k", [1]), ("k", None)][: dice.randint(0, 2)]),
    _made(pa.uuid(), lambda dice: uuid.UUID(int=dice.getrandbits(128)).bytes),
    _made(pa.json_(), lambda dice: json.dumps({"a": dice.random()})),
    lambda dice, rows: pa.nulls(rows),
    lambda dice, rows: pa.array([dice.choice(["a", "b", None]) for _ in range(rows)], DICTIONARY),
    lambda dice, rows: pa.ListArray.from_arrays(pa.array(range(rows + 1), pa.int32()), pa.array(["d"] * rows, DICTIONARY)),
)
EXTRA_NAMES = (
    "note",
    "Note",
    "_row",
    "day",
    "attributes",
    "ts ",
    " user_id",
    "a.b",
    "x\x1b[31m",
    "ünï",
    "n" * 500,
    "'; --",
    "{}",
)
