"""One writer a day: who publishes several tables of a day holds a claim on it, so that no day ends as two deliveries.

On a disk the claim is a locked file, which the operating system lets go of when its holder dies. In an object store it
is a row of a small Delta table, whose log makes sure that of two writers one is first; it lapses after a while.
"""

from __future__ import annotations

import fcntl
import os
import random
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import psutil
import pyarrow as pa
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError, DeltaError

from recpipe.errors import Trouble
from recpipe.lake.heartbeat import heartbeat

NAME: Final = "day_claims"
PATIENCE: Final = timedelta(minutes=10)
"""How long a writer waits for another one of the same day."""
LEASE: Final = timedelta(minutes=30)
"""How long a claim in an object store holds when nobody lets go of it."""
TRIES: Final = 5
"""How often a claim in an object store is given back where other writers come between."""
RENEW: Final = timedelta(minutes=5)
"""How often it is renewed while its holder lives."""
SCHEMA: Final = pa.schema(
    [
        pa.field("day", pa.date32(), nullable=False),
        pa.field("owner", pa.string(), nullable=False),
        pa.field("run_id", pa.string(), nullable=False),
        pa.field("host", pa.string(), nullable=False),
        pa.field("pid", pa.int64(), nullable=False),
        pa.field("until", pa.timestamp("us", tz="UTC"), nullable=False),
    ]
)


@contextmanager
def claimed(
    root: str, options: Mapping[str, str], run_id: str, days: Sequence[date], patience: timedelta = PATIENCE
) -> Iterator[None]:
    """Hold the days of a lake against every other writer that asks for a claim.

    Parameters
    ----------
    root, options
        The lake, and the options of its store.
    run_id
        The run that writes; a run that is tried again takes over what its dead try has held. ``local`` names no run.
    days
        The days.
    patience
        How long another writer of these days is waited for.

    Raises
    ------
    Trouble
        If another writer holds one of the days for longer than that.
    """
    until = time.monotonic() + patience.total_seconds()
    if "://" not in root and _has_locks(Path(root) / f".{NAME}"):
        with ExitStack() as held:
            for day in sorted(days):  # in one order, so that two writers of several days never wait for each other
                held.enter_context(_locked(Path(root) / f".{NAME}", day, until))
            yield
        return
    lease = _Lease(f"{root}/{NAME}", dict(options), run_id, tuple(days), uuid.uuid4().hex)
    lease.take(until)
    try:
        with _renewed(lease):
            yield
    finally:
        lease.let_go()


def _held(day: date) -> Trouble:
    return Trouble(
        f"Day {day} is being published by another run, which has not ended in {PATIENCE.total_seconds() / 60:.0f} minutes. "
        f"Wait for it, or end it; then run the day again."
    )


# --- on a disk


def _has_locks(folder: Path) -> bool:
    """Whether files can be locked there; some network file systems cannot."""
    folder.mkdir(parents=True, exist_ok=True)
    trial = folder / f"try-{uuid.uuid4().hex}"
    file = os.open(trial, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        trial.unlink(missing_ok=True)
        os.close(file)
    return True


@contextmanager
def _locked(folder: Path, day: date, until: float) -> Iterator[None]:
    file = _lock(folder, day, until)
    try:
        yield
    finally:
        (folder / str(day)).unlink(missing_ok=True)  # while it is locked: nobody can have taken it
        os.close(file)


def _lock(folder: Path, day: date, until: float) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    while True:
        file = os.open(folder / str(day), os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            if time.monotonic() > until:
                raise _held(day) from None
            time.sleep(random.uniform(0.02, 0.1))
            continue
        if _is_at(file, folder / str(day)):
            return file
        os.close(file)  # its holder removed it after it was opened here: the next one has another file


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False


# --- in an object store


@contextmanager
def _renewed(lease: _Lease) -> Iterator[None]:
    """Renew a lease while the block runs.

    Raises
    ------
    Trouble
        At the end of the block, if the lease was lost meanwhile: another writer may have published these days as well.
    """
    # a store that is away: the next time
    with heartbeat(lease.renew, RENEW.total_seconds(), "claim of a day", DeltaError, OSError):
        yield
    if not lease.is_held():
        raise Trouble(
            f"The claim on {lease.days[0]} to {lease.days[-1]} lapsed while they were written, and another run may have published "
            f"them as well. Run them again, one run after the other."
        )


@dataclass(frozen=True)
class _Lease:
    """A row a day in the table of claims."""

    uri: str
    options: dict[str, str]
    run_id: str
    days: tuple[date, ...]
    owner: str

    def take(self, until: float) -> None:
        """Write the rows when no other writer's hold.

        The commit is made on the version that was read, so Delta refuses it if another writer of these days came first.
        """
        while True:
            table = self._table()
            others = [row for row in self._rows(table) if self._holds(row)]
            if others and time.monotonic() > until:
                raise _held(others[0]["day"])
            if not others:
                with suppress(CommitFailedError):
                    self._replace(table, self._own())
                    return
            time.sleep(random.uniform(0.2, 1.0))

    def renew(self) -> None:
        """Let the rows lapse later, if they are there."""
        table = self._table()
        if self.is_held(table):
            with suppress(CommitFailedError):  # a writer of other days came between: the next time
                self._replace(table, self._own())

    def is_held(self, table: DeltaTable | None = None) -> bool:
        """Whether every day's row is still this writer's."""
        rows = self._rows(table or self._table())
        return {row["day"] for row in rows if row["owner"] == self.owner} == set(self.days)

    def let_go(self) -> None:
        """Remove the rows; where that fails they lapse."""
        with suppress(DeltaError, OSError):
            for _ in range(TRIES):
                with suppress(CommitFailedError):  # a writer of other days came between
                    self._remove_own()
                    return

    def _remove_own(self) -> None:
        table = self._table()
        if any(row["owner"] == self.owner for row in self._rows(table)):
            table.delete(f"owner = '{self.owner}'")

    def _table(self) -> DeltaTable:
        if not DeltaTable.is_deltatable(self.uri, storage_options=self.options or None):
            with suppress(CommitFailedError):  # another writer was first to make it
                DeltaTable.create(self.uri, SCHEMA, mode="ignore", storage_options=self.options or None)
        return DeltaTable(self.uri, storage_options=self.options or None)

    def _rows(self, table: DeltaTable) -> list[dict[str, Any]]:
        return [row for row in table.to_pyarrow_table().to_pylist() if row["day"] in self.days]

    def _holds(self, row: Mapping[str, Any]) -> bool:
        """Whether another writer's claim counts: not one that lapsed, of an earlier try of this run, or of a dead process here."""
        if row["until"] <= datetime.now(UTC) or (row["run_id"] == self.run_id != "local"):
            return False
        return row["host"] != socket.gethostname() or psutil.pid_exists(row["pid"])

    def _own(self) -> pa.Table:
        lapses = datetime.now(UTC) + LEASE
        one = {"owner": self.owner, "run_id": self.run_id, "host": socket.gethostname(), "pid": os.getpid(), "until": lapses}
        return pa.Table.from_pylist([{"day": day, **one} for day in self.days], SCHEMA)

    def _replace(self, table: DeltaTable, rows: pa.Table) -> None:
        days = ", ".join(f"DATE '{day}'" for day in self.days)
        write_deltalake(table, rows, mode="overwrite", predicate=f"day IN ({days})", storage_options=self.options or None)
