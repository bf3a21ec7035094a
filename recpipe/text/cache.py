"""Vectors by content: one SQLite file an encoder, that several processes read and write at once.

The value that stands in the cache is the value: of two processes that encode the same new text at once, the first to
write wins and both go on with what it wrote. The file must lie on a local disk (SQLite's write-ahead log needs one).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recpipe.faults import told

KEYS_A_QUERY = 500
WAIT_SECONDS = 120.0


class VectorCache:
    """A file of float32 vectors by key.

    Parameters
    ----------
    file
        SQLite file; made, with its folder, when it is first written.
    dimensions
        Length of every vector.
    """

    def __init__(self, file: Path, dimensions: int) -> None:
        self.file = file
        self.dimensions = dimensions

    def get(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Return the vectors of the keys that are known."""
        if not self.file.exists():
            return {}
        found: dict[bytes, NDArray[np.float32]] = {}
        with self._open() as connection:
            for start in range(0, len(keys), KEYS_A_QUERY):
                some = keys[start : start + KEYS_A_QUERY]
                marks = ",".join("?" * len(some))
                query = f"SELECT key, vector FROM vectors WHERE key IN ({marks})"  # noqa: S608  # only question marks
                for key, blob in connection.execute(query, some):
                    found[key] = np.frombuffer(blob, dtype=np.float32)
        return found

    def add(self, keys: Sequence[bytes], vectors: NDArray[np.float32]) -> None:
        """Store (n, dimensions) vectors; a key that is there already keeps its vector."""
        with told(f"The folder of the cache of text vectors {self.file} could not be made", "Look at what stands there."):
            self.file.parent.mkdir(parents=True, exist_ok=True)
        rows = [
            (key, np.ascontiguousarray(vector, dtype=np.float32).tobytes()) for key, vector in zip(keys, vectors, strict=True)
        ]
        with self._open() as connection, connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR IGNORE INTO vectors (key, vector) VALUES (?, ?)", rows)

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        remedy = f"Remove {self.file} while nothing runs: vectors are computed again."
        with (
            told(f"The cache of text vectors {self.file} cannot be read or written", remedy),
            closing(sqlite3.connect(self.file, timeout=WAIT_SECONDS, isolation_level=None)) as connection,
        ):
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("CREATE TABLE IF NOT EXISTS vectors (key BLOB PRIMARY KEY, vector BLOB NOT NULL)")
            yield connection


def forget(file: Path, keys: Sequence[bytes]) -> int:
    """Remove vectors from a file for good and return how many there were: their bytes are overwritten, in the log, too.

    Parameters
    ----------
    file
        SQLite file of a `VectorCache` of any length of vectors.
    keys
        What is to be removed; keys that are not there are no error.
    """
    removed = 0
    with closing(sqlite3.connect(file, timeout=WAIT_SECONDS, isolation_level=None)) as connection:
        connection.execute("PRAGMA secure_delete=ON")
        for start in range(0, len(keys), KEYS_A_QUERY):
            some = keys[start : start + KEYS_A_QUERY]
            query = f"DELETE FROM vectors WHERE key IN ({','.join('?' * len(some))})"  # noqa: S608  # only question marks
            removed += connection.execute(query, some).rowcount
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return removed
