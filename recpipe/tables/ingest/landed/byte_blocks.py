"""A file that lies elsewhere, read in blocks of which a bounded number is held."""

from __future__ import annotations

import io
from collections import OrderedDict
from typing import Any, Final

import pyarrow as pa
from pyarrow import fs

from recpipe.tables.ingest.landed.stores import reached

BLOCK: Final = 1 << 20
"""Bytes that are asked for at a time: a request costs as much as some hundred kilobytes."""
MOST: Final = 64
"""Blocks that are held: a parquet file is read at as many places at once as it has columns."""


def open_blocks(filesystem: fs.FileSystem, path: str, size: int) -> pa.NativeFile:
    """Open a file for reading at any place.

    Raises
    ------
    Unreachable
        If the store does not answer, now or while it is read.
    OSError
        If the file is not there.
    """
    with reached():
        return pa.PythonFile(_Blocks(filesystem.open_input_file(path), size), mode="r")


class _Blocks(io.RawIOBase):
    """What Arrow reads a file through."""

    def __init__(self, opened: pa.NativeFile, size: int) -> None:
        super().__init__()
        self._opened = opened
        self._size = size or int(opened.size())
        self._at = 0
        self._held: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        end = self._size if size is None or size < 0 else min(self._size, self._at + size)
        pieces = []
        while self._at < end:
            number = self._at // BLOCK
            start = self._at - number * BLOCK
            piece = self._block(number)[start : start + end - self._at]
            if not piece:  # shorter than it was listed
                break
            pieces.append(piece)
            self._at += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def readinto(self, buffer: Any) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def close(self) -> None:
        if not self.closed:
            self._held.clear()
            self._opened.close()
        super().close()

    def _block(self, number: int) -> bytes:
        if number not in self._held:
            with reached():
                self._opened.seek(number * BLOCK)
                found = self._opened.read(min(BLOCK, self._size - number * BLOCK))
            if len(self._held) >= MOST:
                self._held.popitem(last=False)
            self._held[number] = bytes(found)
        self._held.move_to_end(number)
        return self._held[number]
