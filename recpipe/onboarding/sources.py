"""The sources under a path: files that belong together, and make one table."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

from recpipe.errors import BadDelivery, BadSetting
from recpipe.printable import NAME, named, printable

CSV: Final = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
PARTITION: Final = re.compile(r"([A-Za-z_]\w*)=([^/]*)")
_DAY: Final = re.compile(r"(\d{4})-?(\d{2})-?(\d{2})")
_NUMBERS: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d+")


@dataclass(frozen=True)
class Source:
    """Files with the same columns that belong together.

    Attributes
    ----------
    name
        For people: the folder, or the file, below the path that was given.
    files
        Parquet files, sorted.
    schema
        Columns of the first file.
    rows
        Rows of all of them.
    folders
        Their folders below the path, as patterns: ``events/day=*``; empty where no folder names a day.
    """

    name: str
    files: tuple[Path, ...]
    schema: pa.Schema
    rows: int
    folders: tuple[str, ...] = ()


@dataclass(frozen=True)
class Found:
    """What lies under a path: sources, and files that are none, each with the reason."""

    root: Path
    sources: tuple[Source, ...]
    others: tuple[str, ...]


def find_sources(path: Path, scratch: Path) -> Found:
    """Look at the files under a path; csv files are written as parquet into a scratch folder, all columns as text.

    Raises
    ------
    BadSetting
        If there is no such path.
    """
    if not path.exists():
        raise BadSetting(f"There is no {path}: name a file, or a folder of files.")
    root = path if path.is_dir() else path.parent
    grouped: dict[tuple[str, str], list[tuple[Path, Path]]] = defaultdict(list)
    others: list[str] = []
    for file in _files(path):
        name = file.relative_to(root)
        try:
            opened = _as_parquet(file, scratch)
        except BadDelivery as error:
            others.append(str(error))
            continue
        if opened is None:
            others.append(f"{named(str(name))} is neither parquet nor csv")
        else:
            grouped[_family(name), str(pq.read_schema(opened).names)].append((name, opened))
    sources = [_source(family, members) for (family, _), members in sorted(grouped.items())]
    return Found(root, tuple(sources), tuple(others))


def _files(path: Path) -> Iterator[Path]:
    if path.is_file():
        yield path
        return
    for file in sorted(path.rglob("*")):
        hidden = any(part[0] in "._" for part in file.relative_to(path).parts)
        if file.is_file() and not hidden:
            yield file


def _as_parquet(file: Path, scratch: Path) -> Path | None:
    """Return a file as parquet; None if it is none that can be read so."""
    if file.name.lower().endswith(CSV):
        return _converted(file, scratch)
    with file.open("rb") as stream:
        if stream.read(4) != b"PAR1":
            return None
    try:
        pq.read_schema(file)
    except (pa.ArrowException, OSError):
        raise BadDelivery(f"{named(file.name)} is truncated or damaged") from None
    return file


def _converted(file: Path, scratch: Path) -> Path:
    """Write a csv file as parquet: every column as text, since 00123 is an id and no number."""
    target = scratch / f"{len(list(scratch.glob('*.parquet')))}-{re.sub(r'[^A-Za-z0-9_.-]', '_', file.name)}.parquet"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        parse = csv.ParseOptions(delimiter=_delimiter(file), newlines_in_values=True)
        with csv.open_csv(file, parse_options=parse) as probe:
            names = probe.schema.names
        convert = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""])
        with (
            csv.open_csv(file, parse_options=parse, convert_options=convert) as rows,
            pq.ParquetWriter(target, rows.schema) as to,
        ):
            for batch in rows:
                to.write_batch(batch)
    except (pa.ArrowException, OSError, ValueError):
        raise BadDelivery(f"{named(file.name)} cannot be read as csv with a head line in UTF-8") from None
    return target


def _delimiter(file: Path) -> str:
    if ".tsv" in file.name.lower():
        return "\t"
    if file.name.endswith(".gz"):
        return ","
    with file.open("rb") as stream:
        head = stream.readline(1 << 16).decode("utf-8", "replace")
    return max(",;\t|", key=head.count)


def _family(name: Path) -> str:
    """Return what the files of one source have in common: their folders without days, and their name without numbers."""
    folders = [part for part in name.parts[:-1] if not PARTITION.fullmatch(part) and _NUMBERS.sub("", part).strip("-_") != ""]
    partitioned = len(folders) < len(name.parts) - 1
    stem = _NUMBERS.sub("#", name.name)
    alone = partitioned or stem.partition(".")[0].strip("#-_c") in ("part", "data", "file", "")
    return "/".join([*folders, *([] if alone and folders else [stem])])


def _source(family: str, members: list[tuple[Path, Path]]) -> Source:
    files = tuple(file for _, file in members)
    name = str(members[0][0]) if len(members) == 1 else family
    folders = {_pattern(member.parent) for member, _ in members}
    dated = tuple(sorted(folder for folder in folders if "*" in folder))
    return Source(
        printable(name, NAME), files, pq.read_schema(files[0]), sum(pq.read_metadata(file).num_rows for file in files), dated
    )


def _pattern(folder: Path) -> str:
    """Return a folder with ``*`` where a day, a part of one, or an hour stands."""
    parts = []
    for part in folder.parts:
        key, _, value = part.rpartition("=")
        dated = _DAY.fullmatch(value) or (key and value.isdigit()) or re.fullmatch(r"\d{2}|\d{4}", part)
        parts.append((f"{key}=*" if key else "*") if dated else part)
    return "/".join(parts)
