"""The rows that were not taken in, and the reasons: ``quarantine`` as counts. No delivered value is in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date
from typing import Final

from recpipe.config.settings import Settings
from recpipe.readers.session import open_reader

EXAMPLES: Final = 3
"""Rows of the newest day that are named as examples of a reason."""
COLUMNS: Final = ["day", "source_table", "source_file", "row_number", "reason", "column", "set_aside"]


@dataclass(frozen=True)
class Reason:
    """Rows that were not taken in for one reason.

    Attributes
    ----------
    source_table, column, text
        What the rows were delivered for, the delivered column that the reason speaks of (empty: the whole row), the reason.
    set_aside
        Whether the settings set such rows aside: they are not counted as bad.
    by_day
        Rows a day, of the days that have any.
    examples
        File and row number (from 0) of the first rows of the newest day.
    """

    source_table: str
    column: str
    text: str
    set_aside: bool
    by_day: dict[date, int]
    examples: tuple[tuple[str, int], ...]

    @property
    def rows(self) -> int:
        """Rows of all days."""
        return sum(self.by_day.values())


@dataclass(frozen=True)
class Quarantined:
    """What was not taken in on some days (oldest first), by reason: bad rows before those set aside, the most frequent first."""

    days: tuple[date, ...]
    reasons: tuple[Reason, ...]


def read_quarantine(settings: Settings, days: int) -> Quarantined:
    """Read what was not taken in on the newest complete days; both parts are empty where nothing was ever delivered."""
    reader = open_reader(settings)
    there = reader.days("quarantine")[-days:]
    if not there:
        return Quarantined((), ())
    counts: dict[tuple[str, str, str, bool], Counter[date]] = defaultdict(Counter)
    places: dict[tuple[str, str, str, bool], list[tuple[date, str, int]]] = defaultdict(list)
    rows = reader.read("quarantine", there[0], there[-1], COLUMNS).to_pylist()
    for row in rows:
        key = (row["source_table"], row["column"] or "", row["reason"], row["set_aside"])
        counts[key][row["day"]] += 1
        places[key].append((row["day"], row["source_file"], row["row_number"]))
    reasons = [Reason(*key, dict(found), _examples(places[key])) for key, found in counts.items()]
    reasons.sort(key=lambda reason: (reason.set_aside, -reason.rows, reason.source_table, reason.column, reason.text))
    return Quarantined(tuple(there), tuple(reasons))


def _examples(places: list[tuple[date, str, int]]) -> tuple[tuple[str, int], ...]:
    newest = max(day for day, _, _ in places)
    return tuple(sorted((file, row) for day, file, row in places if day == newest)[:EXAMPLES])
