"""Rows that are not taken in: where they stood, why they stayed out, and what may be kept of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa

from recpipe.config import Settings
from recpipe.contract import QUARANTINE
from recpipe.ingest.checks import DUPLICATE, Judged
from recpipe.ingest.columns import Plan
from recpipe.ingest.door import payload_behind_the_door
from recpipe.ingest.values import plain
from recpipe.privacy.keys import has_key, hashes

FREE_TEXT = ("query", "text")


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


def duplicate_rows(settings: Settings, plan: Plan, batch: pa.RecordBatch, day: date, file: str, at: Iterable[int]) -> pa.Table:
    """Return the quarantine rows of duplicates; ``at`` holds their rows in the file."""
    column = plan.sources.get({"events": "event_id", "items": "item_id", "users": "user_id"}[plan.table])
    return _table(settings, plan, batch, day, file, at, [(DUPLICATE, column, False)] * batch.num_rows)


def _table(
    settings: Settings,
    plan: Plan,
    batch: pa.RecordBatch,
    day: date,
    file: str,
    at: Iterable[int],
    reasons: list[tuple[str, str | None, bool]],
) -> pa.Table:
    kept, values = _payload_columns(settings, plan), _values(batch)
    rows = [
        {
            "day": day, "source_table": plan.table, "source_file": file, "row_number": int(number), "reason": reason,
            "column": column, "set_aside": aside, "row_hash": hashed,
            "payload": _json(_payload(settings, plan, row, kept, column)),
        }
        for number, row, hashed, (reason, column, aside) in zip(at, values, row_hashes(settings, values), reasons, strict=True)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, QUARANTINE.schema)


def _values(batch: pa.RecordBatch) -> list[dict[str, Any]]:
    columns = {name: _column_values(plain(batch[name])) for name in batch.schema.names}
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def _column_values(array: pa.Array) -> list[Any]:
    try:
        return list(array.to_pylist())
    except (OverflowError, ValueError, KeyError):  # times that Python has no date for, in zones that nobody knows
        return list(array.view(pa.int32() if array.type.bit_width == 32 else pa.int64()).to_pylist())


def _payload_columns(settings: Settings, plan: Plan) -> list[str]:
    """Return the delivered columns that may be kept; of columns that nobody described nobody knows whom they name."""
    known = {delivered for name, delivered in plan.sources.items() if name not in ("user_id", "person_id", *FREE_TEXT)}
    if plan.table == "events":
        known |= set(settings.event_id_from) & set(plan.extras)
    if plan.table == "items":
        known |= set(plan.extras)
    return sorted(known)


def _payload(settings: Settings, plan: Plan, row: dict[str, Any], kept: list[str], fault: str | None) -> dict[str, Any]:
    there = [name for name in kept if name in row]
    return (
        payload_behind_the_door(settings, plan, row, there, fault) if has_key(settings) else {name: row[name] for name in there}
    )


def row_hashes(settings: Settings, rows: list[dict[str, Any]]) -> list[str]:
    """Return the sha256 of whole delivered rows, in hexadecimal; with a key of user ids HMAC-SHA-256."""
    return hashes(settings, "row", [_json(row) for row in rows])


def _json(row: dict[str, Any]) -> str:
    return json.dumps({name: _plain(value) for name, value in row.items()}, sort_keys=True, ensure_ascii=False, default=str)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
