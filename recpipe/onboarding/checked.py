"""The words of a person on a delivery, and the findings of its check."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from recpipe.onboarding.found_layout import Layout
from recpipe.onboarding.proposal import Proposal
from recpipe.onboarding.sources import Found
from recpipe.onboarding.survey import Survey
from recpipe.onboarding.table_choice import Chosen


@dataclass(frozen=True)
class Asked:
    """What a person has said.

    Attributes
    ----------
    path
        The shop's file or folder.
    tables
        Table -> name of a source.
    columns
        Table -> contract column -> delivered column.
    kinds
        Delivered event type -> contract's; ``*`` for events without a type.
    zone
        The shop's zone; empty: not said.
    cut
        Where a log is cut to; None: it is only tried.
    """

    path: Path
    tables: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    zone: str = ""
    cut: Path | None = None


@dataclass
class Trial:
    """What became of some days.

    Attributes
    ----------
    days
        Days that were staged.
    rows
        Rows taken in, by table.
    out
        (table, reason, column, set aside) -> rows that stay out.
    refused
        Sentences of the days that would be refused, by day.
    midnights
        Hours between the shop's midnight and the one at which days seem to be cut -> such days.
    """

    days: list[date] = field(default_factory=list)
    rows: Counter[str] = field(default_factory=Counter)
    out: Counter[tuple[str, str, str, bool]] = field(default_factory=Counter)
    refused: dict[date, str] = field(default_factory=dict)
    midnights: Counter[float] = field(default_factory=Counter)

    @property
    def delivered(self) -> int:
        """Rows of all tables that were looked at."""
        return sum(self.rows.values()) + sum(self.out.values())


@dataclass
class Checked:
    """What was found, proposed, tried and written."""

    found: Found
    tables: dict[str, Chosen]
    proposal: Proposal
    survey: Survey = field(default_factory=Survey)
    layout: Layout | None = None
    trial: Trial = field(default_factory=Trial)
    landing: Path | None = None
    written: dict[str, int] = field(default_factory=dict)

    @property
    def ingestible(self) -> bool:
        """Whether nothing is missing."""
        return not self.proposal.missing


def questions(proposal: Proposal) -> Iterator[str]:
    """Yield what a person should look at, each once."""
    yield from dict.fromkeys(line.question for line in proposal.lines if line.question)
