"""The contract's columns from delivered ones: the match, and the columns that every file must have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recpipe.config.place_settings import PrivacySettings
from recpipe.config.settings import Settings
from recpipe.config.shop_settings import ShopSettings
from recpipe.contract import TABLES
from recpipe.errors import BadDelivery, BadSetting
from recpipe.printable import NAME, printable
from recpipe.tables.ingest.rows.file_reading import Batch
from recpipe.tables.ingest.rows.jsonable import as_text
from recpipe.tables.ingest.rows.plain_types import Path, decoded, field_at, fields_under, plain_type, unique_names
from recpipe.tables.ingest.rows.shop_readings import Mask, Shop, either, is_bytes, without
from recpipe.tables.ingest.rows.values import kind_of
from recpipe.user_ids.keys import has_key
from recpipe.user_ids.masked_texts import shown_columns

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
        Delivered name by contract name; a field of a struct has the names on the way to it, with dots.
    extras
        Delivered columns that the contract does not know, sorted.
    paths
        By delivered name, where it lies in the file.
    """

    table: str
    sources: dict[str, str]
    extras: tuple[str, ...]
    paths: dict[str, Path]

    def column(self, rows: pa.RecordBatch, delivered: str) -> pa.Array:
        """Return a delivered column of some rows, or a field of one."""
        root, *rest = self.paths[delivered]
        return field_at(rows[root], tuple(rest))

    def broken(self, batch: Batch, delivered: str) -> Mask | None:
        """Return in which rows the text of a delivered column is not UTF-8; None if in none."""
        path, found = self.paths[delivered], None
        for place, rows in batch.broken.items():
            if place[: len(path)] == path:
                found = either(found, rows)
        return found


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
    not_utf8
        By column, the rows whose text is not UTF-8.
    """

    plan: Plan
    delivered: pa.RecordBatch
    columns: dict[str, pa.Array]
    unparsable: dict[str, Mask]
    not_utf8: dict[str, Mask]

    def __len__(self) -> int:
        return int(self.delivered.num_rows)


def column_names(shop: ShopSettings, table: str) -> Mapping[str, str]:
    """Return delivered name -> contract name, as the settings have it for a table.

    Raises
    ------
    BadSetting
        If a name is none of the contract's.
    """
    names = {"events": shop.event_columns, "items": shop.item_columns, "users": shop.user_columns}[table]
    for delivered, name in names.items():
        if name not in TABLES[table].columns or name in MADE:
            known = ", ".join(column for column in TABLES[table].columns if column not in MADE)
            raise BadSetting(f"{_setting(table)} sends {delivered} to {name}, which {table} does not have. Use one of: {known}.")
    return names


def version_column(shop: ShopSettings, table: str) -> str:
    """Return the delivered column that says which of two rows of a key is the later; empty if none does."""
    return {"items": shop.item_version_column, "users": shop.user_version_column}.get(table, "")


def plan_columns(settings: Settings, table: str, file: str, schema: pa.Schema) -> Plan:
    """Decide which delivered column of a file (by its name in messages) becomes which column of the contract.

    Raises
    ------
    BadDelivery
        If a needed column is missing, comes twice, or has a type that cannot hold its values.
    BadSetting
        If the settings name a column that the table does not have.
    """
    renamed = column_names(settings.shop, table)
    kinds = _delivered_types(schema)
    top = unique_names(schema.names)
    candidates = [
        (renamed.get(name, name), name) for name in [*top, *(name for name in renamed if name in kinds and name not in top)]
    ]
    known = [(name, delivered) for name, delivered in candidates if name in TABLES[table].columns and name not in MADE]
    _refuse_twins(settings.shop, table, file, schema, known)
    sources = dict(known)
    _refuse_gaps(settings, table, file, list(kinds), schema, sources)
    for name, delivered in known:
        kind = kind_of(TABLES[table].schema.field(name))
        brought = kinds[delivered][1]
        if not kind.accepts(pa.string() if is_bytes(brought) else brought):
            raise BadDelivery(f"{file}: column {delivered} has type {brought}; {kind.wanted}.")
    return Plan(table, sources, _extras(kinds, top, sources), {name: path for name, (path, _) in kinds.items()})


def _delivered_types(schema: pa.Schema) -> dict[str, tuple[Path, pa.DataType]]:
    """Return by delivered name where a column lies and its plain type; of fields of structs, too, where no column has the name."""
    found: dict[str, tuple[Path, pa.DataType]] = {}
    names = unique_names(schema.names)
    for name, field in zip(names, schema, strict=True):
        found[name] = (name,), plain_type(field.type)
    for name, field in zip(names, schema, strict=True):
        for path, kind in fields_under(plain_type(field.type), (name,)):
            found.setdefault(".".join(path), (path, kind))
    return found


def _extras(kinds: Mapping[str, tuple[Path, pa.DataType]], top: list[str], sources: Mapping[str, str]) -> tuple[str, ...]:
    """Return what the contract does not know: columns, and of structs of which a field is known, the other fields."""
    taken = {kinds[delivered][0] for delivered in sources.values()}
    opened = {path[0] for path in taken if len(path) > 1}
    whole = {name for name in top if (name,) not in taken and name not in opened and name not in MADE}
    fields = {
        name for name, (path, kind) in kinds.items()
        if path[0] in opened and not pt.is_struct(kind) and not any(path[: len(known)] == known for known in taken)
    }  # fmt: skip
    return tuple(sorted(whole | fields))


def _refuse_twins(shop: ShopSettings, table: str, file: str, schema: pa.Schema, known: list[tuple[str, str]]) -> None:
    needed = [delivered for _, delivered in known] + (shop.event_id_from if table == "events" else [])
    for delivered in [*needed, version_column(shop, table)]:
        if (count := schema.names.count(delivered)) > 1:
            raise BadDelivery(
                f"{file} has {count} columns named {delivered}, and {table} need one. Leave the others out, or rename them."
            )
    for name in dict.fromkeys(name for name, _ in known):
        delivered_twice = [source for column, source in known if column == name]
        if len(delivered_twice) > 1:
            raise BadDelivery(
                f"{file} has two columns for {name} of {table}: {' and '.join(delivered_twice)}. Leave one out, or mend {_setting(table)}."
            )


def _refuse_gaps(settings: Settings, table: str, file: str, names: list[str], schema: pa.Schema, sources: dict[str, str]) -> None:
    has = f"it has: {shown_columns(settings.privacy, schema.names)}"
    for name in [*NEEDED[table], *(["title"] if table == "items" and settings.intake.items_need_title else [])]:
        if name not in sources:
            raise BadDelivery(
                f"{file} has no column {name}, which {table} need ({has}{_near(settings.privacy, name, names)}). "
                f"Deliver it, or name the column that holds it in {_setting(table)}."
            )
    if (table == "events" and "event_id" not in sources) or "event_id" in settings.shop.event_id_from:
        for name in settings.shop.event_id_from if table == "events" else []:
            if name not in names:
                raise BadDelivery(
                    f"{file} has no column {name}, which RECPIPE_EVENT_ID_FROM makes event ids from "
                    f"({has}{_near(settings.privacy, name, names)}). Deliver it, or mend the setting."
                )
    version = version_column(settings.shop, table)
    if version and version not in names:
        raise BadDelivery(
            f"{file} has no column {version}, which RECPIPE_{table[:-1].upper()}_VERSION_COLUMN names "
            f"({has}{_near(settings.privacy, version, names)}). Deliver it, or mend the setting."
        )


def _near(privacy: PrivacySettings, wanted: str, names: list[str]) -> str:
    """Name columns that differ from the wanted one in capitals, blanks and signs, or lie within a struct."""
    found = [name for name in names if _letters(name) == _letters(wanted) or name.rpartition(".")[2] == wanted]
    if has_key(privacy):
        found = [name for name in found if shown_columns(privacy, [name]) == name or "." in name]
    shown = ", ".join(f"'{printable(name, NAME)}'" for name in found[:3])
    return f"; near to it: {shown}" if shown else ""


def _letters(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).casefold()


def _setting(table: str) -> str:
    return {"events": "RECPIPE_EVENT_COLUMNS", "items": "RECPIPE_ITEM_COLUMNS", "users": "RECPIPE_USER_COLUMNS"}[table]


def convert(plan: Plan, batch: Batch, shop: Shop) -> Rows:
    """Read the values of a delivered batch into the contract's columns."""
    rows = Rows(plan, batch.rows, {}, {}, {})
    for field in TABLES[plan.table].schema:
        if field.name in MADE:
            continue
        if field.name not in plan.sources:
            rows.columns[field.name] = pa.nulls(batch.num_rows, field.type)
            continue
        values, bad, foreign = read_column(plan, batch, field, shop)
        rows.columns[field.name] = values
        for found, marks in ((rows.unparsable, bad), (rows.not_utf8, foreign)):
            if marks is not None and marks.any():
                found[field.name] = marks
    if plan.table == "users":
        rows.columns["attributes"] = _attributes(plan, batch.rows)
    return rows


