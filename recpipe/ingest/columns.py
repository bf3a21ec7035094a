"""Delivered columns become the contract's columns: which is which, and what every file must have."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from recpipe.config import Settings
from recpipe.contract import TABLES
from recpipe.errors import BadDelivery, BadSetting
from recpipe.ingest.values import Mask, Shop, is_text, kind_of, plain, plain_type
from recpipe.privacy.texts import shown_columns

NEEDED: Final = {"events": ("user_id", "item_id", "event_type", "ts"), "items": ("item_id",), "users": ("user_id",)}
MADE: Final = ("day", "attributes")
"""Columns of the contract that recpipe fills: a delivered column of that name is none of them."""


@dataclass(frozen=True)
class Plan:
    """How the columns of one file become the columns of a table.

    Attributes
    ----------
    table
        Name of the table.
    sources
        Delivered name by contract name.
    extras
        Delivered columns that the contract does not know, sorted.
    """

    table: str
    sources: dict[str, str]
    extras: tuple[str, ...]


@dataclass(frozen=True)
class Rows:
    """A batch of rows in the contract's columns, before they are judged.

    Attributes
    ----------
    plan
        Where each column came from.
    delivered
        The batch as it was delivered.
    columns
        Every contract column but ``day`` and ``event_id``; null where nothing was delivered.
    unparsable
        By column, the rows whose value could not be read.
    """

    plan: Plan
    delivered: pa.RecordBatch
    columns: dict[str, pa.Array]
    unparsable: dict[str, Mask]

    def __len__(self) -> int:
        return int(self.delivered.num_rows)


def column_names(settings: Settings, table: str) -> Mapping[str, str]:
    """Return delivered name -> contract name, as the settings have it for a table.

    Raises
    ------
    BadSetting
        If a name is none of the contract's.
    """
    names = {"events": settings.event_columns, "items": settings.item_columns, "users": settings.user_columns}[table]
    for delivered, name in names.items():
        if name not in TABLES[table].columns or name in MADE:
            known = ", ".join(column for column in TABLES[table].columns if column not in MADE)
            raise BadSetting(f"{_setting(table)} sends {delivered} to {name}, which {table} does not have. Use one of: {known}.")
    return names


def plan_columns(settings: Settings, table: str, file: str, schema: pa.Schema) -> Plan:
    """Decide which delivered column of a file (by its name in messages) becomes which column of the contract.

    Raises
    ------
    BadDelivery
        If a needed column is missing, comes twice, or has a type that cannot hold its values.
    BadSetting
        If the settings name a column that the table does not have.
    """
    renamed = column_names(settings, table)
    candidates = [(renamed.get(name, name), name) for name in schema.names]
    known = [(name, delivered) for name, delivered in candidates if name in TABLES[table].columns and name not in MADE]
    _refuse_twins(table, file, known)
    sources = dict(known)
    _refuse_gaps(settings, table, file, schema, sources)
    for name, delivered in known:
        kind = kind_of(TABLES[table].schema.field(name))
        if not kind.accepts(plain_type(schema.field(delivered).type)):
            raise BadDelivery(f"{file}: column {delivered} has type {schema.field(delivered).type}; {kind.wanted}.")
    return Plan(table, sources, tuple(sorted(set(schema.names) - set(sources.values()) - set(MADE))))


def _refuse_twins(table: str, file: str, known: list[tuple[str, str]]) -> None:
    for name, count in Counter(name for name, _ in known).items():
        if count > 1:
            delivered = " and ".join(source for column, source in known if column == name)
            raise BadDelivery(
                f"{file} has two columns for {name} of {table}: {delivered}. Leave one out, or mend {_setting(table)}."
            )


def _refuse_gaps(settings: Settings, table: str, file: str, schema: pa.Schema, sources: dict[str, str]) -> None:
    needed = [*NEEDED[table], *(["title"] if table == "items" and settings.items_need_title else [])]
    for name in needed:
        if name not in sources:
            raise BadDelivery(
                f"{file} has no column {name}, which {table} need (it has: {shown_columns(settings, schema.names)}). "
                f"Deliver it, or name the column that holds it in {_setting(table)}."
            )
    if table == "events" and "event_id" not in sources:
        for name in settings.event_id_from:
            if name not in schema.names:
                raise BadDelivery(
                    f"{file} has no column {name}, which RECPIPE_EVENT_ID_FROM makes event ids from "
                    f"(it has: {shown_columns(settings, schema.names)}). Deliver it, or mend the setting."
                )


def _setting(table: str) -> str:
    return {"events": "RECPIPE_EVENT_COLUMNS", "items": "RECPIPE_ITEM_COLUMNS", "users": "RECPIPE_USER_COLUMNS"}[table]


def convert(plan: Plan, batch: pa.RecordBatch, shop: Shop) -> Rows:
    """Read the values of a delivered batch into the contract's columns."""
    columns: dict[str, pa.Array] = {}
    unparsable: dict[str, Mask] = {}
    for field in TABLES[plan.table].schema:
        if field.name in MADE:
            continue
        delivered = plan.sources.get(field.name)
        if delivered is None:
            columns[field.name] = pa.nulls(batch.num_rows, field.type)
            continue
        columns[field.name], bad = kind_of(field).read(plain(batch[delivered]), shop)
        if bad is not None and bad.any():
            unparsable[field.name] = bad
    if plan.table == "users":
        columns["attributes"] = _attributes(plan, batch)
    return Rows(plan, batch, columns, unparsable)


def as_text(array: pa.Array) -> pa.Array:
    """Write any column as text: what has no text form of its own is written as JSON."""
    array = plain(array)
    if is_text(array.type):
        return array.cast(pa.string())
    try:
        return array.cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        texts = [None if value is None else json.dumps(value, sort_keys=True, default=str) for value in array.to_pylist()]
        return pa.array(texts, pa.string())


def _attributes(plan: Plan, batch: pa.RecordBatch) -> pa.Array:
    kind = TABLES["users"].schema.field("attributes").type
    rows, width = batch.num_rows, len(plan.extras)
    if not width or not rows:
        return pa.nulls(rows, kind)
    values = pa.concat_arrays([as_text(batch[name]) for name in plan.extras])
    by_row = (np.arange(width)[None, :] * rows + np.arange(rows)[:, None]).ravel()
    values = values.take(pa.array(by_row))
    filled = np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False))
    ends = np.concatenate([[0], np.cumsum(filled.reshape(rows, width).sum(axis=1))])
    names = pa.array(np.tile(np.array(plan.extras, dtype=object), rows)[filled], pa.string())
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), names, values.drop_null()).cast(kind)
