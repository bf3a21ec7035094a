"""What an event is known by when it is delivered without an id: a hash of the columns that identify it."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config import Settings
from recpipe.ingest.columns import Rows, as_text
from recpipe.privacy.keys import hashes, other_keys

IDENTIFYING: Final = ("user_id", "item_id", "event_type", "ts", "query")
"""Columns that identify an event of a shop that neither delivers ids nor says what identifies one."""
HEX_DIGITS: Final = 32


def event_ids(settings: Settings, rows: Rows) -> pa.Array:
    """Return the event id of every row: the delivered one, or the hash of what identifies the event.

    The hash is taken of canonical values (ids as text, times in UTC), so that it does not depend on how they were
    delivered. It is null where nothing that identifies the event is there. With a key of user ids the hash is keyed, and
    delivered ids are mapped: either may hold the user's id.
    """
    if "event_id" in rows.plan.sources:
        return other_keys(settings, "event", rows.columns["event_id"])
    return _hashes(settings, _identifying(settings, rows))


def _identifying(settings: Settings, rows: Rows) -> list[pa.Array]:
    if not settings.event_id_from:
        return [as_text(rows.columns[name]) for name in IDENTIFYING]
    contract_name = {delivered: name for name, delivered in rows.plan.sources.items()}
    return [
        as_text(rows.columns[contract_name[name]] if name in contract_name else rows.delivered[name])
        for name in settings.event_id_from
    ]


def _hashes(settings: Settings, parts: list[pa.Array]) -> pa.Array:
    # the separators cannot stand in a value's text by accident: a value that holds them is still told apart by its length
    lengths = [pc.cast(pc.utf8_length(part), pa.string()) for part in parts]
    keys = pc.binary_join_element_wise(*lengths, *parts, "\x1f", null_handling="replace", null_replacement="\x00")
    texts = [text[:HEX_DIGITS] for text in hashes(settings, "event", keys.to_pylist())]
    nothing = np.logical_and.reduce([np.asarray(pc.is_null(part).to_numpy(zero_copy_only=False)) for part in parts])
    return pa.array(texts, pa.string(), mask=nothing)
