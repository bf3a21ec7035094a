"""Layouts of the landing: in which folder a shop puts a day of a table, as a pattern of paths."""

from __future__ import annotations

import string
from collections.abc import Mapping
from datetime import date, timedelta
from itertools import permutations
from typing import Final

DEFAULT: Final = "{table}/day={day}"
FIELDS: Final = ("table", "day", "year", "month")
TABLES: Final = ("items", "users", "events")
_EXAMPLE: Final = "such as {table}/day={day}, {table}/dt={day} or {table}/year={year}/month={month}/day={day:02}"
_TRIED: Final = [date(2023, 12, 1) + timedelta(days=number) for number in range(800)]
"""Days that a layout has to tell apart: a leap year, and one that is none."""


def pattern_of(layout: str, places: Mapping[str, str], table: str) -> str:
    """Return the layout of one table.

    Parameters
    ----------
    layout
        That of all tables.
    places
        By table, what stands in the place of its name; a text with braces is a layout of its own.
    table
        Name of the table.
    """
    place = places.get(table, table)
    return place if "{" in place else layout.replace("{table}", place.replace("{", "{{"))


def folder_of(pattern: str, table: str, day: date) -> str:
    """Return the folder of a day under the landing's root.

    Where the pattern has ``{year}`` or ``{month}``, ``{day}`` is the day of the month; else it is the date.

    Examples
    --------
    >>> folder_of("{table}/dt={day}", "events", date(2026, 3, 1))
    'events/dt=2026-03-01'
    >>> folder_of("{table}/{year}/{month:02}/{day:02}", "events", date(2026, 3, 1))
    'events/2026/03/01'
    >>> folder_of("{table}/{day:%Y%m%d}", "events", date(2026, 3, 1))
    'events/20260301'
    """
    return pattern.format(table=table, day=day.day if _by_parts(pattern) else day, year=day.year, month=day.month)


def require_layout(layout: str) -> None:
    """Refuse a layout of all tables that recpipe cannot work with.

    Raises
    ------
    ValueError
        With a sentence.
    """
    if "table" not in _fields(layout):
        raise ValueError(f"'{layout}' has no {{table}}: name where the table stands, {_EXAMPLE}")
    require_places(layout, {})


def require_places(layout: str, places: Mapping[str, str]) -> None:
    """Refuse places of tables that recpipe cannot work with, or that lie in one another.

    Raises
    ------
    ValueError
        With a sentence.
    """
    for table, place in places.items():
        if table not in TABLES:
            raise ValueError(f"'{table}' is no table that a shop delivers; there are {', '.join(TABLES)}")
        if not place:
            raise ValueError(f"the place of {table} is empty: name a folder under the landing")
    patterns = {table: pattern_of(layout, places, table) for table in TABLES}
    for table, pattern in patterns.items():
        _require_pattern(pattern, table)
    for (one, outer), (other, inner) in permutations(patterns.items(), 2):
        folders = folder_of(outer, one, _TRIED[0]), folder_of(inner, other, _TRIED[0])
        if f"{folders[1]}/".startswith(f"{folders[0]}/"):
            raise ValueError(f"{other} would lie in the folder of {one} ({folders[0]}): give every table a folder of its own")


def _require_pattern(pattern: str, table: str) -> None:
    _fields(pattern)
    try:
        folders = [folder_of(pattern, table, day) for day in _TRIED]
    except (ValueError, TypeError) as error:
        raise ValueError(f"'{pattern}' cannot be filled in ({error}); write it {_EXAMPLE}") from None
    if len(set(folders)) < len(folders):
        raise ValueError(f"'{pattern}' does not tell every day from the others; write it {_EXAMPLE}")
    for part in folders[0].split("/"):
        if part in ("", ".", "..") or "\\" in part or not part.isprintable():
            raise ValueError(
                f"'{pattern}' is no path of folders below the landing: no '..', no empty part, no slash at either end"
            )


def _fields(pattern: str) -> set[str]:
    try:
        parts = list(string.Formatter().parse(pattern))
    except ValueError as error:
        raise ValueError(f"'{pattern}' cannot be read ({error}); write it {_EXAMPLE}") from None
    for _, name, form, conversion in parts:
        if name is not None and (name not in FIELDS or conversion or "{" in (form or "")):
            raise ValueError(f"'{pattern}' has {{{name}}}: there are {', '.join(f'{{{one}}}' for one in FIELDS)}, {_EXAMPLE}")
    return {name for _, name, _, _ in parts if name is not None}


def _by_parts(pattern: str) -> bool:
    return not _fields(pattern).isdisjoint(("year", "month"))
