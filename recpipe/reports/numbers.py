"""Numbers of tables: a value with its interval, or that there is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Cell:
    """What is in one place of a table: the value, its interval in small print, and whether there is a value at all."""

    text: str
    small: str = ""
    known: bool = True


def cell_of(row: Mapping[str, Any] | None, form: str, none: str = "too few") -> Cell:
    """Return a row of ``outcomes`` or ``replays`` as a cell.

    Parameters
    ----------
    row
        Its ``value`` is shown between ``ci_low`` and ``ci_high``; an interval without one end is open there.
    form
        How the numbers are written.
    none
        Is shown in place of a value that is not known.

    Examples
    --------
    >>> cell_of({"value": 0.5, "ci_low": 0.25, "ci_high": None}, ".2f")
    Cell(text='0.50', small='0.25 – more', known=True)
    """
    if row is None or row["value"] is None:
        return Cell(none, known=False)
    ends = (row["ci_low"], row["ci_high"])
    shown = ["more" if end is None else format(end, form) for end in ends]
    return Cell(format(row["value"], form), "" if ends == (None, None) else " – ".join(shown))
