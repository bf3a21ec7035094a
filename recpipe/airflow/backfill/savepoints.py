"""Savepoints of SQLite within one transaction: why a backfill on SQLite is created whole or not at all."""

from __future__ import annotations

from sqlalchemy import event
from sqlalchemy.engine import Connection, Engine


def begin_before_savepoint() -> None:
    """Have every savepoint of this process, on SQLite, stand in a transaction that may write.

    Airflow creates each run of a backfill within a savepoint. Python's driver begins a transaction before a change, not
    before a ``SAVEPOINT`` (https://docs.python.org/3.11/library/sqlite3.html#transaction-control), and SQLite takes one
    outside a transaction for a transaction of its own, which begins by reading and is committed by its release
    (https://www.sqlite.org/lang_savepoint.html). So the runs were committed one by one; when the scheduler wrote between
    a read and a write, SQLite refused the next run, Airflow deleted those before it, and a scheduler that had just taken
    one of them up ended with an ``ObjectDeletedError``. Begun here, the transaction waits for its turn to write, and
    others see all runs or none.

    Calling it again changes nothing.
    """
    if not event.contains(Engine, "savepoint", _begin):
        event.listen(Engine, "savepoint", _begin)


def _begin(connection: Connection, _name: str | None) -> None:
    if connection.dialect.name != "sqlite":
        return
    driver = connection.connection.dbapi_connection
    if driver is not None and not driver.in_transaction:
        driver.execute("BEGIN IMMEDIATE")
