"""Searching everything that recpipe leaves behind, whatever form it was packed in."""

from __future__ import annotations

import io
import sqlite3
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

PACKED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\x04\x22\x4d\x18": "lz4", b"BZh": "bz2"}
ENCODINGS = ("utf-8", "utf-16-le", "utf-32-le")
"""Numpy writes texts in four bytes a letter."""


@pytest.fixture(scope="session")
def find_bytes() -> Callable[..., list[str]]:
    """Give a function that finds texts below a folder: in names, in bytes, and in what parquet, databases and archives hold.

    ``find_bytes(home, needles, leave_out=("landing",))`` returns one place a line, ``file [part]: needle``; none if nothing is
    found. Letters may be large or small. Folders of ``leave_out`` (by their path below the home) are not looked at.
    """

    def find(home: Path, needles: Sequence[str], leave_out: Sequence[str] = ("landing",)) -> list[str]:
        forms = [(needle, form) for needle in needles for form in _forms(needle)]
        away = {home / name for name in leave_out}
        found = []
        for path in sorted(home.rglob("*")):
            if away & {path, *path.parents}:
                continue
            texts = [(f"{path.relative_to(home)} [name]", str(path.relative_to(home)).encode())]
            pieces = [*texts, *(_pieces(str(path.relative_to(home)), path) if path.is_file() else ())]
            for where, piece in pieces:
                small = piece.lower()
                found += [f"{where}: {needle}" for needle, form in forms if form in small]
        return list(dict.fromkeys(found))

    return find


def _forms(needle: str) -> set[bytes]:
    """Return the bytes by which a text may stand in a file, in small letters."""
    small = needle.lower()
    plain = {small.encode(encoding) for encoding in ENCODINGS}
    return plain | {small.encode("unicode_escape"), small.replace("@", "%40").encode()}


def _pieces(name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    data = path.read_bytes()
    yield name, data
    yield from _inside(name, data)
    if data.startswith(b"SQLite format 3"):
        yield from _cells(name, path)


def _inside(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield what stands in a container, and in the containers that it holds."""
    if data[:4] == b"PAR1":
        yield from _parquet(name, data)
    elif data[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for entry in archive.namelist():
                held = archive.read(entry)
                yield f"{name} [{entry}]", entry.encode() + b"\n" + held
                yield from _inside(f"{name} [{entry}]", held)
    elif data[:6] == b"ARROW1":
        yield f"{name} [arrow]", b"\n".join(_texts(pa.ipc.open_file(pa.BufferReader(data)).read_all()))
    else:
        for magic, kind in PACKED.items():
            if data.startswith(magic):
                held = pa.CompressedInputStream(pa.BufferReader(data), kind).read()
                yield f"{name} [{kind}]", held
                yield from _inside(f"{name} [{kind}]", held)


def _parquet(name: str, data: bytes) -> Iterator[tuple[str, bytes]]:
    file = pq.ParquetFile(pa.BufferReader(data))
    about = [str(file.metadata.to_dict()), str(file.schema_arrow), str(file.schema_arrow.metadata), str(file.metadata.metadata)]
    yield f"{name} [statistics]", "\n".join(about).encode()
    yield f"{name} [rows]", b"\n".join(_texts(file.read()))


def _texts(rows: pa.Table) -> Iterator[bytes]:
    for column in rows.columns:
        for chunk in column.chunks:
            yield from _values(chunk)


def _values(array: pa.Array) -> Iterator[bytes]:
    """Yield the values of a column, or of what it is nested of, each once."""
    kind = array.type
    if pa.types.is_struct(kind):
        for number in range(kind.num_fields):
            yield from _values(array.field(number))
    elif pa.types.is_map(kind):
        yield from _values(array.keys)
        yield from _values(array.items)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        yield from _values(array.flatten())
    elif pa.types.is_dictionary(kind):
        yield from _values(array.dictionary)
    elif pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        yield from (value for value in array.unique().to_pylist() if value is not None)
    elif pa.types.is_floating(kind):
        whole = array.filter(pc.fill_null(pc.and_(pc.equal(pc.floor(array), array), pc.less(pc.abs(array), 2.0**62)), False))
        yield from _values(whole.cast(pa.int64()))
    else:
        yield "\n".join(filter(None, array.unique().cast(pa.string()).to_pylist())).encode()


def _cells(name: str, path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield the cells of a database: long ones are spread over its pages, so that the file does not hold them in one piece."""
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
        database.text_factory = bytes
        tables = [row[0].decode() for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for row in database.execute(f'SELECT * FROM "{table}"'):  # noqa: S608  # the names are the database's own
                cells = [cell if isinstance(cell, bytes) else str(cell).encode() for cell in row if cell is not None]
                yield f"{name} [{table}]", b"\n".join(cells)
                yield from _packed_cells(f"{name} [{table}]", cells)


def _packed_cells(name: str, cells: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    import zlib

    for cell in cells:
        yield from _inside(name, cell)
        if cell[:1] == b"\x78":  # serialized DAGs may be packed by zlib
            try:
                yield f"{name} [zlib]", zlib.decompress(cell)
            except zlib.error:
                continue
