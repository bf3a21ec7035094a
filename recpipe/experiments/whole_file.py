"""Files of results that appear whole or not at all; two runs that are given one name do not write into each other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4


@contextmanager
def whole_file(out: Path) -> Iterator[Path]:
    """Give a file to write beside another one, and put it in the place of that one when it is written."""
    out.parent.mkdir(parents=True, exist_ok=True)
    part = out.with_name(f".{out.stem[:100]}.{uuid4().hex[:12]}{out.suffix}")
    try:
        yield part
        part.replace(out)
    finally:
        part.unlink(missing_ok=True)
