"""The report of a step of the upkeep."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from recpipe.errors import RecpipeError

log = logging.getLogger(__name__)

UNITS = ("B", "kB", "MB", "GB", "TB")


@dataclass(frozen=True)
class Step:
    """What one step did to one thing, or would do.

    Attributes
    ----------
    what
        compact, vacuum, log, model, scratch or vectors.
    name
        Table, version or folder; never an id of a user.
    count
        How many files, or versions.
    bytes
        What they took on disk; of compact, what was read and written anew.
    note
        What a person should know of it beside.
    failed
        What of it could not be done, as a sentence; empty if all was.
    """

    what: str
    name: str
    count: int
    bytes: int
    note: str = ""
    failed: str = ""


@dataclass(frozen=True)
class Report:
    """What a whole upkeep did, or would do, and what failed of it."""

    steps: tuple[Step, ...]
    failed: tuple[str, ...] = ()
    dry_run: bool = False

    def lines(self) -> list[str]:
        """Return the report for a person: a line for each thing that something was done to, then one over all."""
        said = [_line(step) for step in self.steps if step.count]
        return [*said, *(f"failed: {why}" for why in self.failed), self.summary()]

    def finished(self) -> str:
        """Log what was done, and return it in one line.

        Raises
        ------
        RecpipeError
            If a step failed; the others were done.
        """
        for line in self.lines():
            log.info("%s", line)
        if self.failed:
            raise RecpipeError(f"{self.summary()} {' '.join(self.failed)}")
        return self.summary()

    def summary(self) -> str:
        """Return the report in one line."""
        freed = sum(step.bytes for step in self.steps if step.what != "compact")
        counts = {what: sum(step.count for step in self.steps if step.what == what) for what in WORDS}
        parts = [f"{count:,} {WORDS[what]}" for what, count in counts.items() if count]
        verb = "Would be done" if self.dry_run else "Done"
        failed = f"; {len(self.failed)} steps failed" if self.failed else ""
        return f"{verb}: {', '.join(parts) or 'nothing'}; {size(freed)} {'to be freed' if self.dry_run else 'freed'}{failed}."


WORDS = {
    "compact": "small files joined",
    "vacuum": "files of old versions removed",
    "log": "log entries removed",
    "model": "model versions removed",
    "scratch": "folders of scratch removed",
    "vectors": "caches of vectors emptied",
}


def size(count: int) -> str:
    """Return a number of bytes for people.

    >>> size(130_000_000)
    '130 MB'
    >>> size(1_500)
    '1.5 kB'
    """
    value, unit = float(count), 0
    while value >= 1000 and unit < len(UNITS) - 1:
        value, unit = value / 1000, unit + 1
    return f"{value:.1f} {UNITS[unit]}" if 0 < value < 10 and unit else f"{value:.0f} {UNITS[unit]}"


def _line(step: Step) -> str:
    note = f" ({step.note})" if step.note else ""
    return f"{step.what:8} {step.name}: {step.count:,} {WORDS[step.what]}, {size(step.bytes)}{note}"
