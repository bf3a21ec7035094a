"""The contents of a day's folder: files that are read, files that are hidden, and others, which refuse the day."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from recpipe.config.place_settings import DeliverySettings
from recpipe.tables.ingest.landed.landing import Found, LandedFile, Landing

MAGIC: Final = b"PAR1"
BY_CONTENT: Final = ("", "parq", "pq", "prq", "snappy", "gz", "gzip", "zst", "zstd", "lz4", "br", "c000")
"""Endings that engines give to parquet: such a file is read if it begins and ends as parquet does. Others may be copies and leftovers."""
LEAST: Final = 12
"""Bytes of the smallest file that begins and ends as parquet does."""
KINDS: Final = {"empty folder": "holds nothing", "link": "leads nowhere", "loop": "leads back", "other": "is no file"}


@dataclass(frozen=True)
class Strange:
    """What lies in a day's folder and is neither read nor hidden.

    Attributes
    ----------
    name
        Under the landing's root.
    place
        That among all that lies in the folder, in words, for shops whose names must not be shown.
    why
        What it is, as the end of a sentence.
    """

    name: str
    place: str
    why: str


@dataclass(frozen=True)
class Contents:
    """A day's folder of one table, sorted out.

    Attributes
    ----------
    files
        What is read, by name.
    strange
        What is neither read nor hidden.
    """

    files: tuple[LandedFile, ...] = ()
    strange: tuple[Strange, ...] = ()


def sort_out(delivery: DeliverySettings, landing: Landing, folder: str) -> Contents:
    """Sort out what lies in a folder; of files whose names do not say that they are parquet, both ends are read."""
    there = [found for found in landing.everything(folder) if found.kind != "folder" and not is_hidden(delivery, folder, found)]
    files, strange = [], []
    for number, found in enumerate(there, start=1):
        if why := _why_not(delivery, landing, found):
            strange.append(Strange(found.name, f"{folder}/entry {number} of {len(there)}", why))
        else:
            files.append(landing.file(found))
    return Contents(tuple(sorted(files, key=lambda file: file.name)), tuple(strange))


def is_hidden(delivery: DeliverySettings, folder: str, found: Found) -> bool:
    """Whether something in a day's folder is no part of the delivery: a mark, somebody's half-written file, or what the shop passes over.

    What begins with a dot or an underscore is hidden, as everywhere in the world of parquet, and so is all below a folder
    of such a name; but for a folder such as ``_hour=03``, which is a part of a partitioned table.
    """
    inside = found.name.removeprefix(f"{folder}/")
    *above, name = inside.split("/")
    hidden = any(part.startswith(".") or (part.startswith("_") and "=" not in part) for part in above)
    is_folder = found.kind == "empty folder"
    hidden |= name.startswith(".") or (name.startswith("_") and not (is_folder and "=" in name))
    return hidden or name == delivery.landing_mark or matches(inside, delivery.landing_passed_over)


def matches(name: str, patterns: Sequence[str]) -> bool:
    """Whether a name below the day's folder, or its last part, is as one of some patterns says."""
    return any(fnmatchcase(name, pattern) or fnmatchcase(name.rpartition("/")[2], pattern) for pattern in patterns)


def ending(name: str) -> str:
    """Return the ending of a file's name in small letters, without its dot; empty if it has none."""
    return name.rpartition("/")[2].rpartition(".")[2].lower() if "." in name.rpartition("/")[2] else ""


def looks_like_parquet(name: str) -> bool:
    """Whether a file's name says that it is parquet."""
    return ending(name) == "parquet"


def _why_not(delivery: DeliverySettings, landing: Landing, found: Found) -> str:
    """Say why something is not read; empty if it is."""
    if found.kind in KINDS:
        return KINDS[found.kind]
    if not found.name.isprintable() and not _is_utf8(found.name):
        return "has a name that is not UTF-8"
    if looks_like_parquet(found.name) or matches(found.name.rpartition("/")[2], delivery.landing_files):
        return ""  # if it is none, reading it says so
    if not found.size:
        return "has no bytes"
    if ending(found.name) not in BY_CONTENT:
        return "does not end with .parquet"
    return _not_parquet(landing.file(found))


def _is_utf8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _not_parquet(file: LandedFile) -> str:
    if file.size < LEAST:
        return "is no parquet file"
    try:
        with file.open() as opened:
            begin = opened.read(len(MAGIC))
            opened.seek(file.size - len(MAGIC))
            end = opened.read(len(MAGIC))
    except OSError:
        return "cannot be opened"
    if begin != MAGIC:
        return "is no parquet file"
    return "" if end == MAGIC else "is cut off"


# --- in words --------------------------------------------------------------------------------------------------------

SHOWN: Final = 5


def listed(entries: Iterable[str], shown: int = SHOWN) -> str:
    """Join some entries for a sentence: the first few, and how many more there are."""
    entries = list(entries)
    more = f" and {len(entries) - shown:,} more" if len(entries) > shown else ""
    return ", ".join(entries[:shown]) + more
