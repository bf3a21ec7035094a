"""The pseudonyms of rows: with a key of user ids, nothing that a row holds beyond here says whose it is."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config.place_settings import PrivacySettings
from recpipe.config.settings import Settings
from recpipe.tables.ingest.rows.columns import Plan, Rows
from recpipe.tables.ingest.rows.shop_readings import Mask, mask
from recpipe.user_ids.canonical import canonical
from recpipe.user_ids.keys import Kind, has_key, other_keys, user_keys
from recpipe.user_ids.masked_texts import LONG_ID, MAIL_PATTERN, USER, is_telling, masked, masked_text, without_mails

PERSONS: Final = ("user_id", "person_id")
OTHER_IDS: Final[Mapping[str, Kind]] = {"session_id": "session", "order_id": "order", "event_id": "event"}
TEXTS: Final = {
    "events": ("query", "text", "platform"),
    "users": ("platform", "country"),
    "items": ("title", "description", "brand"),
}
NUMBERS: Final = ("price", "quantity")
LARGE: Final = 10 ** (LONG_ID - 1)
_PLAIN: Final = re.compile(r"[^\W\d_]+([ _-][^\W\d_]+){0,4}|[+-]?\d{1,5}([.,]\d{1,4})?|\d{4}-\d\d-\d\d([T ][\d:.+Z-]{5,21})?")
"""Texts that a quarantined row of events or users may show: a few words, a small number, a time."""


def behind_the_door(settings: Settings, rows: Rows) -> Rows:
    """Return judged rows with ids mapped and texts masked; without a key as they are.

    Event ids were mapped when they were made (`ingest.identity`).
    """
    if not has_key(settings.privacy):
        return rows
    there = rows.columns
    owners = owners_of(rows)
    found: dict[str, pa.Array] = {name: user_keys(settings.privacy, there[name]) for name in PERSONS if name in there}
    found |= {name: other_keys(settings.privacy, kind, there[name]) for name, kind in OTHER_IDS.items() if name in there}
    found.pop("event_id", None)
    # a mark may be longer than a short id, and no text may be longer than the audit allows
    most = settings.intake.max_text_length
    found |= {name: pc.utf8_slice_codeunits(masked(there[name], owners), 0, most) for name in TEXTS[rows.plan.table]}
    if "attributes" in there:
        found["attributes"] = _attributes(there["attributes"], owners)
    if "category" in there:
        found["category"] = _levels(there["category"])
    return replace(rows, columns={**there, **found})


def owners_of(rows: Rows) -> list[pa.Array]:
    """Return the raw ids of the people whom rows belong to, by column."""
    return [rows.columns[name] for name in PERSONS if name in rows.columns]


def misplaced(privacy: PrivacySettings, rows: Rows) -> Iterator[tuple[str, Mask]]:
    """Yield columns that have no text to mask, and the rows whose value there is a mail address or the row's own id.

    A number of fewer than `LONG_ID` digits is no sign of that: users and items may well be counted alike.
    """
    if not has_key(privacy):
        return
    if "item_id" in rows.columns:
        items = rows.columns["item_id"]
        yield "item_id", mask(pc.match_substring_regex(items, MAIL_PATTERN)) | _own(items, rows)
    for name in NUMBERS:
        if name in rows.columns:
            values = rows.columns[name]
            large = pc.if_else(pc.greater_equal(values, LARGE), values, pa.scalar(None, values.type))
            whole = pc.cast(pc.cast(large, pa.int64(), safe=False), pa.string())
            yield name, _own(whole, rows)


def _own(values: pa.Array, rows: Rows) -> Mask:
    found = np.zeros(len(rows), dtype=np.bool_)
    for ids in owners_of(rows):
        counted = mask(pc.match_substring_regex(ids, rf"^\d{{1,{LONG_ID - 1}}}$"))
        found |= mask(pc.equal(values, ids)) & ~counted
    return found


def _attributes(attributes: pa.Array, owners: Sequence[pa.Array]) -> pa.Array:
    lengths = np.diff(np.asarray(attributes.offsets))
    rows = pa.array(np.repeat(np.arange(len(attributes)), lengths))
    keys, values = attributes.keys, attributes.items
    values = masked(values, [ids.take(rows) for ids in owners])
    made = pa.MapArray.from_arrays(attributes.offsets, without_mails(keys), values, mask=pc.is_null(attributes))
    return made.cast(attributes.type)


def _levels(paths: pa.Array) -> pa.Array:
    made = pa.ListArray.from_arrays(paths.offsets, without_mails(paths.values), mask=pc.is_null(paths))
    return made.cast(paths.type)


# --- rows that stay out, and what is said of a delivery ---------------------------------------------------------------


def payload_behind_the_door(
    settings: Settings, plan: Plan, row: Mapping[str, Any], kept: Sequence[str], fault: str | None
) -> dict[str, Any]:
    """Return what the quarantine may show of a delivered row: who cleans a delivery finds the row in its file.

    Of events and users nothing is shown but ids of items, a few plain words, small numbers and times: a row that is
    amiss may have its columns in the wrong places, so the column at fault shows no id of an item either. Of items
    nothing is left out but mail addresses, and columns that are ids of people in the other tables.
    """
    of = {delivered: name for name, delivered in plan.sources.items()}
    owners = [canonical(row[plan.sources[name]]) for name in PERSONS if row.get(plan.sources.get(name, "")) is not None]
    renamed = {**settings.shop.event_columns, **settings.shop.user_columns}
    persons = {*PERSONS, *(name for name, ours in renamed.items() if ours in PERSONS)}
    shown: dict[str, Any] = {}
    for delivered in kept:
        if delivered in persons:
            continue
        name, value = of.get(delivered, ""), row.get(delivered)
        if name in OTHER_IDS and value is not None:
            value = other_keys(settings.privacy, OTHER_IDS[name], pa.array([str(value)]))[0].as_py()
        elif plan.table == "items":
            value = _without_mails(value)
        else:
            value = _shown(value, owners, name == "item_id" and delivered != fault)
        shown[masked_text(delivered, [])] = value
    return shown


def _without_mails(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_without_mails(entry) for entry in value]
    if isinstance(value, dict):
        return {masked_text(str(key), []): _without_mails(entry) for key, entry in value.items()}
    return masked_text(value, []) if isinstance(value, str) else value


def _shown(value: Any, owners: Sequence[str], item: bool) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float):
        own = any(is_telling(user) and str(value).removesuffix(".0") == user for user in owners)
        return USER if own else value if not abs(value) >= LARGE else "[number]"
    if not isinstance(value, str):
        return f"[{type(value).__name__}]" if isinstance(value, list | tuple | dict | bytes) else str(value)
    text = masked_text(value, owners)
    return text if text != value or item or _PLAIN.fullmatch(text) else f"[text of {len(value)} characters]"
