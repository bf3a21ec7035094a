"""The contract's values from delivered ones, an array at a time; what cannot be read becomes null and is marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recpipe.contract import TIMESTAMP
from recpipe.tables.ingest.rows.shop_readings import Reading, Shop, either, is_bytes, is_text, mask, trimmed, without
from recpipe.tables.ingest.rows.times import read_time
from recpipe.user_ids.canonical import canonical_ids, rounded, without_nobody

NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?$"
WHOLE: Final = r"^[+-]?[0-9]{1,18}(\.0*)?$"
NO_NUMBER: Final = r"(?i)^[+-]?(nan|null|none|n/a|\\n)$"
"""What engines write as text where there is no number."""


@dataclass(frozen=True)
class Kind:
    """A kind of value: which Arrow types may bring it, how it is read, and how to say so to a person."""

    accepts: Callable[[pa.DataType], bool]
    read: Callable[[pa.Array, Shop], Reading]
    wanted: str


def kind_of(field: pa.Field) -> Kind:
    """Return the kind of values that a column of the contract takes."""
    if pt.is_string(field.type):
        if field.name in ("user_id", "person_id", "session_id", "order_id"):
            return WHO
        return ID if field.name.endswith("_id") else TEXT
    return BY_TYPE[str(field.type)]


def _is_word(kind: pa.DataType) -> bool:
    return is_text(kind) or bool(pt.is_integer(kind) or pt.is_null(kind))


def _is_number(kind: pa.DataType) -> bool:
    return _is_word(kind) or bool(pt.is_floating(kind) or pt.is_decimal(kind))


def _is_time(kind: pa.DataType) -> bool:
    return _is_number(kind) or bool(pt.is_timestamp(kind) or pt.is_date(kind))


def _is_flag(kind: pa.DataType) -> bool:
    return _is_word(kind) or bool(pt.is_boolean(kind))


def _is_path(kind: pa.DataType) -> bool:
    if pt.is_list(kind) or pt.is_large_list(kind):
        return is_text(kind.value_type) or is_bytes(kind.value_type) or bool(pt.is_null(kind.value_type))
    return is_text(kind) or bool(pt.is_null(kind))


# --- reading


def _read_text(array: pa.Array, shop: Shop) -> Reading:
    return pc.cast(array, pa.string()), None


def _read_id(array: pa.Array, shop: Shop) -> Reading:
    ids = canonical_ids(array)
    if not is_text(array.type):
        return ids, None
    bad = rounded(ids)
    return without(ids, bad), bad


def _read_who(array: pa.Array, shop: Shop) -> Reading:
    ids, bad = _read_id(array, shop)
    return without_nobody(ids, shop.nobody), bad


def _read_number(array: pa.Array, shop: Shop) -> Reading:
    values, bad = _floats(array, NUMBER) if is_text(array.type) else (pc.cast(array, pa.float64(), safe=False), None)
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    infinite = mask(pc.is_inf(values))
    return without(values, infinite), either(bad, infinite)


def _read_whole(array: pa.Array, shop: Shop) -> Reading:
    if pt.is_signed_integer(array.type) or pt.is_null(array.type):
        return pc.cast(array, pa.int64()), None
    if is_text(array.type):
        return _whole_texts(array)
    values = pc.cast(array, pa.float64(), safe=False)
    values = pc.if_else(pc.is_nan(values), pa.scalar(None, pa.float64()), values)
    broken = mask(pc.or_(pc.not_equal(pc.floor(values), values), pc.greater(pc.abs(values), 2.0**53)))
    return pc.cast(without(values, broken), pa.int64()), broken


def _whole_texts(array: pa.Array) -> Reading:
    array, bad = _readable(array, WHOLE)
    digits = pc.replace_substring_regex(array, r"^\+|\.0*$", "")
    return pc.cast(digits, pa.int64()), bad


def _floats(array: pa.Array, pattern: str) -> Reading:
    array, bad = _readable(array, pattern)
    try:
        return pc.cast(array, pa.float64()), bad
    except pa.ArrowInvalid:  # stricter than the pattern: one by one, so that one value spoils no other
        values = [None if text is None else float(text) for text in array.to_pylist()]
        return pa.array(values, pa.float64()), bad


def _read_flag(array: pa.Array, shop: Shop) -> Reading:
    if pt.is_boolean(array.type) or pt.is_null(array.type):
        return pc.cast(array, pa.bool_()), None
    texts = pc.utf8_lower(trimmed(array))
    yes = pc.is_in(texts, pa.array(["true", "1", "t", "yes", "y"]))
    no = mask(pc.is_in(texts, pa.array(["false", "0", "f", "no", "n"])))
    bad = mask(pc.is_valid(texts)) & ~mask(yes) & ~no
    return without(pc.if_else(pc.is_valid(texts), yes, pa.scalar(None, pa.bool_())), bad), bad


def _read_path(array: pa.Array, shop: Shop) -> Reading:
    if pt.is_null(array.type) or (not is_text(array.type) and pt.is_null(array.type.value_type)):
        return pa.nulls(len(array), PATH_TYPE), None
    if is_text(array.type):
        array = pc.split_pattern(pc.cast(array, pa.string()), shop.category_separator)
    levels = pc.utf8_trim_whitespace(pc.cast(pc.list_flatten(array), pa.string()))
    keep = mask(pc.not_equal(levels, ""))
    owner = pc.list_parent_indices(array).to_numpy(zero_copy_only=False)[keep]
    counts = np.bincount(owner, minlength=len(array))
    ends = pa.array(np.concatenate([[0], np.cumsum(counts)]), pa.int32())
    return pc.cast(pa.ListArray.from_arrays(ends, levels.filter(pa.array(keep)), mask=pa.array(counts == 0)), PATH_TYPE), None


def _readable(array: pa.Array, pattern: str) -> Reading:
    """Set texts that do not match the pattern to null; names for no number are null and not bad."""
    array = trimmed(array)
    array = pc.if_else(pc.match_substring_regex(array, NO_NUMBER), pa.scalar(None, pa.string()), array)
    bad = mask(pc.invert(pc.match_substring_regex(array, pattern)))
    return without(array, bad), bad


PATH_TYPE: Final = pa.list_(pa.string())
_IDS: Final = "ids are text or whole numbers: deliver it as text, 12345 and not 12345.0"
ID: Final = Kind(_is_word, _read_id, _IDS)
WHO: Final = Kind(_is_word, _read_who, _IDS)
"""Ids that may be nobody's."""
TEXT: Final = Kind(_is_word, _read_text, "deliver it as text")
BY_TYPE: Final = {
    "double": Kind(_is_number, _read_number, "deliver it as numbers"),
    "int64": Kind(_is_number, _read_whole, "deliver it as whole numbers"),
    str(TIMESTAMP): Kind(
        _is_time, read_time, "deliver it as timestamps, as texts such as 2026-03-10 10:00:00, or as numbers since 1970"
    ),
    "bool": Kind(_is_flag, _read_flag, "deliver it as true or false"),
    str(PATH_TYPE): Kind(_is_path, _read_path, "deliver it as a list of texts or as one text with RECPIPE_CATEGORY_SEPARATOR"),
}
