r"""Columns of plain types from columns of a file: no views, dictionaries, run ends or extensions, all text UTF-8.

Text that is not UTF-8 is written with its bytes as ``\xe9``, and its rows are marked: whether that decides the fate of a row
is for others to say. Nested columns are settled at every depth.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt
from numpy.typing import NDArray

from recpipe.tables.ingest.rows.shop_readings import Mask

Path = tuple[str, ...]
"""Names on the way to a field of a struct; entries of lists and maps have the path of their column."""


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Return the plain type of the values of a column."""
    if isinstance(kind, pa.UuidType):
        return pa.string()
    if isinstance(kind, pa.BaseExtensionType):
        return plain_type(kind.storage_type)
    if pt.is_dictionary(kind) or pt.is_run_end_encoded(kind):
        return plain_type(kind.value_type)
    if pt.is_string_view(kind):
        return pa.string()
    if pt.is_binary_view(kind):
        return pa.binary()
    if _is_list(kind):
        return pa.list_(kind.value_field.with_type(plain_type(kind.value_type)))
    if pt.is_struct(kind):
        return pa.struct([field.with_type(plain_type(field.type)) for field in kind])
    if pt.is_map(kind):
        return pa.map_(plain_type(kind.key_type), plain_type(kind.item_type))
    return kind


def plain(array: pa.Array) -> pa.Array:
    """Return the values of an array in its plain type."""
    kind = array.type
    if plain_type(kind) == kind:
        return array
    if isinstance(kind, pa.UuidType):
        return _uuid_texts(array.storage)
    if isinstance(kind, pa.BaseExtensionType):
        return plain(array.storage)
    if pt.is_dictionary(kind):
        return plain(array.dictionary_decode())
    if pt.is_run_end_encoded(kind):
        return plain(pc.run_end_decode(array))
    if _is_list(kind):
        lengths, values = _entries(array)
        return _list(array, lengths, plain(values), plain_type(kind))
    if pt.is_struct(kind):
        return _struct(array, [plain(array.field(place)) for place in range(kind.num_fields)])
    if pt.is_map(kind):
        array = _compact(array)
        return _map(array, plain(array.keys), plain(array.items))
    return pc.cast(array, plain_type(kind))


def plain_batch(batch: pa.RecordBatch) -> tuple[pa.RecordBatch, dict[Path, Mask]]:
    """Return a batch in plain types, with names that stand once, and by path the rows whose text was not UTF-8.

    Raises
    ------
    pa.ArrowInvalid
        If the batch is broken in another way.
    """
    names = unique_names(batch.schema.names)
    broken: dict[Path, Mask] = {}
    try:
        batch.validate(full=True)
        columns = [plain(column) for column in batch.columns]
    except pa.ArrowInvalid:
        columns, broken = _mended_columns(names, batch)
    return pa.RecordBatch.from_arrays(columns, names=names), broken


def unique_names(names: list[str]) -> list[str]:
    """Return names of columns such that none stands twice: the second ``x`` is ``x (2)``.

    Examples
    --------
    >>> unique_names(["x", "y", "x", "x"])
    ['x', 'y', 'x (2)', 'x (3)']
    """
    found: list[str] = []
    taken = set(names)
    for name in names:
        number, unique = 1, name
        while unique in found or (number > 1 and unique in taken):
            number += 1
            unique = f"{name} ({number})"
        found.append(unique)
    return found


def field_at(array: pa.Array, path: Path) -> pa.Array:
    """Return a field of a struct, null where the struct is."""
    for name in path:
        array = array.flatten()[array.type.get_field_index(name)]
    return array


def fields_under(kind: pa.DataType, path: Path) -> Iterator[tuple[Path, pa.DataType]]:
    """Yield the fields of a struct at every depth, with their paths and plain types; of twins nothing, for nobody can name them."""
    if not pt.is_struct(kind):
        return
    names = [field.name for field in kind]
    for field in kind:
        if names.count(field.name) == 1:
            yield (*path, field.name), field.type
            yield from fields_under(field.type, (*path, field.name))


# --- text that is not UTF-8 -----------------------------------------------------------------------------------------


def _mended_columns(names: list[str], batch: pa.RecordBatch) -> tuple[list[pa.Array], dict[Path, Mask]]:
    columns: list[pa.Array] = []
    broken: dict[Path, Mask] = {}
    for name, column in zip(names, batch.columns, strict=True):
        try:
            column.validate(full=True)
            columns.append(plain(column))
        except pa.ArrowInvalid:
            column.validate()
            _check_dictionary(column)
            mended, found = _mended(plain(column))
            mended.validate(full=True)
            columns.append(mended)
            broken |= {(name, *path): rows for path, rows in found.items()}
    return columns, broken


def _check_dictionary(array: pa.Array) -> None:
    if pt.is_dictionary(array.type) and len(array.indices.drop_null()):
        ends = pc.min_max(array.indices).as_py()
        if ends["min"] < 0 or ends["max"] >= len(array.dictionary):
            raise pa.ArrowInvalid("a value that the dictionary does not have")


