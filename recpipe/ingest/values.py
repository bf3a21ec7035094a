"""Delivered values become the contract's values, an array at a time; what cannot be read becomes null and is marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from recpipe.contract import TIMESTAMP

Mask = NDArray[np.bool_]
Reading = tuple[pa.Array, Mask | None]
"""The values, and where a value stood that could not be read (None: nowhere)."""

NUMBER: Final = r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?\s*$"
WHOLE: Final = r"^\s*[+-]?\d{1,18}\s*$"
YEAR_1: Final = -62_135_596_800
YEAR_9999: Final = 253_402_300_799
"""Seconds of the first and last moment that a timestamp may name."""
PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class Shop:
    """What of the settings the meaning of a value depends on."""

    zone: ZoneInfo
    category_separator: str


@dataclass(frozen=True)
class Kind:
    """A kind of value: which Arrow types may bring it, how it is read, and how to say so to a person."""

    accepts: Callable[[pa.DataType], bool]
    read: Callable[[pa.Array, Shop], Reading]
    wanted: str


def kind_of(field: pa.Field) -> Kind:
    """Return the kind of values that a column of the contract takes."""
    if pt.is_string(field.type):
        return ID if field.name.endswith("_id") else TEXT
    return BY_TYPE[str(field.type)]


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the type of the values, whether they come as a dictionary or not."""
    return kind.value_type if pt.is_dictionary(kind) else kind


def plain(array: pa.Array) -> pa.Array:
    """Return the values of an array, whether they come as a dictionary or not."""
    return array.dictionary_decode() if pt.is_dictionary(array.type) else array


