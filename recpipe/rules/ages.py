"""The certain age of a user, by an attribute."""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from recpipe.rules.model import AGE, BIRTH_DATE, BIRTH_YEAR, AgeSource

OLDEST: Final = 150
NUMBER: Final = re.compile(r"[0-9]{1,4}(\.[0-9]+)?")
RANGE: Final = re.compile(r"([0-9]{1,3})\s*(\+|[-–]\s*[0-9]{1,3})")
"""Ages as surveys ask for them: 25-34, 65+."""


def age_on(source: AgeSource, value: str | None, day: date) -> int | None:
    """Return the years that a user has reached for certain by a day; None where the value says nothing.

    A birth year counts as its last day, an age as that of the day on which it was delivered, of a range its lower end: nobody
    is taken for older than they are. A birth after the day, or more than `OLDEST` years before it, says nothing.
    """
    text = (value or "").strip()
    years = {BIRTH_DATE: _since_date, BIRTH_YEAR: _since_year, AGE: _stated}[source.form](text, day)
    return years if years is not None and 0 <= years < OLDEST else None


def _since_date(text: str, day: date) -> int | None:
    try:
        born = date.fromisoformat(text[:10])
    except ValueError:
        return None
    return day.year - born.year - ((day.month, day.day) < (born.month, born.day))


def _since_year(text: str, day: date) -> int | None:
    number = _whole(text)
    return None if number is None else day.year - number - ((day.month, day.day) < (12, 31))


def _stated(text: str, day: date) -> int | None:
    between = RANGE.fullmatch(text)
    return int(between[1]) if between else _whole(text)


def _whole(text: str) -> int | None:
    """Return the whole number that a text such as 1987 or 17.9 begins with."""
    return int(float(text)) if NUMBER.fullmatch(text) else None
