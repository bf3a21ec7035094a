"""Changes of a table that exists: its newest version, its files, and a change that meets other writers."""

from __future__ import annotations

from collections.abc import Callable

from deltalake import DeltaTable
from deltalake.fs import DeltaStorageHandler
from pyarrow.fs import FileSystem, PyFileSystem

from recpipe.errors import RecpipeError
from recpipe.lake.lake import Lake
from recpipe.lake.retry import COMMIT_TRIES, Result, committed


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
    return committed(
        lambda: change(newest(lake, table)), f"Table {table}: {COMMIT_TRIES} commits were lost to other writers. {lost}"
    )


def newest(lake: Lake, table: str) -> DeltaTable:
    """Open the newest version of a table that exists; see `tried` for what is raised."""
    delta = lake.delta(table)
    if delta is None:
        raise RecpipeError(f"Table {table} has gone from {lake.root} while it was being changed: see who removed it.")
    return delta


def files_of(lake: Lake, table: str) -> FileSystem:
    """Return the folder of a table, wherever it lies, as a file system: its log, and all files whether a commit names them or not."""
    return PyFileSystem(DeltaStorageHandler(lake.uri(table), dict(lake.storage_options) or None))
