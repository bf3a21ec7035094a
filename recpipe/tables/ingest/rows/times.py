"""Moments in UTC from delivered times: timestamps, dates, bare numbers since 1970, and texts as engines write them.

A time without a zone is the shop's. Of an hour that comes twice the first is meant; an hour that the clock skips is taken as
the moment of the skip.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from recpipe.contract import TIMESTAMP
from recpipe.tables.ingest.rows.shop_readings import Mask, Reading, Shop, is_text, mask, trimmed, without

YEAR_1: Final = -62_135_596_800
YEAR_9999: Final = 253_402_300_799
"""Seconds of the first and last moment that a timestamp may name."""
PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
LEAST: Final = 10**8
"""Seconds from which a bare number says by its magnitude alone what it counts: 1973-03-03. A thousand times as many seconds
(the year 5138) are as many milliseconds, and so on, so that no two units meet."""

_DATE: Final = (
    r"[12][0-9]{3}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    r"|02-(?:0[1-9]|1[0-9]|2[0-8]))"
)
_CLOCK: Final = r"[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?"
_PLAIN: Final = rf"^{_DATE}(?:{_CLOCK})?$"
_ZONED: Final = rf"^{_DATE}{_CLOCK}(?:Z|[+-](?:0[0-9]|1[0-4])(?::?[0-5][0-9])?)$"
"""Texts that Arrow reads without fail (RE2); whatever else is a time is read one by one."""
_OTHER_FORMS: Final = (
    r"^([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2})(?:(:[0-9]{2}\.[0-9]{6})[0-9]{1,3}|(:[0-9]{2}(?:\.[0-9]{1,6})?))?"
    r"\s*(?:([Zz]|UTC|GMT)|([+-][0-9]{2}(?::?[0-9]{2})?)(?: ?[A-Z]{3,5}| ?[+-][0-9]{2})?(?: m=[+-][0-9.]+)?)?$"
)
"""What BigQuery, Go and databases write: nanoseconds, ``UTC`` after a blank, an offset with the zone's name behind it."""
_COMPACT: Final = (
    r"^((?:19[7-9]|20[0-9])[0-9])(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])([01][0-9]|2[0-3])([0-5][0-9])(?:([0-5][0-9]))?$"
)
"""Year to minute or second in twelve or fourteen digits; as milliseconds they would be of 1976, or of the 26th century."""
_COMPACT_BOUNDS: Final = ((197_001_010_000, 209_912_312_359), (19_700_101_000_000, 20_991_231_235_959))
_NAMED: Final = r"^(?P<clock>.*[0-9Z])\s*\[?(?P<zone>[A-Z][A-Za-z_]*(?:/[A-Za-z0-9_+-]+){1,2})\]?$"
_DIGITS: Final = r"^[+-]?[0-9]{9,20}(?:\.[0-9]{1,9})?$"
_ANY_DIGITS: Final = r"^[+-]?[0-9]{1,20}(?:\.[0-9]{1,9})?$"
_ZONES: Final = frozenset(available_timezones())
_Reader = Callable[[pa.Array], tuple[pa.Array, Mask]]


def read_time(array: pa.Array, shop: Shop) -> Reading:
    """Read times of any delivered type.

    Parameters
    ----------
    array
        (n,) timestamps, dates, numbers or text.
    shop
        Its zone, and the unit of bare numbers (told by magnitude if empty).

    Returns
    -------
    Array, Mask
        (n,) moments in UTC, and which could not be read.
    """
    if is_text(array.type):
        return _read_texts(trimmed(array), shop.zone, shop.time_unit)
    if pt.is_integer(array.type) and not shop.time_unit and _may_be_compact(array):
        return _read_texts(pc.cast(array, pa.string()), shop.zone, "")
    if pt.is_integer(array.type) or pt.is_floating(array.type) or pt.is_decimal(array.type):
        return _read_numbers(array, shop.time_unit)
    return _read_timestamps(array, shop.zone)


def _may_be_compact(array: pa.Array) -> bool:
    """Whether a whole number has its digits where year, month, day, hour and minute would have theirs."""
    if array.type.bit_width < 64:
        return False
    bounds = [[pa.scalar(end, array.type) for end in ends] for ends in _COMPACT_BOUNDS]
    return any(pc.any(pc.and_(pc.greater_equal(array, low), pc.less_equal(array, high))).as_py() for low, high in bounds)


