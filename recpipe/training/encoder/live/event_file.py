"""A TensorBoard event file, written without TensorBoard: scalars only.

The file is a row of records (TFRecord): length as uint64, its masked CRC-32C, the data, the data's masked CRC-32C, all little
endian. The data is a protocol buffer ``Event``: 1 ``wall_time`` (double), 2 ``step`` (int64), 3 ``file_version`` (string, first
record), 5 ``summary``, whose field 1 are values: 1 ``tag`` (string), 2 ``simple_value`` (float).
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

VERSION: Final = b"brain.Event:2"
CASTAGNOLI: Final = 0x82F63B78
"""Polynomial of CRC-32C (RFC 3720, appendix B.4), bits reversed."""


def _table() -> list[int]:
    rows = []
    for byte in range(256):
        for _ in range(8):
            byte = (byte >> 1) ^ (CASTAGNOLI if byte & 1 else 0)
        rows.append(byte)
    return rows


_TABLE: Final = _table()


def crc32c(data: bytes) -> int:
    """Return the CRC-32C of some bytes: ``0xE3069283`` for ``b"123456789"``."""
    value = 0xFFFFFFFF
    for byte in data:
        value = (value >> 8) ^ _TABLE[(value ^ byte) & 0xFF]
    return value ^ 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """Return a record around some data."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def event(step: int, scalars: Mapping[str, float], wall_time: float) -> bytes:
    """Return an ``Event`` of some scalars."""
    values = b"".join(
        _bytes(1, _bytes(1, tag.encode()) + b"\x15" + struct.pack("<f", value)) for tag, value in sorted(scalars.items())
    )
    return b"\x09" + struct.pack("<d", wall_time) + b"\x10" + _varint(step) + _bytes(5, values)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def _bytes(field: int, data: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


class EventFile:
    """A file of a folder that TensorBoard watches; every try of a run writes one of its own, and its lines stand there at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time()
        self._file = (folder / f"events.out.tfevents.{time.time_ns():020d}.recpipe").open("ab", buffering=0)
        self._file.write(record(b"\x09" + struct.pack("<d", now) + _bytes(3, VERSION)))

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Write the scalars of a step."""
        self._file.write(record(event(step, scalars, time.time())))

    def close(self) -> None:
        """Close the file."""
        self._file.close()
