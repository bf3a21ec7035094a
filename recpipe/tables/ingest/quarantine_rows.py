"""Rows that are not taken in: where they stood, why they stayed out, and what may be kept of them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from recpipe.config.place_settings import PrivacySettings
from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.contract import QUARANTINE
from recpipe.tables.ingest.rows.columns import Plan
from recpipe.tables.ingest.rows.jsonable import as_json, bounded, python_values
from recpipe.tables.ingest.rows.pseudonymise import PERSONS, payload_behind_the_door
from recpipe.tables.ingest.rows.row_checks import COPY, FEEDS, REPLACED, Judged
from recpipe.tables.ingest.rows.shop_readings import Mask
from recpipe.user_ids.keys import has_key, hashes

FREE_TEXT = ("query", "text")
VALUE_LENGTH = 2_000
ROW_LENGTH = 50_000
"""Letters of JSON that a value and a row of the payload take at most."""


def refused_rows(settings: Settings, judged: Judged, day: date, file: str, first_row: int) -> pa.Table:
    """Return the quarantine rows of a judged batch.

    Parameters
    ----------
    settings
        Say which columns identify an event.
    judged
        The batch and what was found.
    day
        The day of the delivery.
    file
        Name of the file within the day's delivery.
    first_row
        Row of the file that the batch begins with.
    """
    at = np.flatnonzero(judged.which >= 0)
    findings = [judged.findings[index] for index in judged.which[at]]
    reasons = [(finding.reason, judged.rows.plan.sources.get(finding.column), finding.set_aside) for finding in findings]
    return _table(settings, judged.rows.plan, judged.rows.delivered.take(pa.array(at)), day, file, at + first_row, reasons)


def repeated_rows(
    settings: Settings, plan: Plan, batch: pa.RecordBatch, day: date, file: str, at: Iterable[int], copies: Mask
) -> pa.Table:
    """Return the quarantine rows of repeated keys; ``at`` holds their rows in the file, ``copies`` which are copies of another."""
    column = plan.sources.get({"events": "event_id", "items": "item_id", "users": "user_id"}[plan.table])
    aside = plan.table in FEEDS
    reasons = [(COPY, column, True) if copy else (REPLACED, column, aside) for copy in copies.tolist()]
    return _table(settings, plan, batch, day, file, at, reasons)


def _table(
    settings: Settings,
    plan: Plan,
    batch: pa.RecordBatch,
    day: date,
    file: str,
    at: Iterable[int],
    reasons: list[tuple[str, str | None, bool]],
) -> pa.Table:
    kept, values = _payload_columns(settings.shop, plan), _values(batch)
    parts = {name: python_values(plan.column(batch, name)) for name in kept if len(plan.paths[name]) > 1}
    rows = []
    for place, (number, row, hashed, (reason, column, aside)) in enumerate(
        zip(at, values, row_hashes(settings.privacy, values), reasons, strict=True)
    ):
        whole = {**row, **{name: part[place] for name, part in parts.items()}}
        shown = bounded(_payload(settings, plan, whole, kept, column), VALUE_LENGTH, ROW_LENGTH)
        rows.append(
            {
                "day": day, "source_table": plan.table, "source_file": file, "row_number": int(number), "reason": reason,
                "column": column, "set_aside": aside, "row_hash": hashed, "payload": as_json(shown),
            }
        )  # fmt: skip
    return pa.Table.from_pylist(rows, QUARANTINE.schema)


def _values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = {name: python_values(column) for name, column in zip(batch.schema.names, batch.columns, strict=True)}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _payload_columns(shop: ShopSettings, plan: Plan) -> list[str]:
    """Return the delivered columns that may be kept; of columns that nobody described nobody knows whom they name."""
    hidden = {delivered for name, delivered in plan.sources.items() if name in (*PERSONS, *FREE_TEXT)}
    known = set(plan.sources.values())
    if plan.table == "events":
        known |= {name for name in shop.event_id_from if name in plan.paths}
    if plan.table == "items":
        known |= set(plan.extras)
    roots = {plan.paths[name][0] for name in hidden}  # a struct is not shown whole if a part of it is not to be shown
    return sorted(name for name in known - hidden - set(PERSONS) if (name,) != plan.paths[name] or name not in roots)


def _payload(settings: Settings, plan: Plan, row: dict[str, Any], kept: list[str], fault: str | None) -> dict[str, Any]:
    there = [name for name in kept if name in row]
    if has_key(settings.privacy):
        return payload_behind_the_door(settings, plan, row, there, fault)
    persons = _persons(settings.shop)
    return {name: _without_persons(row[name], persons) for name in there}


def _persons(shop: ShopSettings) -> frozenset[str]:
    renamed = {**shop.event_columns, **shop.user_columns}
    return frozenset({*PERSONS, *(name.rpartition(".")[2] for name, ours in renamed.items() if ours in PERSONS)})


def _without_persons(value: Any, persons: frozenset[str]) -> Any:
    """Return a nested value without the fields that are people's ids by their name."""
    if isinstance(value, dict):
        return {name: _without_persons(entry, persons) for name, entry in value.items() if name not in persons}
    return [_without_persons(entry, persons) for entry in value] if isinstance(value, list | tuple) else value


def row_hashes(privacy: PrivacySettings, rows: list[dict[str, Any]]) -> list[str]:
    """Return the sha256 of whole delivered rows, in hexadecimal; with a key of user ids HMAC-SHA-256."""
    return hashes(privacy, "row", [as_json(row) for row in rows])
