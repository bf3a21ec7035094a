"""The report of a check, for a person at a terminal: short sentences, and two small tables."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from recpipe.onboarding.checked import Checked, questions
from recpipe.onboarding.proposal import Line
from recpipe.printable import printable

MOST: Final = 12
LONGEST: Final = 800


def show(checked: Checked, console: Console) -> None:
    """Print what was found, proposed, tried and is missing."""
    for sentence in _files(checked):
        console.print(_plain(sentence))
    if checked.proposal.lines:
        console.print(_proposed(checked.proposal.lines))
    for sentence in _tried(checked):
        console.print(_plain(sentence))
    if checked.trial.out:
        console.print(_left_out(checked))
    for question in questions(checked.proposal):
        console.print(_plain(f"? {question}"))
    for sentence in checked.proposal.missing:
        console.print(_plain(f"Missing: {sentence}"), style="bold")


def _files(checked: Checked) -> Iterator[str]:
    taken = {chosen.sample.source.name for chosen in checked.tables.values()}
    for table, chosen in checked.tables.items():
        yield f"{chosen.sample.source.name} is taken for {table}: {chosen.evidence}."
    others = [source.name for source in checked.found.sources if source.name not in taken]
    if others:
        yield f"Left aside, since none of their rows is an event, an item or an account: {', '.join(others[:MOST])}."
    for other in checked.found.others[:MOST]:
        yield f"{other}."


def _proposed(lines: list[Line]) -> Table:
    shown = Table("setting", "value", "what was seen", show_lines=True)
    for line in lines:
        value = (
            ""
            if line.value is None
            else line.value
            if isinstance(line.value, str)
            else json.dumps(line.value, ensure_ascii=False)
        )
        shown.add_row(f"RECPIPE_{line.name.upper()}" if line.value is not None else "-", _plain(value), _plain(line.evidence))
    return shown


def _tried(checked: Checked) -> Iterator[str]:
    trial, found = checked.trial, checked.survey
    if found.rows:
        yield (
            (
                f"{found.rows:,} events from {found.first} to {found.last}, {found.without_user:,} of nobody, "
                f"{found.without_time:,} without a time that can be read."
            )
            if found.days
            else f"{found.rows:,} events."
        )
    if trial.days:
        taken = ", ".join(f"{count:,} rows of {table}" for table, count in sorted(trial.rows.items()))
        yield f"{len(trial.days)} days were staged for a trial: {taken} would be taken in, {sum(trial.out.values()):,} would stay out."
    if checked.written and checked.landing:
        rows = ", ".join(f"{count:,} rows of {table}" for table, count in checked.written.items())
        yield f"The log was cut into {(found.last - found.first).days + 1:,} days under {checked.landing}: {rows}."


def _left_out(checked: Checked) -> Table:
    shown = Table("table", "why rows stay out", "column", "rows")
    for (table, reason, column, aside), count in checked.trial.out.most_common(MOST):
        shown.add_row(table, _plain(reason + (" (set aside, not bad)" if aside else "")), _plain(column), f"{count:,}")
    return shown


def _plain(text: str) -> str:
    """Return a text without control signs and markup, cut."""
    return escape(printable(text, LONGEST))