def read_column(plan: Plan, batch: Batch, field: pa.Field, shop: Shop) -> tuple[pa.Array, Mask | None, Mask | None]:
    """Read one column of the contract; return its values, which could not be read, and which are text that is not UTF-8."""
    delivered = plan.sources[field.name]
    values, foreign = plan.column(batch.rows, delivered), plan.broken(batch, delivered)
    if is_bytes(values.type):
        values, broken = decoded(values)
        foreign = either(foreign, broken)
    read, bad = kind_of(field).read(values, shop)
    if foreign is None:
        return read, bad, None
    return without(read, foreign), bad if bad is None else bad & ~foreign, foreign


def _attributes(plan: Plan, batch: pa.RecordBatch) -> pa.Array:
    kind = TABLES["users"].schema.field("attributes").type
    rows, width = batch.num_rows, len(plan.extras)
    if not width or not rows:
        return pa.nulls(rows, kind)
    values = pa.concat_arrays([as_text(plan.column(batch, name)) for name in plan.extras])
    by_row = (np.arange(width)[None, :] * rows + np.arange(rows)[:, None]).ravel()
    values = values.take(pa.array(by_row))
    filled = np.asarray(pc.is_valid(values).to_numpy(zero_copy_only=False))
    ends = np.concatenate([[0], np.cumsum(filled.reshape(rows, width).sum(axis=1))])
    names = pa.array(np.tile(np.array(plan.extras, dtype=object), rows)[filled], pa.string())
    return pa.MapArray.from_arrays(pa.array(ends, pa.int32()), names, values.drop_null()).cast(kind)