def mask(array: pa.Array | pa.Scalar) -> Mask:
    """Return a boolean array as numpy; null is false."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are text."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def _is_word(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pt.is_integer(kind) or pt.is_null(kind))


def _is_number(kind: pa.DataType) -> bool:
    return _is_word(kind) or bool(pt.is_floating(kind) or pt.is_decimal(kind))


def _is_time(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pt.is_timestamp(kind) or pt.is_date(kind) or pt.is_null(kind))


def _is_flag(kind: pa.DataType) -> bool:
    return _is_word(kind) or bool(pt.is_boolean(kind))


def _is_path(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pt.is_null(kind) or ((pt.is_list(kind) or pt.is_large_list(kind)) and is_text(kind.value_type)))


# --- reading


def _read_text(array: pa.Array, shop: Shop) -> Reading:
    return pc.cast(array, pa.string()), None


def _read_id(array: pa.Array, shop: Shop) -> Reading:
    text = pc.cast(array, pa.string())
    if not pt.is_integer(array.type):  # 12345 and ' 12345' are one id, and an empty id is none
        text = pc.utf8_trim_whitespace(text)
        text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    return text, None


def _read_number(array: pa.Array, shop: Shop) -> Reading:
    array, bad = _readable(array, NUMBER)
    values = pc.cast(array, pa.float64(), safe=False)
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    infinite = mask(pc.is_inf(values))
    return _without(values, infinite), _either(bad, infinite)


def _read_whole(array: pa.Array, shop: Shop) -> Reading:
    if pt.is_signed_integer(array.type):
        return pc.cast(array, pa.int64()), None
    array, bad = _readable(array, WHOLE)
    if is_text(array.type):
        return pc.cast(array, pa.int64()), bad
    values = pc.cast(array, pa.float64(), safe=False)
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    broken = mask(pc.or_(pc.not_equal(pc.floor(values), values), pc.greater(pc.abs(values), 2.0**53)))
    return pc.cast(_without(values, broken), pa.int64()), broken


def _read_time(array: pa.Array, shop: Shop) -> Reading:
    if is_text(array.type):
        return _read_time_text(array, shop.zone)
    if not pt.is_timestamp(array.type):
        array = pc.cast(pc.cast(array, pa.date32()), pa.timestamp("s"))
    unit = PER_SECOND[array.type.unit]
    count = pc.cast(array, pa.int64())
    strange = np.zeros(len(array), dtype=np.bool_)
    if unit < PER_SECOND["ns"]:  # nanoseconds cannot leave the range
        strange = mask(pc.or_(pc.less(count, YEAR_1 * unit), pc.greater(count, YEAR_9999 * unit)))
    array = pc.cast(_without(array, strange), pa.timestamp("us", array.type.tz), safe=False)
    return (array.cast(TIMESTAMP) if array.type.tz else _to_utc(array, shop.zone)), strange


def _to_utc(naive: pa.Array, zone: ZoneInfo) -> pa.Array:
    # of an hour that comes twice the first is meant; an hour that the clock skips is taken as the moment of the skip
    return pc.assume_timezone(naive, zone.key, ambiguous="earliest", nonexistent="latest").cast(TIMESTAMP)


def _read_time_text(array: pa.Array, zone: ZoneInfo) -> Reading:
    texts = [(text or "").strip() for text in array.to_pylist()]
    moments = [_moment(text) for text in texts]
    naive = pa.array([None if moment is None or moment.tzinfo else moment for moment in moments], pa.timestamp("us"))
    zoned = pa.array([moment if moment and moment.tzinfo else None for moment in moments], TIMESTAMP)
    bad = [bool(text) and moment is None for text, moment in zip(texts, moments, strict=True)]
    return pc.coalesce(zoned, _to_utc(naive, zone)), np.array(bad, dtype=np.bool_)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None


def _read_flag(array: pa.Array, shop: Shop) -> Reading:
    if pt.is_integer(array.type):
        array = pc.cast(array, pa.string())
    if is_text(array.type):
        array = pc.utf8_lower(array)
    array, bad = _readable(array, r"^\s*(true|false|0|1)\s*$")
    return pc.cast(array, pa.bool_()), bad


def _read_path(array: pa.Array, shop: Shop) -> Reading:
    if is_text(array.type):
        array = pc.split_pattern(pc.cast(array, pa.string()), shop.category_separator)
    if pt.is_null(array.type):
        return pc.cast(array, PATH_TYPE), None
    levels = pc.utf8_trim_whitespace(pc.cast(pc.list_flatten(array), pa.string()))
    keep = mask(pc.not_equal(levels, ""))
    owner = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)[keep]
    counts = np.bincount(owner, minlength=len(array))
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pc.cast(pa.ListArray.from_arrays(ends, levels.filter(pa.array(keep)), mask=pa.array(counts == 0)), PATH_TYPE), None


def _readable(array: pa.Array, pattern: str) -> Reading:
    """Set texts that do not match the pattern to null; other types are readable as they are."""
    if not is_text(array.type):
        return array, None
    array = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
    array = pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)
    bad = mask(pc.invert(pc.match_substring_regex(array, pattern)))
    return _without(array, bad), bad


def _without(array: pa.Array, bad: Mask) -> pa.Array:
    return pc.if_else(pa.array(bad), pa.scalar(None, array.type), array) if bad.any() else array


def _either(one: Mask | None, other: Mask) -> Mask:
    return other if one is None else one | other


PATH_TYPE: Final = pa.list_(pa.string())
ID: Final = Kind(_is_word, _read_id, "ids are text or whole numbers: deliver it as text, 12345 and not 12345.0")
TEXT: Final = Kind(_is_word, _read_text, "deliver it as text")
BY_TYPE: Final = {
    "double": Kind(_is_number, _read_number, "deliver it as numbers"),
    "int64": Kind(_is_number, _read_whole, "deliver it as whole numbers"),
    str(TIMESTAMP): Kind(_is_time, _read_time, "times are timestamps: a bare number has no unit, so deliver it as a timestamp"),
    "bool": Kind(_is_flag, _read_flag, "deliver it as true or false"),
    str(PATH_TYPE): Kind(_is_path, _read_path, "deliver it as a list of texts or as one text with RECPIPE_CATEGORY_SEPARATOR"),
}
