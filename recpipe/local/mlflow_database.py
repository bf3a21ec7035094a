"""MLflow's SQLite file: made whole or not at all, and looked at before it is trusted.

MLflow makes its tables in some fifty steps, each for good. A process that is killed between two of them leaves a file that no
later process can open or finish, so the file is made under another name and moved to its place when it is whole.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Final
from uuid import uuid4

from recpipe.errors import RecpipeError

SQLITE: Final = "sqlite:///"
UNFINISHED: Final = ".new"
WAIT_SECONDS: Final = 20.0
FILLED: Final = ("runs", "registered_models", "metrics")
"""Tables that hold something as soon as anybody has worked with a database."""

_whole: set[tuple[str, int]] = set()
"""Path and inode of files that were looked at by this process and are whole."""


def sqlite_file(uri: str) -> Path | None:
    """Return the file of a SQLite address; None for other stores, and for one in memory."""
    path = uri.removeprefix(SQLITE).partition("?")[0]
    return Path(path) if uri.startswith(SQLITE) and path and not path.startswith(":memory:") else None


def ready(uri: str) -> None:
    """See that MLflow's database is there and whole; other stores than SQLite files are not looked at.

    Of several processes that come at once one makes the file, the others wait for it.

    Raises
    ------
    RecpipeError
        If the file was left half made, is damaged, or of another version of MLflow; the text says what to do.
    """
    file = sqlite_file(uri)
    if file is None or _known(file):
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    if _is_empty(file):
        with _claim(file):
            if _is_empty(file):
                _make(file)
    if fault := fault_of(file):
        raise RecpipeError(fault)
    _whole.add((str(file), file.stat().st_ino))


def fault_of(file: Path) -> str:
    """Say what is the matter with MLflow's database, and what to do; empty if it is whole, or not there."""
    if _is_empty(file):
        return ""
    try:
        with closing(sqlite3.connect(f"{file.resolve().as_uri()}?mode=rw", uri=True, timeout=WAIT_SECONDS)) as connection:
            tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            revision = _revision(connection, tables)
            filled = any(connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in FILLED if name in tables)  # noqa: S608  # names of our own
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):  # somebody is writing, so it can be written
            return ""
        return (
            f"MLflow's database {file} cannot be read ({error}). Where the disk is full or was taken away, mend that first. If it stays, "
            f"restore the file from a backup; without one move it away: a new one is made, and models are registered again."
        )
    if revision == newest_revision():
        return ""
    if not filled:
        return (
            f"MLflow's database {file} was left half made by a process that was killed (it stands at step {revision or 'none'}), and holds "
            f"no run and no model. Stop what uses it (`recpipe down`), move the file away, and run this again: it is made anew."
        )
    return (
        f"MLflow's database {file} is of another version of MLflow, or an upgrade of it was broken off (it stands at step "
        f"{revision or 'none'}, this version wants {newest_revision()}). Stop what uses it (`recpipe down`), copy the file, and run "
        f"`mlflow db upgrade {SQLITE}{file}`; where that fails, restore the copy of before the upgrade."
    )


@lru_cache(maxsize=1)
def newest_revision() -> str:
    """Return the name of the last step that a whole database of the installed MLflow has taken."""
    import mlflow
    from alembic.script import ScriptDirectory

    return str(ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations")).get_current_head())


def _known(file: Path) -> bool:
    try:
        return (str(file), file.stat().st_ino) in _whole
    except OSError:
        return False


def _is_empty(file: Path) -> bool:
    """Whether a file is not there, or nothing was written into it yet: SQLite makes it when it is first opened."""
    return not file.exists() or file.stat().st_size == 0


def _revision(connection: sqlite3.Connection, tables: set[str]) -> str:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if "alembic_version" in tables else None
    return str(row[0]) if row else ""


@contextmanager
def _claim(file: Path) -> Iterator[None]:
    """Let one process at a time make a file; the claim ends with the process, however it ends."""
    with file.with_name(f".{file.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _make(file: Path) -> None:
    """Make the file; the caller holds the claim, so what lies half made beside it is of a killed process."""
    for left in file.parent.glob(f".{file.name}.*{UNFINISHED}*"):
        left.unlink(missing_ok=True)
    made = file.with_name(f".{file.name}.{uuid4().hex}{UNFINISHED}")
    try:
        _fill(made)
        _keep(made)
        made.replace(file)
        _keep(file.parent)
    finally:
        made.unlink(missing_ok=True)


def _fill(file: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    place = (file.parent / "artifacts").resolve().as_uri()
    store = SqlAlchemyStore(f"{SQLITE}{file.resolve()}", place)  # type: ignore[no-untyped-call]
    store.engine.dispose()


def _keep(place: Path) -> None:
    """Have the disk hold what was written to a file, or the names in a folder."""
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
