"""Files that are written whole, what a file's content hashes to, and JSON that is the same every time."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from recpipe.errors import BadSetting


@contextmanager
def whole_file(file: Path, durable: bool = False) -> Iterator[Path]:
    """Give a path beside a file to write to, and put what is written there in the file's place at the end of the block.

    Others see the old file or the new one, never a part; two who write one file at once do not mix. Where the block fails, the
    file stays what it was. Its folder is made if it is not there.

    Parameters
    ----------
    file
        What is to be written.
    durable
        Whether the content is on the disk before it takes the file's place, so that a loss of power leaves no empty file.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    # a process number would be that of one machine alone, and another ending is found by no pattern of whole files
    beside = file.with_name(f".{file.name[:100]}.{uuid4().hex[:12]}.part")
    try:
        yield beside
        if durable:
            with beside.open("rb") as handle:
                os.fsync(handle.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def write_whole(file: Path, data: bytes | str) -> None:
    """Write a file that others see complete or not at all, whatever happens to the machine; text as UTF-8."""
    with whole_file(file, durable=True) as beside:
        beside.write_bytes(data.encode() if isinstance(data, str) else data)


def existing(file: Path, setting: str, advice: str = "") -> Path:
    """Return a file that a setting names.

    Raises
    ------
    BadSetting
        If there is none, with the advice.
    """
    if not file.is_file():
        raise BadSetting(f"{setting}: there is no file {file}.{advice}")
    return file


def sha256_of(file: Path) -> str:
    """Return the sha256 of a file's content, in hexadecimal."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def to_json(value: Any) -> bytes:
    """Return JSON for people and for diffs: indented, keys in order."""
    return (json.dumps(value, indent=2, sort_keys=True, default=str) + "\n").encode()
