"""The finding of a check: one line for a person, and the remedy. Never a secret, an address with one, or an id."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Level = Literal["ok", "warn", "wrong"]
ORDER: Final[tuple[Level, ...]] = ("ok", "warn", "wrong")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    check
        Name of the check.
    level
        ok; warn: works, but not as it should, or cannot be told; wrong: has to be mended.
    says
        What was found.
    remedy
        What to do; empty where nothing is to be done.
    """

    check: str
    level: Level
    says: str
    remedy: str = ""


def ok(check: str, says: str) -> Finding:
    """Return that all is well."""
    return Finding(check, "ok", says)


def warn(check: str, says: str, remedy: str) -> Finding:
    """Return what should be looked at."""
    return Finding(check, "warn", says, remedy)


def wrong(check: str, says: str, remedy: str) -> Finding:
    """Return what has to be mended."""
    return Finding(check, "wrong", says, remedy)
