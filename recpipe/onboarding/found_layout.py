"""The layout of a landing that the folders of sources have, if they are laid by day."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from recpipe.onboarding.sources import Source

_WHOLE: Final = re.compile(r"(?P<key>\w+=)?(?P<year>\d{4})(?P<dash>-?)(?P<month>\d{2})(?P=dash)(?P<day>\d{2})")
_PART: Final = re.compile(r"(?P<key>\w+=)?(?P<number>\d{1,4})")


@dataclass(frozen=True)
class Layout:
    """How folders name days.

    Attributes
    ----------
    pattern
        As RECPIPE_LANDING_LAYOUT has it.
    places
        Table -> what stands for it, where that is not its name.
    days
        The days that events lie in.
    """

    pattern: str
    places: dict[str, str]
    days: tuple[date, ...]


def find_layout(root: Path, sources: Mapping[str, Source]) -> Layout | None:
    """Return the layout of sources by table; None if events do not lie in folders of their days, or tables differ."""
    found = {table: _patterns(root, source) for table, source in sources.items()}
    if "events" not in found or not all(found.values()):
        return None
    patterns = {table: next(iter(one)) for table, one in found.items()}
    if any(len(one) > 1 for one in found.values()) or len({pattern for _, pattern in patterns.values()}) > 1:
        return None
    places = {table: place for table, (place, _) in patterns.items() if place != table}
    days = sorted({day for file in sources["events"].files for day in [_day(file.relative_to(root))] if day})
    return Layout("{table}/" + patterns["events"][1], places, tuple(days))


def _patterns(root: Path, source: Source) -> set[tuple[str, str]]:
    if not source.folders:
        return set()
    found = {one for file in source.files for one in [_pattern(file.relative_to(root))] if one}
    for bare, padded in (("{month}", "{month:02}"), ("{day}", "{day:02}")):
        if any(bare in pattern for _, pattern in found):  # month=3 beside month=12
            found = {(place, pattern.replace(padded, bare)) for place, pattern in found}
    return found


def _pattern(file: Path) -> tuple[str, str] | None:
    """Return the place of the table and the pattern of the day's folders, as a file's path has them."""
    place: list[str] = []
    dated: list[str] = []
    for part in file.parts[:-1]:
        if whole := _WHOLE.fullmatch(part):
            form = "{day}" if whole["dash"] else "{day:%Y%m%d}"
            return "/".join(place), f"{whole['key'] or ''}{form}"
        number = _PART.fullmatch(part)
        name = ("year", "month", "day")[len(dated)] if len(dated) < 3 else ""
        if number and name and (dated or len(number["number"]) == 4):
            width = ":02" if name != "year" and len(number["number"]) == 2 else ""
            dated.append(f"{number['key'] or ''}{{{name}{width}}}")
        elif not dated:
            place.append(part)
        if len(dated) == 3:
            return "/".join(place), "/".join(dated)
    return None


def _day(file: Path) -> date | None:
    text = "/".join(file.parts[:-1])
    whole = _WHOLE.search(text)
    parts = re.search(r"(\d{4})/(?:\w+=)?(\d{1,2})/(?:\w+=)?(\d{1,2})(?:/|$)", text)
    numbers = (whole["year"], whole["month"], whole["day"]) if whole else parts.groups() if parts else None
    try:
        return date(*(int(number) for number in numbers)) if numbers else None
    except ValueError:
        return None
