"""Delivered values of any type as Python values, as text and as JSON: no type is too strange to be written down."""

from __future__ import annotations

import json
import math
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pt

from recpipe.tables.ingest.rows.plain_types import plain, unique_names
from recpipe.tables.ingest.rows.shop_readings import is_text

STRANGE: Final = (pa.ArrowException, ValueError, OverflowError, KeyError, TypeError)
"""What a value raises that Python or Arrow has no form for: times beyond all calendars, zones that nobody knows, nanoseconds."""


def python_values(array: pa.Array) -> list[Any]:
    """Return the values of a column as Python has them; what Python has no form for is text or a number."""
    array = plain(array)
    if pt.is_struct(array.type):
        names = unique_names([field.name for field in array.type])
        columns = [python_values(part) for part in array.flatten()]
        there = array.is_valid().to_pylist()
        rows = zip(*columns, strict=True) if columns else ((),) * len(array)
        return [dict(zip(names, row, strict=True)) if valid else None for valid, row in zip(there, rows, strict=True)]
    try:
        return list(array.to_pylist())
    except STRANGE:
        return [_value(scalar) for scalar in array]


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except STRANGE:
        pass
    if isinstance(scalar, pa.ListScalar | pa.LargeListScalar) and scalar.values is not None:
        return python_values(scalar.values)
    for kind in (pa.string(), pa.int64(), pa.int32()):
        try:
            return scalar.cast(kind).as_py()
        except STRANGE:
            continue
    return getattr(scalar, "value", None) or f"[{scalar.type}]"


def as_text(array: pa.Array) -> pa.Array:
    """Write any column as text: what has no text form of its own is written as JSON. A value's text depends on no other value."""
    array = plain(array)
    if is_text(array.type):
        return array.cast(pa.string())
    nested = pt.is_nested(array.type)
    try:
        if not nested:
            return array.cast(pa.string())
    except STRANGE:
        pass
    return pa.array([_text(value) for value in (python_values(array) if nested else map(_form, array))], pa.string())


def _form(scalar: pa.Scalar) -> Any:
    try:
        return scalar.cast(pa.string()).as_py()
    except STRANGE:
        return _value(scalar)


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return _bytes_text(value) if isinstance(value, bytes) else as_json(value)


def as_json(value: Any) -> str:
    """Write a Python value as JSON that any reader takes, keys in order."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False, default=_other)


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key if isinstance(key, str) else str(_other(key)): _plain(entry) for key, entry in value.items()}
    return [_plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def _other(value: Any) -> str:
    return _bytes_text(value) if isinstance(value, bytes) else str(value)


def _bytes_text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.hex()


# --- bounds ----------------------------------------------------------------------------------------------------------


def bounded(row: dict[str, Any], value_length: int, row_length: int) -> dict[str, Any]:
    """Return a row of which no value takes more than some letters of JSON, nor all of it more than others."""
    shown = {name: _cut(value, value_length) for name, value in row.items()}
    if len(as_json(shown)) <= row_length:
        return shown
    least = max(8, row_length // (4 * max(1, len(row))))
    shown = {name[:200]: _cut(value, least) for name, value in row.items()}
    kept: dict[str, Any] = {}
    length = 0
    for name, value in shown.items():
        length += len(name) + len(as_json(value)) + 8
        if length > row_length:
            kept["…"] = f"{len(shown) - len(kept)} more columns"
            break
        kept[name] = value
    return kept


def _cut(value: Any, length: int) -> Any:
    if value is None or (isinstance(value, bool | int | float) and abs(value) < 10**18):
        return value
    text = value if isinstance(value, str) else as_json(value)
    if len(text) <= length:
        return value
    return f"{text[:length]}… ({len(text):,} characters)"
