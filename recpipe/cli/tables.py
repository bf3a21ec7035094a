"""Commands for those who read the tables."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import cell, say
from recpipe.readers.printed_lists import print_list


@app.command()
def show(
    user: Annotated[str, typer.Argument(help="id of the user: the shop's, or with a key of user ids that of the tables, too")],
    day: Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01; by default the newest complete one")] = "",
) -> None:
    """Show the list of a user: titles, scores, and why each item stands there."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.readers.asked_user import asked_user
    from recpipe.readers.lists import read_list

    settings = load_settings()
    print_list(read_list(settings, asked_user(settings, user), parse_day(day) if day else None))


@app.command()
def profile(
    user: Annotated[str, typer.Argument(help="id of the user: the shop's, or with a key of user ids that of the tables, too")],
    day: Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01; by default the newest complete one")] = "",
    most: Annotated[int, typer.Option("--most", min=1, help="tags of each kind that are shown")] = 5,
) -> None:
    """Show the profile of a user: tags, weights, and what each rests on."""
    from itertools import groupby, islice

    from rich.console import Console
    from rich.table import Table

    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.readers.asked_user import asked_user
    from recpipe.readers.profile import read_profile

    settings = load_settings()
    user = asked_user(settings, user)
    found, rows = read_profile(settings, user, parse_day(day) if day else None)
    shown = Table("tag", "weight", "because")
    for _, of_kind in groupby(rows, key=lambda row: row["kind"]):
        for row in islice(of_kind, most):
            shown.add_row(cell(row["tag"]), f"{row['weight']:.2f}", cell(row["evidence"]))
    console = Console()
    console.print(cell(f"User {user} on {found}: {len(rows)} tags"))
    console.print(shown)


@app.command()
def export(
    day: Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01")],
    file_format: Annotated[str, typer.Option("--format", help="parquet, csv or jsonl")] = "parquet",
    out: Annotated[str, typer.Option("--out", help="the file; recommendations-DAY.FORMAT if left out")] = "",
    spreadsheet: Annotated[
        bool,
        typer.Option(
            "--spreadsheet", help="csv for a spreadsheet: texts that begin as formulas do get an apostrophe before them"
        ),
    ] = False,
) -> None:
    """Write the recommendations of a complete day into one file."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.readers.table_files import export_day

    asked = parse_day(day)
    file = Path(out or f"recommendations-{asked}.{file_format}")
    rows = export_day(load_settings(), asked, file_format, file, spreadsheet=spreadsheet)
    say(f"{rows:,} rows of recommendations of {asked} stand in {file}.")


@app.command()
def tables() -> None:
    """Show how far every table has come, and where it is."""
    from rich.console import Console
    from rich.table import Table

    from recpipe.config.settings import load_settings
    from recpipe.readers.freshness import freshness

    settings = load_settings()
    shown = Table("table", "newest complete day", "its rows", "days", "missing between")
    found = freshness(settings)
    for entry in found:
        newest, missing = entry.newest, len(entry.missing)
        shown.add_row(entry.table, str(newest.day), f"{newest.rows:,}", f"{entry.days:,}", str(missing or ""))
    if not found:
        say("No day is published yet: run recpipe ingest, or recpipe history.")
        return
    Console().print(shown)
    say(f"Each is a Delta table under {settings.places.lake_root}; docs/tables.md says how to read them.")
