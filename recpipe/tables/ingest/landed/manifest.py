"""A mark that lists the files of its folder: what is listed has to be there, as long and as whole as it says, and nothing else may."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from recpipe.config.place_settings import DeliverySettings
from recpipe.errors import BadDelivery
from recpipe.tables.ingest.landed.contents import Contents, Strange, is_hidden
from recpipe.tables.ingest.landed.landing import Found, LandedFile, Landing

MOST_BYTES: Final = 1 << 26
LISTS: Final = ("files", "entries")
PATHS: Final = ("path", "url", "name", "key")
SIZES: Final = ("bytes", "size", "length", "content_length")
COUNTS: Final = ("rows", "row_count", "record_count", "num_rows")
PIECE: Final = 1 << 20


@dataclass(frozen=True)
class Listed:
    """A file as a manifest has it; None for what it does not say.

    Attributes
    ----------
    name
        Below the day's folder.
    size, rows, sha256
        Bytes, rows, and the hash of all bytes in hexadecimal.
    """

    name: str
    size: int | None
    rows: int | None
    sha256: str | None


def is_manifest(mark: str) -> bool:
    """Whether a mark of this name lists files."""
    return mark.lower().endswith(".json")


def sort_by_manifest(delivery: DeliverySettings, landing: Landing, folder: str) -> Contents:
    """Sort out a folder as its manifest says: a listed file is read whatever its name.

    Raises
    ------
    BadDelivery
        If the manifest cannot be read.
    """
    entries = read_manifest(landing, folder, delivery.landing_mark)
    there = {found.name.removeprefix(f"{folder}/"): found for found in landing.everything(folder) if found.kind != "folder"}
    names = {entry.name for entry in entries}
    files, strange = [], []
    for number, entry in enumerate(entries, start=1):
        found = there.get(entry.name)
        if why := _fault(landing, entry, found):
            place = f"{folder}/{delivery.landing_mark}, entry {number} of {len(entries)}"
            strange.append(Strange(f"{folder}/{entry.name}", place, why))
        elif found is not None:
            files.append(landing.file(found))
    others = [found for name, found in there.items() if name not in names and not is_hidden(delivery, folder, found)]
    for number, found in enumerate(others, start=1):
        place = f"{folder}/other entry {number} of {len(others)}"
        strange.append(Strange(found.name, place, f"is not listed in {delivery.landing_mark}"))
    return Contents(tuple(sorted(files, key=lambda file: file.name)), tuple(strange))


def read_manifest(landing: Landing, folder: str, mark: str) -> list[Listed]:
    """Read the manifest of a folder: a list of files, or an object with one under ``files`` or ``entries``.

    A file is a path below the folder, or an object with ``path`` (or ``url``) and, if wanted, ``bytes``, ``rows`` and ``sha256``.

    Raises
    ------
    BadDelivery
        If it is none, or names a file twice; the text says what is amiss, and nothing that stands in it.
    """
    name = f"{folder}/{mark}"
    text = landing.read(name, MOST_BYTES)
    if len(text) == MOST_BYTES:
        raise _amiss(name, "is longer than 64 MiB")
    try:
        held = json.loads(text)
    except (ValueError, RecursionError):
        raise _amiss(name, "is no JSON") from None
    if isinstance(held, dict):
        held = next((held[key] for key in LISTS if key in held), None)
    if not isinstance(held, list):
        raise _amiss(name, "has no list of files")
    base = f"{landing.shown.rstrip('/')}/{folder}/"
    entries = [_entry(name, number, entry, base) for number, entry in enumerate(held, start=1)]
    if twice := [number for _, number in Counter(entry.name for entry in entries).most_common(1) if number > 1]:
        raise _amiss(name, f"lists a file {twice[0]} times")
    return entries


def _entry(name: str, number: int, entry: object, base: str) -> Listed:
    told: Mapping[str, Any] = {"path": entry} if isinstance(entry, str) else entry if isinstance(entry, dict) else {}
    told = {**told, **told["meta"]} if isinstance(told.get("meta"), dict) else told
    path = next((told[key] for key in PATHS if isinstance(told.get(key), str)), "")
    path = path.removeprefix(base).removeprefix("./")
    if not path or "://" in path or path.startswith("/") or ".." in path.split("/"):
        raise _amiss(name, f"has an entry, number {number}, without the path of a file below its folder")
    size, rows = (_number(name, number, told, keys) for keys in (SIZES, COUNTS))
    digest = told.get("sha256")
    if digest is not None and not isinstance(digest, str):
        raise _amiss(name, f"has an entry, number {number}, whose sha256 is no text")
    return Listed(path, size, rows, digest.lower() if digest else None)


def _number(name: str, number: int, told: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    value = next((told[key] for key in keys if told.get(key) is not None), None)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise _amiss(name, f"has an entry, number {number}, whose {keys[0]} are no whole number")
    return value


def _amiss(name: str, what: str) -> BadDelivery:
    return BadDelivery(
        f"{name} {what}. Nothing was published. It lists the files of its folder as JSON, such as "
        f'{{"files": [{{"path": "part-0.parquet", "bytes": 123, "rows": 4, "sha256": "…"}}]}}: write it again, then run the day again.'
    )


# --- what is listed, and what is there -------------------------------------------------------------------------------


def _fault(landing: Landing, entry: Listed, found: Found | None) -> str:
    """Say what of a listed file is not as it is listed; empty if nothing is."""
    if found is None:
        return "is listed and not there"
    if found.kind != "file":
        return "is listed and no file"
    if entry.size is not None and entry.size != found.size:
        return f"has {found.size:,} bytes, and {entry.size:,} are listed"
    file = landing.file(found)
    if entry.sha256 is not None and _sha256(file) != entry.sha256:
        return "has other bytes than are listed: its sha256 is another"
    if entry.rows is not None and (rows := _rows(file)) != entry.rows:
        return f"has {rows:,} rows, and {entry.rows:,} are listed" if rows >= 0 else "is no whole parquet file"
    return ""


def _sha256(file: LandedFile) -> str:
    digest = hashlib.sha256()
    with file.open() as opened:
        for piece in _pieces(opened):
            digest.update(piece)
    return digest.hexdigest()


def _pieces(opened: pa.NativeFile) -> Iterator[bytes]:
    while piece := opened.read(PIECE):
        yield piece


def _rows(file: LandedFile) -> int:
    """Return the rows that a parquet file says it has; -1 if it is none."""
    try:
        with file.open() as opened:
            return int(pq.read_metadata(opened).num_rows)
    except (pa.ArrowException, OSError):
        return -1
