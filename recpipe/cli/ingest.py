"""Commands that take deliveries in and say what has been taken in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import cell, say

if TYPE_CHECKING:
    from datetime import date

    from recpipe.config.settings import Settings

Day = Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01")]
First = Annotated[str, typer.Option("--from", help="first day, such as 2011-09-01")]
AcceptVolume = Annotated[
    bool,
    typer.Option(
        "--accept-volume", help="you have looked: that few rows, or that small a catalogue, are right (RECPIPE_LEAST_VOLUME)"
    ),
]
Last = Annotated[str, typer.Option("--to", help="last day, included")]


@app.command()
def land(first: First, last: Last) -> None:
    """Drop the shipped shop's deliveries of some days into the landing folder."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.demo import shop

    landing = load_settings().places.landing_root
    rows = shop.land(landing, parse_day(first), parse_day(last))
    say(f"{rows:,} rows of {first} to {last} lie in {landing}.")


@app.command()
def ingest(day: Day, accept_volume: AcceptVolume = False) -> None:
    """Take in one day: check, audit, publish."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.tables.ingest.days_in import ingest_day

    settings, wanted = load_settings(), parse_day(day)
    _say(ingest_day(settings.accepting(wanted) if accept_volume else settings, wanted), day)


@app.command()
def history(
    first: First,
    last: Last,
    skip_incomplete: Annotated[bool, typer.Option(help="leave out days whose delivery is not complete")] = False,
    missing_only: Annotated[bool, typer.Option("--missing-only", help="leave out days that are published")] = False,
    accept_volume: AcceptVolume = False,
) -> None:
    """Take in many days in one process, with the checks of a nightly run."""
    from recpipe.config.settings import load_settings
    from recpipe.days import days_between, parse_day
    from recpipe.tables.ingest.days_in import ingest_history

    settings, begin, end = load_settings(), parse_day(first), parse_day(last)
    settings = settings.accepting(*days_between(begin, end)) if accept_volume else settings
    rows = ingest_history(settings, begin, end, skip_incomplete=skip_incomplete, missing_only=missing_only)
    missing = missing_days(settings, begin, end)
    if not rows and missing:
        say(f"Nothing was taken in: {left_out(missing)}.")
        raise typer.Exit(1)
    _say(rows, f"{first} to {last}")
    if missing:
        say(f"But {left_out(missing)}.")


def missing_days(settings: Settings, first: date, last: date) -> list[date]:
    """Return the days of a range that do not stand in the register as published."""
    from recpipe.contract import EVENTS
    from recpipe.days import days_between
    from recpipe.lake.lake import Lake

    there = {record.day for record in Lake.from_settings(settings).days(EVENTS.name) if record.complete}
    return [day for day in days_between(first, last) if day not in there]


def left_out(missing: list[date]) -> str:
    """Say which days were left out."""
    more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
    return f"{', '.join(map(str, missing[:5]))}{more} were left out, for their delivery is not complete"


@app.command()
def days(
    table: Annotated[str, typer.Option(help="one table only")] = "",
    newest: Annotated[int, typer.Option(help="how many days a table; 0: all")] = 10,
) -> None:
    """Show the register: which days of which table are published."""
    from rich.console import Console
    from rich.table import Table

    from recpipe.config.settings import load_settings
    from recpipe.lake.lake import Lake

    shown = Table("table", "day", "status", "rows", "version", "model", "run")
    by_table: dict[str, list[list[str]]] = {}
    for record in Lake.from_settings(load_settings()).days(table or None):
        row = [record.table, str(record.day), record.status, f"{record.rows:,}", str(record.table_version)]
        by_table.setdefault(record.table, []).append([*row, record.model_version or "", record.run_id])
    for rows in by_table.values():
        for row in rows[-newest:] if newest else rows:
            shown.add_row(*map(cell, row))
    Console().print(shown if by_table else "No day is published yet: run recpipe ingest, or recpipe history.")


@app.command()
def stale() -> None:
    """List the published days that were made from a day that has been replaced, or came in, since; and how each is run again."""
    from recpipe.config.settings import load_settings
    from recpipe.lake.lake import Lake
    from recpipe.lake.stale import stale_days

    found = stale_days(Lake.from_settings(load_settings()))
    for entry in found:
        more = f" and {entry.days - 1} other days" if entry.days > 1 else ""
        read = f"from {entry.source} at version {entry.read_version}" if entry.read_version >= 0 else f"without {entry.source}"
        say(
            f"{entry.table} of {entry.day} was made {read}; {entry.source_day}{more} changed since (version {entry.version}). "
            f"Run it again: {_again(entry.table)} {entry.day}"
        )
    if not found:
        say("Nothing is stale.")


def _again(table: str) -> str:
    """Return the command that makes a day of a table, without the day."""
    from recpipe.tables.families import TASKS

    if table in TASKS:
        return f"recpipe task {table} --day"
    by = {"recommendations": "recommend", "episodes": "recommend", "replays": "replay"}
    by |= dict.fromkeys(("outcomes", "newcomer_outcomes"), "evaluate")
    return f"recpipe {by.get(table, 'ingest')} --day"


def _say(rows: dict[str, int], what: str) -> None:
    taken = ", ".join(f"{count:,} rows of {table}" for table, count in rows.items())
    say(f"{what} taken in: {taken or 'every day is published already'}.")
