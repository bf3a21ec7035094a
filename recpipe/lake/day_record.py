"""A row of the register of days."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from recpipe.contract import CLOSED, EMPTY


@dataclass(frozen=True)
class Input:
    """What a step read of one table: days first to last, at one Delta version."""

    table: str
    first_day: date
    last_day: date
    version: int

    def to_json(self) -> dict[str, Any]:
        """Return what `from_json` takes."""
        return {**vars(self), "first_day": self.first_day.isoformat(), "last_day": self.last_day.isoformat()}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Input:
        """Return what `to_json` was called on."""
        days = {name: date.fromisoformat(entry[name]) for name in ("first_day", "last_day")}
        return cls(**{**entry, **days})


@dataclass(frozen=True)
class DayRecord:
    """One day of one table, as the register has it."""

    table: str
    day: date
    status: str
    table_version: int
    inputs: tuple[Input, ...]
    model_version: str | None
    code_version: str
    run_id: str
    rows: int
    recorded_at: datetime

    @property
    def complete(self) -> bool:
        """Whether the day can be built upon (closed, or known to be empty)."""
        return self.status in (CLOSED, EMPTY)


def order_of(record: DayRecord) -> tuple[int, datetime]:
    return record.table_version, record.recorded_at


def row_of(record: DayRecord) -> dict[str, Any]:
    row = dict(vars(record))
    row["inputs"] = [vars(entry) for entry in record.inputs]
    return row


def record_of(row: dict[str, Any]) -> DayRecord:
    return DayRecord(**{**row, "inputs": tuple(Input(**entry) for entry in row["inputs"])})
