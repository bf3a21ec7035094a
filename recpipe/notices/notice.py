"""The notice that people get."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recpipe.printable import printable, sentence

FAILED: Final = "failed"
AUDIT: Final = "audit"
LATE: Final = "late"
FLOOR: Final = "floor"
WAITS: Final = "waits"
KINDS: Final = (FAILED, AUDIT, LATE, FLOOR, WAITS)


@dataclass(frozen=True)
class Notice:
    """One thing that a person should know of.

    Attributes
    ----------
    kind
        One of `KINDS`: a task that failed, a day that did not pass its audit, a delivery or a table that is late, a floor of
        quality or the limit of drift that was crossed, a question that waits for a person.
    day
        The shop's day that it is about, such as ``2011-09-03``; empty where it is about none.
    what
        What happened, in sentences.
    todo
        What to do, in sentences; empty where ``what`` says it.
    link
        Page to look at first; empty if there is none.
    """

    kind: str
    day: str
    what: str
    todo: str = ""
    link: str = ""

    def __post_init__(self) -> None:
        """Take out what would steer a terminal, break a header of a mail, or fill a page: causes quote names that others gave."""
        for name in ("kind", "day", "link"):
            object.__setattr__(self, name, printable(getattr(self, name)))
        for name in ("what", "todo"):
            object.__setattr__(self, name, sentence(getattr(self, name)))


def in_words(notice: Notice) -> str:
    """Return a notice as one paragraph."""
    return " ".join(part for part in (notice.what, notice.todo, notice.link) if part)


def subject(notices: Sequence[Notice]) -> str:
    """Return the headline of some notices of one day: kinds, counted, and the day."""
    kinds = [notice.kind for notice in notices]
    counted = ", ".join(f"{kind} ({kinds.count(kind)})" if kinds.count(kind) > 1 else kind for kind in dict.fromkeys(kinds))
    return f"recpipe {notices[0].day}: {counted}" if notices[0].day else f"recpipe: {counted}"
