"""The match of delivered columns with those of the contract: by name, and by content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recpipe.contract import TABLES
from recpipe.onboarding.guesses.name_scores import event_type_of, name_score
from recpipe.onboarding.guesses.samples import Column, Sample
from recpipe.onboarding.guesses.time_forms import time_fit

SURE: Final = 0.7
"""From this score on a guess is a proposal; below it is a question."""
LEAST: Final = 0.3
MADE: Final = ("day", "attributes")
IDS: Final = ("user_id", "item_id", "session_id", "order_id", "event_id", "person_id")


@dataclass(frozen=True)
class Guess:
    """Which delivered column is taken for a column of the contract.

    Attributes
    ----------
    column
        Of the contract.
    delivered
        As the file has it.
    score
        0 to 1.
    evidence
        What speaks for it, as a sentence part.
    other
        The delivered column that would be the next best; empty if none.
    """

    column: str
    delivered: str
    score: float
    evidence: str
    other: str = ""


Told = Mapping[tuple[str, str], tuple[str, str]]
"""(source, column) -> (contract column, evidence), as the overlaps of ids between files tell."""
BY_OVERLAP: Final = 0.65


def guess_columns(
    sample: Sample, table: str, given: Mapping[str, str] | None = None, told: Told | None = None
) -> dict[str, Guess]:
    """Return the guesses for a table by contract column.

    Parameters
    ----------
    sample
        Rows of a source.
    table
        Name of the table.
    given
        What a person has said: contract column -> delivered column.
    told
        What the ids of other files tell.
    """
    given, told = given or {}, told or {}
    scored = [
        (_score(sample, table, name, column, told), name, column.name)
        for name in TABLES[table].columns
        if name not in MADE and name not in given
        for column in sample.columns
        if column.name not in given.values()
    ]
    found = {name: Guess(name, delivered, 1.0, "said by you") for name, delivered in given.items()}
    taken = set(given.values())
    for score, name, delivered in sorted(scored, key=lambda one: (-one[0], one[1], one[2])):
        if score >= LEAST and name not in found and delivered not in taken:
            others = [
                other
                for points, column, other in scored
                if column == name and other not in (*taken, delivered) and points >= LEAST
            ]
            found[name] = Guess(
                name, delivered, score, _evidence(sample, table, name, delivered, told), others[0] if others else ""
            )
            taken.add(delivered)
    return found


def _score(sample: Sample, table: str, name: str, column: Column, told: Told) -> float:
    named = name_score(table, name, column.name)
    if told.get((sample.source.name, column.name), ("",))[0] == name:
        return max(BY_OVERLAP, named)
    if not column.filled:
        return 0.75 if named == 1.0 and name not in ("ts", "item_id", "user_id", "event_type") else 0.0
    fit = fit_of(sample, name, column)
    if not named:
        return 0.55 * fit if name in ("ts", "event_type") and fit >= 0.8 else 0.0
    return named * (0.5 + 0.5 * fit) if fit else 0.0


def fit_of(sample: Sample, name: str, column: Column) -> float:
    """Return how well the values of a column fit a column of the contract, 0 to 1."""
    if name in ("ts", "registered_at"):
        return time_fit(column, sample.rows)
    if name in IDS:
        return _id_fit(sample, name, column)
    if name == "event_type":
        return _type_fit(column)
    if name in ("price", "rating", "quantity"):
        return 1.0 if column.is_number else _share_of_numbers(column, sample.rows)
    if name == "available":
        return 1.0 if pt.is_boolean(column.kind) or column.distinct <= 2 else 0.0
    if name == "category" and pt.is_list(column.kind):
        return 1.0
    return 1.0 if column.is_text else 0.0


def _id_fit(sample: Sample, name: str, column: Column) -> float:
    if pt.is_boolean(column.kind) or time_fit(column, sample.rows) == 1.0 or pt.is_nested(column.kind):
        return 0.0
    if pt.is_floating(column.kind):  # ids in a column with gaps are written with .0
        values = sample.rows[column.name].drop_null()
        whole = pc.all(pc.equal(pc.floor(values), values)).as_py()
        return 0.8 if whole else 0.0
    if name == "event_id":
        return 1.0 if column.unique else 0.0
    return 1.0 if column.is_text or pt.is_integer(column.kind) or pt.is_decimal(column.kind) else 0.0


def _type_fit(column: Column) -> float:
    if not column.common:
        return 0.0
    known = sum(count for value, count in column.common if event_type_of(value))
    share = known / sum(count for _, count in column.common)
    return share if share else 0.3 if column.distinct <= 20 else 0.0


def _share_of_numbers(column: Column, rows: pa.Table) -> float:
    if not column.is_text:
        return 0.0
    values = rows[column.name].drop_null().slice(0, 1000).cast(pa.string())
    fits = pc.sum(pc.match_substring_regex(values, r"^\s*[+-]?\d+([.,]\d+)?\s*$")).as_py() or 0
    return 0.9 if len(values) and fits >= 0.95 * len(values) else 0.0


def _evidence(sample: Sample, table: str, name: str, delivered: str, told: Told) -> str:
    column = sample.column(delivered)
    named = name_score(table, name, delivered)
    words = (
        "named so"
        if named == 1.0
        else "a name for it"
        if named == 0.9
        else "a part of its name"
        if named
        else "by its values alone"
    )
    if column is None or not column.filled:
        return f"{words}; empty"
    filled = "" if column.filled > 0.9995 else f", {column.filled:.0%} filled"
    ours, why = told.get((sample.source.name, delivered), ("", ""))
    return f"{words}; {column.distinct:,} different values{filled}{f', {why}' if ours == name else ''}"
