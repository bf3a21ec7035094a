"""The identity of rows: the delivered id, the columns that a shop names, or every delivered column."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config.place_settings import PrivacySettings
from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.contract import TABLES
from recpipe.tables.ingest.rows.columns import MADE, Rows
from recpipe.tables.ingest.rows.jsonable import as_text
from recpipe.user_ids.keys import hashes, other_keys

HEX_DIGITS: Final = 32
END: Final = "\x1f"
"""Stands behind every value of a row's text; within a value it is written in another way."""


def event_ids(settings: Settings, rows: Rows) -> pa.Array:
    """Return the event id of every row: the delivered one, or the hash of what identifies the event.

    Where neither an id is delivered nor the settings say what identifies an event, every delivered column does: rows that
    differ in any are two events. The hash is taken of canonical values (ids as text, times in UTC), so that it does not
    depend on how they were delivered. It is null where nothing that identifies the event is there. With a key of user ids
    the hash is keyed, and delivered ids are mapped: either may hold the user's id.
    """
    if has_own_ids(settings.shop, rows.plan.sources):
        return other_keys(settings.privacy, "event", rows.columns["event_id"])
    if settings.shop.event_id_from:
        return _hashes(settings.privacy, _named(settings.shop, rows))
    return content_hashes(settings.privacy, rows)


def has_own_ids(shop: ShopSettings, sources: dict[str, str]) -> bool:
    """Whether the delivered event ids are events' ids as they stand; not where the settings name them beside other columns."""
    delivered = sources.get("event_id")
    return delivered is not None and (delivered not in shop.event_id_from or len(shop.event_id_from) == 1)


def content_hashes(privacy: PrivacySettings, rows: Rows) -> pa.Array:
    """Return (n,) a hash of everything that was delivered of each row, whatever the order of its columns.

    Null where nothing was. Columns of the contract count by their canonical values, the others by their text; a column that
    is missing and one that is empty are alike.
    """
    names = [name for name in TABLES[rows.plan.table].columns if name in rows.plan.sources]
    others = [*rows.plan.extras, *(made for made in MADE if made in rows.delivered.schema.names)]
    parts = {f"={name}": _quick_text(rows.columns[name]) for name in names}
    parts |= {name: as_text(rows.plan.column(rows.delivered, name)) for name in others}
    for name in names:  # what the contract's microseconds cut off
        delivered = rows.plan.column(rows.delivered, rows.plan.sources[name])
        if pa.types.is_timestamp(delivered.type) and delivered.type.unit == "ns":
            parts[f"=={name}"] = _below_microseconds(delivered)
    texts = [_part(name, part) for name, part in sorted(parts.items())]
    whole = pc.binary_join_element_wise(*texts, "", null_handling="replace", null_replacement="")
    made = [text[:HEX_DIGITS] for text in hashes(privacy, "event", whole.to_pylist())]
    return pa.array(made, pa.string(), mask=np.asarray(pc.equal(whole, "").to_numpy(zero_copy_only=False)))


def _quick_text(values: pa.Array) -> pa.Array:
    """Return values of the contract as text that nobody reads: times and numbers by what they are made of."""
    if pa.types.is_floating(values.type):
        values = pc.add(values, 0.0).view(pa.int64())  # 0 and -0 are one number
    return as_text(pc.cast(values, pa.int64()) if pa.types.is_timestamp(values.type) else values)


def _below_microseconds(times: pa.Array) -> pa.Array:
    """Return the nanoseconds below the last whole microsecond as text, null where there are none."""
    count = pc.cast(times, pa.int64())
    rest = pc.subtract(count, pc.multiply(pc.divide(count, 1000), 1000))
    return pc.cast(pc.if_else(pc.equal(rest, 0), pa.scalar(None, pa.int64()), rest), pa.string())


def _part(name: str, values: pa.Array) -> pa.Array:
    """Return values with the name of their column, and a sign behind each that no value holds."""
    if pc.any(pc.match_substring_regex(values, "[\x1e\x1f]")).as_py():
        values = pc.replace_substring(pc.replace_substring(values, "\x1e", "\x1e0"), END, "\x1e1")
    name = name.replace("\x1e", "\x1e0").replace(END, "\x1e1")
    return pc.binary_join_element_wise(f"{name}\x1e=", values, END, "")


def _named(shop: ShopSettings, rows: Rows) -> list[pa.Array]:
    contract_name = {delivered: name for name, delivered in rows.plan.sources.items()}
    return [
        as_text(rows.columns[contract_name[name]] if name in contract_name else rows.plan.column(rows.delivered, name))
        for name in shop.event_id_from
    ]


def _hashes(privacy: PrivacySettings, parts: list[pa.Array]) -> pa.Array:
    # the separators cannot stand in a value's text by accident: a value that holds them is still told apart by its length
    lengths = [pc.cast(pc.utf8_length(part), pa.string()) for part in parts]
    keys = pc.binary_join_element_wise(*lengths, *parts, "\x1f", null_handling="replace", null_replacement="\x00")
    texts = [text[:HEX_DIGITS] for text in hashes(privacy, "event", keys.to_pylist())]
    nothing = np.logical_and.reduce([np.asarray(pc.is_null(part).to_numpy(zero_copy_only=False)) for part in parts])
    return pa.array(texts, pa.string(), mask=nothing)
