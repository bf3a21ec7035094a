"""What an event is known by when it is delivered without an id: a hash of the columns that identify it."""

from __future__ import annotations

import hashlib
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config import Settings
from recpipe.ingest.columns import Rows, as_text

IDENTIFYING: Final = ("user_id", "item_id", "event_type", "ts", "query")
"""Columns that identify an event of a shop that neither delivers ids nor says what identifies one."""
HEX_DIGITS: Final = 32


def event_ids(settings: Settings, rows: Rows) -> pa.Array:
    """Return the event id of every row: the delivered one, or the hash of what identifies the event.

    The hash is taken of canonical values (ids as text, times in UTC), so that it does not depend on how they were
    delivered. It is null where nothing that identifies the event is there.
    """
    made = _hashes(_identifying(settings, rows)) if "event_id" not in rows.plan.sources else None
    return rows.columns["event_id"] if made is None else made


def _identifying(settings: Settings, rows: Rows) -> list[pa.Array]:
    if not settings.event_id_from:
        return [as_text(rows.columns[name]) for name in IDENTIFYING]
    contract_name = {delivered: name for name, delivered in rows.plan.sources.items()}
    return [
        as_text(rows.columns[contract_name[name]] if name in contract_name else rows.delivered[name])
        for name in settings.event_id_from
    ]


def _hashes(parts: list[pa.Array]) -> pa.Array:
    # the separators cannot stand in a value's text by accident: a value that holds them is still told apart by its length
    lengths = [pc.cast(pc.utf8_length(part), pa.string()) for part in parts]
    keys = pc.binary_join_element_wise(*lengths, *parts, "\x1f", null_handling="replace", null_replacement="\x00")
    texts = [hashlib.sha256(key.encode()).hexdigest()[:HEX_DIGITS] for key in keys.to_pylist()]
    nothing = np.logical_and.reduce([np.asarray(pc.is_null(part).to_numpy(zero_copy_only=False)) for part in parts])
    return pa.array(texts, pa.string(), mask=nothing)
