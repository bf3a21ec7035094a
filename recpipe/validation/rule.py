"""The making of a rule: one expectation of Great Expectations with its words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from recpipe.validation.gx import great_expectations

PIPELINE_FAULT = "This is a fault of the pipeline, not of the delivery: keep the staged folder and report it."


DELIVERY_FAULT = "Look into the quarantine of the day, have the shop deliver the day again, then run the ingest of the day again."


@dataclass(frozen=True)
class Rule:
    """One expectation with its words.

    Attributes
    ----------
    name, column, severity
        As in `quality.verdicts.Check`.
    says
        What is expected, as a sentence.
    remedy
        What to do when it is not so.
    expectation
        The Great Expectations object that decides.
    reads
        Columns that it looks at, where they are not ``column`` alone.
    """

    name: str
    column: str
    severity: Severity
    says: str
    remedy: str
    expectation: Any
    reads: tuple[str, ...] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the expectation looks at."""
        return self.reads or (self.column,)


def filled(
    column: str, says: str, remedy: str = PIPELINE_FAULT, severity: Severity = "error", unless: tuple[str, str] | None = None
) -> Rule:
    """Make a rule that a column has a value in every row, but where another column has a certain value."""
    where = {} if unless is None else {"row_condition": _other_than(*unless)}
    return _rule("ExpectColumnValuesToNotBeNull", f"{column}_filled", column, says, remedy, severity, **where)


def _other_than(column: str, value: str) -> Any:
    return great_expectations().expectations.row_conditions.Column(column) != value


def one_of(column: str, values: Sequence[str], says: str, remedy: str = PIPELINE_FAULT) -> Rule:
    """Make a rule that a column has one of some values."""
    return _rule("ExpectColumnValuesToBeInSet", f"{column}_known", column, says, remedy, value_set=list(values))


def between(
    column: str,
    low: float | None,
    high: float | None,
    says: str,
    remedy: str = PIPELINE_FAULT,
    severity: Severity = "error",
) -> Rule:
    """Make a rule that a column, or a fact of the day, lies between two bounds, both included; None: no bound."""
    bounds = {"min_value": low, "max_value": high}
    return _rule("ExpectColumnValuesToBeBetween", f"{column}_in_bounds", column, says, remedy, severity, **bounds)


def none(fact: str, says: str) -> Rule:
    """Make a rule that a count over the day is zero."""
    return between(fact, 0, 0, says)


def short(column: str, length: int) -> Rule:
    """Make a rule that a text is no longer than so many characters."""
    says = f"No {column} is longer than {length:,} characters"
    return _rule("ExpectColumnValueLengthsToBeBetween", f"{column}_short", column, says, DELIVERY_FAULT, max_value=length)


def like(column: str, regex: str, says: str) -> Rule:
    """Make a rule that a text matches a regular expression."""
    return _rule("ExpectColumnValuesToMatchRegex", f"{column}_form", column, says, PIPELINE_FAULT, regex=regex)


def unlike(column: str, regex: str, says: str) -> Rule:
    """Make a rule that a text does not match a regular expression."""
    return _rule("ExpectColumnValuesToNotMatchRegex", f"{column}_clean", column, says, PIPELINE_FAULT, regex=regex)


def _rule(kind: str, name: str, column: str, says: str, remedy: str, severity: Severity = "error", **bounds: Any) -> Rule:
    words = {"severity": "critical" if severity == "error" else "warning", "meta": {"name": name}, "notes": says}
    expectation = getattr(great_expectations().expectations, kind)(column=column, **words, **bounds)
    return Rule(name, column, severity, says, remedy, expectation)


Severity = Literal["error", "warning"]
