"""The verdict of an audit: counts and sentences, stored beside the table; no value of any row is in it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.errors import AuditFailed, Trouble
from recpipe.files import write_whole
from recpipe.validation.rule import Severity

Number = int | float


@dataclass(frozen=True)
class Check:
    """One expectation, held against one day.

    Attributes
    ----------
    name
        Short name, unique within the suite of a table.
    column
        Column or fact that it speaks of.
    severity
        ``error`` stops the publication, ``warning`` is only shown.
    passed
        What Great Expectations decided.
    counted
        Numbers only: ``unexpected`` and ``total`` rows, the ``observed`` fact, ``rows`` beside the ``usual`` ones, or ``whole``
        where the day as a whole was looked at; empty if the fact is not known.
    description
        What is expected, as a sentence.
    remedy
        What to do when it is not so, as a sentence.
    """

    name: str
    column: str
    severity: Severity
    passed: bool
    counted: Mapping[str, Number]
    description: str
    remedy: str = ""

    @property
    def found(self) -> str:
        """The counts in words."""
        if "unexpected" in self.counted:
            return f"{self.counted['unexpected']:,} of {self.counted['total']:,} rows are otherwise"
        if "usual" in self.counted:
            return f"it has {self.counted['rows']:,}, where {self.counted['usual']:,.0f} are usual"
        if "observed" in self.counted:
            return f"found {number_text(self.counted['observed'])}"
        if "whole" in self.counted:
            return "it is so" if self.passed else "the day as a whole is otherwise"
        return "not measured" if self.passed else "it could not be checked"


@dataclass(frozen=True)
class Verdict:
    """All checks of one day of one table, with the numbers that were known of it."""

    table: str
    day: date
    checks: tuple[Check, ...]
    facts: Mapping[str, Number | None] = field(default_factory=dict)

    @property
    def failed(self) -> list[Check]:
        """Checks of severity error that did not pass."""
        return [check for check in self.checks if not check.passed and check.severity == "error"]

    @property
    def warnings(self) -> list[Check]:
        """Checks of severity warning that did not pass."""
        return [check for check in self.checks if not check.passed and check.severity == "warning"]

    def raise_if_failed(self) -> None:
        """Stop a publication.

        Raises
        ------
        AuditFailed
            If a check of severity error did not pass: one sentence a check.
        """
        if self.failed:
            said = " ".join(_sentence(check) for check in self.failed)
            raise AuditFailed(f"Day {self.day} of table {self.table} was not published. {said}")


def number_text(value: Number) -> str:
    """Write a number for a person: counts whole, others with four digits."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _sentence(check: Check) -> str:
    return f"{check.column}: {check.description.rstrip('.')}, but {check.found}. {check.remedy}".strip()


def to_json(verdict: Verdict) -> str:
    """Write a verdict as JSON."""
    return json.dumps(asdict(verdict) | {"day": verdict.day.isoformat()}, indent=1, ensure_ascii=False)


def from_json(text: str) -> Verdict:
    """Read a verdict that `to_json` wrote."""
    found: dict[str, Any] = json.loads(text)
    checks = tuple(Check(**check) for check in found["checks"])
    return Verdict(found["table"], date.fromisoformat(found["day"]), checks, found["facts"])


def _read(path: Path) -> Verdict:
    try:
        return from_json(path.read_text(encoding="utf-8"))
    except (ValueError, KeyError, TypeError) as error:
        raise Trouble(
            f"The stored verdict {path} is damaged ({type(error).__name__}). Remove the file; the next audit of that day writes it anew."
        ) from None


def verdict_folder(places: PlaceSettings) -> Path:
    """Return the folder of the stored verdicts: beside the tables, or under the reports if those are in an object store."""
    root = places.lake_root.removeprefix("file://")
    return places.reports / "_verdicts" if "://" in root else Path(root) / "_verdicts"


def store(settings: Settings, verdict: Verdict) -> Path:
    """Store a verdict, in place of an earlier one of that day, and return its file."""
    path = verdict_folder(settings.places) / verdict.table / f"{verdict.day}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, to_json(verdict).encode())
    return path


def load_verdict(places: PlaceSettings, table: str, day: date) -> Verdict | None:
    """Return the stored verdict of a day; None if it was never audited."""
    path = verdict_folder(places) / table / f"{day}.json"
    return _read(path) if path.exists() else None


def newest_verdicts(places: PlaceSettings, table: str, count: int) -> list[Verdict]:
    """Return the stored verdicts of a table's newest days, newest first."""
    files = sorted((verdict_folder(places) / table).glob("*.json"), reverse=True)[:count]
    return [_read(path) for path in files]