def _read_timestamps(array: pa.Array, zone: ZoneInfo) -> Reading:
    if not pt.is_timestamp(array.type):
        array = pc.cast(pc.cast(array, pa.date32()), pa.timestamp("s"))
    unit = PER_SECOND[array.type.unit]
    count = pc.cast(array, pa.int64())
    strange = np.zeros(len(array), dtype=np.bool_)
    if unit < PER_SECOND["ns"]:  # nanoseconds cannot leave the range
        strange = mask(pc.or_(pc.less(count, YEAR_1 * unit), pc.greater(count, YEAR_9999 * unit)))
    array = pc.cast(without(array, strange), pa.timestamp("us", array.type.tz), safe=False)
    return (array.cast(TIMESTAMP) if array.type.tz else _to_utc(array, zone)), strange


def _to_utc(naive: pa.Array, zone: ZoneInfo) -> pa.Array:
    return pc.assume_timezone(naive, zone.key, ambiguous="earliest", nonexistent="latest").cast(TIMESTAMP)


# --- numbers since 1970 ----------------------------------------------------------------------------------------------


def _read_numbers(array: pa.Array, unit: str) -> Reading:
    there = np.asarray(pc.is_valid(array).to_numpy(zero_copy_only=False))
    if not pt.is_integer(array.type):
        array = pc.cast(array, pa.float64(), safe=False) if not _is_whole_decimal(array.type) else _whole(array)
    if pt.is_floating(array.type):
        values = np.asarray(pc.fill_null(array, np.nan).to_numpy(zero_copy_only=False))
        there &= ~np.isnan(values)
    else:
        values = np.asarray(pc.fill_null(array, pa.scalar(0, array.type)).to_numpy(zero_copy_only=False))
    moments, good = _microseconds(values, unit)
    return pa.array(moments, pa.int64(), mask=~(good & there)).cast(TIMESTAMP), there & ~good


def _is_whole_decimal(kind: pa.DataType) -> bool:
    return bool(pt.is_decimal(kind) and kind.scale == 0)


def _whole(array: pa.Array) -> pa.Array:
    """Return decimals without digits behind the point as integers; floats where one is beyond those, and so beyond all times."""
    try:
        return pc.cast(array, pa.int64())
    except pa.ArrowInvalid:
        return pc.cast(array, pa.float64(), safe=False)


def _microseconds(values: NDArray[np.generic], unit: str) -> tuple[NDArray[np.int64], Mask]:
    """Return numbers as microseconds since 1970, and which of them are a time."""
    about = values.astype(np.float64)
    moments, good = np.zeros(len(values), dtype=np.int64), np.zeros(len(values), dtype=np.bool_)
    for name, per_second in PER_SECOND.items():
        if unit and name != unit:
            continue
        if unit:
            size = values.astype(np.float64) / per_second
            mine = (size >= YEAR_1) & (size <= YEAR_9999)
        else:  # counted from 1970 on
            mine = (about >= LEAST * per_second) & (about < LEAST * per_second * 1000)
        moments[mine] = _scaled(values[mine], per_second)
        good |= mine
    return moments, good


