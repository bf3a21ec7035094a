"""Files that are written whole, and JSON that is the same every time."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any
from uuid import uuid4


def write_whole(file: Path, data: bytes) -> None:
    """Write a file that others see complete or not at all."""
    beside = file.with_name(f".{file.name}.{uuid4().hex[:12]}")  # a process number is that of one machine alone
    try:
        with beside.open("wb") as handle:
            handle.write(data)
            handle.flush()
            os.fsync(handle.fileno())
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)


def to_json(value: Any) -> bytes:
    """Return JSON for people and for diffs: indented, keys in order."""
    return (json.dumps(value, indent=2, sort_keys=True, default=str) + "\n").encode()
