"""The reading of a delivered column: the values of the contract, and the places where one could not be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from recpipe.config.checks import NOBODY

if TYPE_CHECKING:
    from recpipe.config.settings import Settings

Mask = NDArray[np.bool_]
Reading = tuple[pa.Array, Mask | None]
"""The values, and where a value stood that could not be read (None: nowhere)."""


@dataclass(frozen=True)
class Shop:
    """What of the settings the meaning of a value depends on."""

    zone: ZoneInfo
    category_separator: str
    nobody: frozenset[str] = frozenset(NOBODY)
    time_unit: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Shop:
        """Return what the settings say."""
        nobody = frozenset(name.strip().lower() for name in settings.shop.nobody)
        return cls(settings.shop.zone, settings.shop.category_separator, nobody, settings.shop.time_unit)


def mask(array: pa.Array | pa.Scalar) -> Mask:
    """Return a boolean array as numpy; null is false."""
    return np.asarray(pc.fill_null(array, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def is_text(kind: pa.DataType) -> bool:
    """Whether values of a type are text."""
    return bool(pt.is_string(kind) or pt.is_large_string(kind) or pt.is_string_view(kind))


def is_bytes(kind: pa.DataType) -> bool:
    """Whether values of a type are bytes of any length, which many writers mean as text."""
    return bool(pt.is_binary(kind) or pt.is_large_binary(kind) or pt.is_binary_view(kind))


def trimmed(array: pa.Array) -> pa.Array:
    """Return text without blanks around it; null where nothing is left."""
    array = pc.utf8_trim_whitespace(pc.cast(array, pa.string()))
    return pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array)


def without(array: pa.Array, bad: Mask) -> pa.Array:
    """Return an array with null in some places."""
    return pc.if_else(pa.array(bad), pa.scalar(None, array.type), array) if bad.any() else array


def either(one: Mask | None, other: Mask | None) -> Mask | None:
    """Return where one or the other holds."""
    return other if one is None else one if other is None else one | other