def _scaled(values: NDArray[np.generic], per_second: int) -> NDArray[np.int64]:
    if np.issubdtype(values.dtype, np.floating):
        exact: NDArray[np.int64] = np.round(values.astype(np.float64) * (10**6 / per_second)).astype(np.int64)
        return exact
    if per_second > 10**6:
        return (values // values.dtype.type(per_second // 10**6)).astype(np.int64)  # type: ignore[operator]  # integers
    return values.astype(np.int64) * (10**6 // per_second)


# --- texts ---------------------------------------------------------------------------------------------------------------


def _read_texts(texts: pa.Array, zone: ZoneInfo, unit: str) -> Reading:
    moments, left = _read_frequent(texts, zone)
    if not left.any():
        return moments, left
    moments, left = _put(moments, left, texts, lambda some: _read_frequent(_usual(some), zone))
    moments, left = _put(moments, left, texts, lambda some: _read_digits(some, unit))
    moments, left = _put(moments, left, texts, lambda some: _read_named(some, unit))
    return _put(moments, left, texts, lambda some: _read_rest(some, zone))


def _put(moments: pa.Array, left: Mask, texts: pa.Array, read: _Reader) -> tuple[pa.Array, Mask]:
    """Read what is left in another way; return all moments, and what is left then."""
    if not left.any():
        return moments, left
    found, bad = read(texts.filter(pa.array(left)))
    moments = pc.replace_with_mask(moments, pa.array(left), found)
    still = left.copy()
    still[left] = bad
    return moments, still


def _read_frequent(texts: pa.Array, zone: ZoneInfo) -> tuple[pa.Array, Mask]:
    """Read what Arrow reads; return what is left."""
    plain = mask(pc.match_substring_regex(texts, _PLAIN))
    naive = _to_utc(pc.cast(without(texts, ~plain), pa.timestamp("us")), zone)
    left = ~plain & mask(pc.is_valid(texts))
    if not left.any():
        return naive, left
    zoned = mask(pc.match_substring_regex(texts, _ZONED))
    return pc.coalesce(naive, pc.cast(without(texts, ~zoned), TIMESTAMP)), left & ~zoned


def _usual(texts: pa.Array) -> pa.Array:
    texts = pc.replace_substring_regex(texts, _OTHER_FORMS, r"\1 \2\3\4\5\6")
    texts = pc.replace_substring_regex(texts, _COMPACT, r"\1-\2-\3 \4:\5:\6")
    texts = pc.replace_substring_regex(texts, r":$", "")
    return pc.replace_substring_regex(texts, r"(?:UTC|GMT|z)$", "Z")


def _read_digits(texts: pa.Array, unit: str) -> tuple[pa.Array, Mask]:
    """Read numbers since 1970 that are delivered as text."""
    moments = pa.nulls(len(texts), TIMESTAMP)
    left = np.ones(len(texts), dtype=np.bool_)
    digits = mask(pc.match_substring_regex(texts, _ANY_DIGITS if unit else _DIGITS))
    for pattern, kind in ((r"\.", pa.float64()), (r"^[^.]{1,19}$", pa.int64())):
        mine = digits & left & mask(pc.match_substring_regex(texts, pattern))
        if not mine.any():
            continue
        try:
            numbers = pc.cast(pc.replace_substring_regex(texts.filter(pa.array(mine)), r"^\+", ""), kind)
        except pa.ArrowInvalid:  # nineteen digits may be too many
            continue
        found, bad = _read_numbers(numbers, unit)
        moments = pc.replace_with_mask(moments, pa.array(mine), found)
        left[mine] = mask(pa.array(bad))
    return moments, left


def _read_named(texts: pa.Array, unit: str) -> tuple[pa.Array, Mask]:
    """Read times with the name of a zone behind them, as Presto and Java write them."""
    moments = pa.nulls(len(texts), TIMESTAMP)
    left = np.ones(len(texts), dtype=np.bool_)
    parts = pc.extract_regex(texts, _NAMED)
    names = pc.struct_field(parts, "zone")
    for name in names.unique().drop_null().to_pylist():
        if name not in _ZONES:
            continue
        mine = mask(pc.equal(names, name))
        found, bad = _read_texts(trimmed(pc.struct_field(parts, "clock").filter(pa.array(mine))), ZoneInfo(name), unit)
        moments = pc.replace_with_mask(moments, pa.array(mine), found)
        left[mine] = mask(pa.array(bad))
    return moments, left


def _read_rest(texts: pa.Array, zone: ZoneInfo) -> tuple[pa.Array, Mask]:
    """Read every other form of ISO 8601 but weeks, one by one."""
    found = [_moment(text) for text in texts.to_pylist()]
    naive = pa.array([None if moment is None or moment.tzinfo else moment for moment in found], pa.timestamp("us"))
    zoned = pa.array([moment if moment and moment.tzinfo else None for moment in found], TIMESTAMP)
    return pc.coalesce(zoned, _to_utc(naive, zone)), np.array([moment is None for moment in found], dtype=np.bool_)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if "W" not in text.upper() else None
        return moment.astimezone(UTC) if moment is not None and moment.tzinfo else moment
    except (ValueError, OverflowError):
        return None