def _mended(array: pa.Array) -> tuple[pa.Array, dict[Path, Mask]]:
    """Return an array of plain type with all its text in UTF-8, and by path the rows that had other text."""
    kind = array.type
    if pt.is_string(kind) or pt.is_large_string(kind):
        return _mended_texts(array)
    if _is_list(kind):
        lengths, values = _entries(array)
        values, broken = _mended(values)
        rows = _of_rows(broken, lengths)
        return _list(array, lengths, values, kind), rows
    if pt.is_struct(kind):
        parts = [_mended(array.field(place)) for place in range(kind.num_fields)]
        found = {(field.name, *path): rows for field, (_, marks) in zip(kind, parts, strict=True) for path, rows in marks.items()}
        return _struct(array, [part for part, _ in parts]), found
    if pt.is_map(kind):
        array = _compact(array)
        (keys, one), (items, other) = _mended(array.keys), _mended(array.items)
        return _map(array, keys, items), _of_rows({**_renamed(one, "key"), **_renamed(other, "value")}, _lengths(array))
    return array, {}


def _mended_texts(texts: pa.Array) -> tuple[pa.Array, dict[Path, Mask]]:
    # only the values' meaning changes: the buffers of text are those of bytes
    kind = pa.binary() if pt.is_string(texts.type) else pa.large_binary()
    raw = pa.Array.from_buffers(kind, len(texts), texts.buffers(), offset=texts.offset)
    raw.validate(full=True)
    values, broken = [], np.zeros(len(texts), dtype=np.bool_)
    for row, value in enumerate(raw.to_pylist()):
        text = None if value is None else value.decode("utf-8", "backslashreplace")
        broken[row] = value is not None and text is not None and text.encode() != value
        values.append(text)
    return pa.array(values, texts.type), {(): broken} if broken.any() else {}


def decoded(array: pa.Array) -> tuple[pa.Array, Mask | None]:
    """Read bytes as text; what is not UTF-8 is null and marked."""
    try:
        return pc.cast(array, pa.string()), None
    except pa.ArrowInvalid:
        values = array.to_pylist()
        texts = [None if value is None else value.decode("utf-8", "backslashreplace") for value in values]
        bad = [text is not None and text.encode() != value for text, value in zip(texts, values, strict=True)]
        kept = [None if broken else text for text, broken in zip(texts, bad, strict=True)]
        return pa.array(kept, pa.string()), np.array(bad, dtype=np.bool_)


def _renamed(broken: Mapping[Path, Mask], name: str) -> dict[Path, Mask]:
    return {(name, *path): rows for path, rows in broken.items()}


def _of_rows(broken: Mapping[Path, Mask], lengths: NDArray[np.int64]) -> dict[Path, Mask]:
    """Return which rows hold entries that are marked; which field of an entry it is does not matter."""
    if not broken:
        return {}
    entries = np.logical_or.reduce(list(broken.values()))
    rows = np.zeros(len(lengths), dtype=np.bool_)
    rows[np.repeat(np.arange(len(lengths)), lengths)[entries]] = True
    return {(): rows}


# --- nested arrays, taken apart and put together -------------------------------------------------------------------------


def _is_list(kind: pa.DataType) -> bool:
    views = pt.is_list_view(kind) or pt.is_large_list_view(kind)
    return bool(pt.is_list(kind) or pt.is_large_list(kind) or pt.is_fixed_size_list(kind) or views)


def _entries(array: pa.Array) -> tuple[NDArray[np.int64], pa.Array]:
    """Return how many entries each row of lists has, and the entries one after the other."""
    return np.asarray(pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)).astype(
        np.int64
    ), array.flatten()


def _list(like: pa.Array, lengths: NDArray[np.int64], values: pa.Array, kind: pa.DataType) -> pa.Array:
    made = pa.LargeListArray if pt.is_large_list(kind) else pa.ListArray
    ends = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int64() if pt.is_large_list(kind) else pa.int32())
    return made.from_arrays(ends, values, type=kind, mask=pc.is_null(like))


def _struct(like: pa.Array, children: list[pa.Array]) -> pa.Array:
    fields = [field.with_type(child.type) for field, child in zip(like.type, children, strict=True)]
    return pa.StructArray.from_arrays(children, fields=fields, mask=pc.is_null(like))


def _compact(array: pa.Array) -> pa.Array:
    """Return a map that begins with its first entry and ends with its last."""
    return pc.take(array, pa.array(np.arange(len(array))))


def _lengths(array: pa.Array) -> NDArray[np.int64]:
    return np.diff(np.asarray(array.offsets))


def _map(like: pa.Array, keys: pa.Array, items: pa.Array) -> pa.Array:
    return pa.MapArray.from_arrays(like.offsets, keys, items, mask=pc.is_null(like))


def _uuid_texts(array: pa.Array) -> pa.Array:
    texts = [None if value is None else value.hex() for value in array.to_pylist()]
    joined = [text and f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}" for text in texts]
    return pa.array(joined, pa.string())
