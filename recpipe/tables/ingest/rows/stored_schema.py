"""A parquet file without the types that Arrow has stored in it: what parquet itself says of its columns is left.

Arrow cannot read back lists of a fixed size of which one is null, whatever the rest of the file holds.
"""

from __future__ import annotations

import io
from typing import Final

import pyarrow as pa
import pyarrow.types as pt

FAULTS: Final = (pa.ArrowException, OSError, ValueError, OverflowError, KeyError, TypeError, IndexError, MemoryError)
"""What Arrow raises where the bytes of a file make no sense."""


KEY: Final = b"ARROW:schema"


OTHER_KEY: Final = b"UNUSED:types"
"""As long as the key, so that nothing else in the footer moves."""


def holds_fixed_lists(kind: pa.DataType) -> bool:
    """Whether a type has lists of a fixed size at any depth."""
    if isinstance(kind, pa.BaseExtensionType):
        return holds_fixed_lists(kind.storage_type)
    if pt.is_fixed_size_list(kind):
        return True
    return pt.is_nested(kind) and any(holds_fixed_lists(kind.field(place).type) for place in range(kind.num_fields))


class WithoutStoredTypes(io.RawIOBase):
    """A file whose footer has another key in the place of the one that Arrow looks for."""

    def __init__(self, file: pa.NativeFile) -> None:
        self._file = file
        self._size = file.size()
        file.seek(self._size - 8)
        self._start = max(0, self._size - 8 - int.from_bytes(file.read(4), "little"))
        file.seek(self._start)
        self._footer = file.read().replace(KEY, OTHER_KEY)
        file.seek(0)

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from any place on."""
        return True

    def tell(self) -> int:
        """Return the place where it is read next."""
        return int(self._file.tell())

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to a place."""
        return int(self._file.seek(offset, whence))

    def read(self, size: int = -1) -> bytes:
        """Return some bytes."""
        at = self.tell()
        found = bytes(self._file.read(size if size >= 0 else None))
        end = at + len(found)
        if end <= self._start:
            return found
        begin = max(at, self._start)
        kept: bytes = found[: begin - at]
        patched: bytes = self._footer[begin - self._start : end - self._start]
        return kept + patched

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
