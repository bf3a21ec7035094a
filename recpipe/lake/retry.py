"""Changes of a table that meet other writers: a race that was lost is run again on what the winner left."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import TypeVar

from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSystem, PyFileSystem

from recpipe.errors import RecpipeError
from recpipe.lake.lake import COMMIT_TRIES, Lake

Result = TypeVar("Result")


def tried(lake: Lake, table: str, change: Callable[[DeltaTable], Result], lost: str) -> Result:
    """Change a table that exists, and try again while other writers are faster.

    Parameters
    ----------
    lake, table
        The table.
    change
        Gets the newest version, and may commit to it.
    lost
        What to tell a person if every try was lost: what was not done, and what to do.

    Raises
    ------
    RecpipeError
        If every try was lost, or the table has gone.
    """
    for attempt in range(COMMIT_TRIES):
        try:
            return change(newest(lake, table))
        except CommitFailedError:
            time.sleep(random.uniform(0.05, 0.2) * (attempt + 1))
    raise RecpipeError(f"Table {table}: {COMMIT_TRIES} commits were lost to other writers. {lost}")


def newest(lake: Lake, table: str) -> DeltaTable:
    """Open the newest version of a table that exists; see `tried` for what is raised."""
    delta = lake.delta(table)
    if delta is None:
        raise RecpipeError(f"Table {table} has gone from {lake.root} while it was being changed: see who removed it.")
    return delta


def files_of(lake: Lake, table: str) -> FileSystem:
    """Return the folder of a table, wherever it lies, as a file system: its log, and all files whether a commit names them or not."""
    return PyFileSystem(DeltaStorageHandler(lake.uri(table), dict(lake.storage_options) or None))
