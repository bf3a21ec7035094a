"""Checks of a shop's files: a delivery, and the rules."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import NAME, cell, printable, say

if TYPE_CHECKING:
    from recpipe.onboarding.checked import Asked
    from recpipe.onboarding.delivery_check import Say


@app.command("check-delivery")
def check_delivery(
    path: Annotated[Path, typer.Argument(help="a file of your shop, parquet or csv, or a folder of them")],
    write: Annotated[str, typer.Option(help="write the settings into this file, such as .recpipe/recpipe.env")] = "",
    cut: Annotated[str, typer.Option(help="cut a log into days, as landing folders, under this new folder")] = "",
    table: Annotated[list[str], typer.Option(help="events=FILE, items=FILE or users=FILE: which file is which table")] = [],  # noqa: B006  # typer's way
    column: Annotated[list[str], typer.Option(help="TABLE.COLUMN=DELIVERED: which column is which")] = [],  # noqa: B006
    event_type: Annotated[list[str], typer.Option(help="DELIVERED=TYPE: what a kind of events is")] = [],  # noqa: B006
    timezone: Annotated[str, typer.Option(help="the shop's zone, such as Europe/London")] = "",
) -> None:
    """Look at your shop's files: propose the settings that take them in, say what would stay out, cut a log into days.

    Nothing is taken in. Exit code 1 if something is missing.
    """
    import tempfile

    from rich.console import Console

    from recpipe.errors import BadSetting
    from recpipe.onboarding.check_report import show
    from recpipe.onboarding.delivery_check import check
    from recpipe.onboarding.proposal import write_environment

    if write and Path(write).exists():
        raise BadSetting(f"{write} is there already: name another file, or move it away first.")
    asked = _asked(path, table, column, event_type, timezone, cut)
    console = Console()
    with tempfile.TemporaryDirectory(prefix="recpipe-check-") as scratch, _progress(console) as say:
        checked = check(asked, Path(scratch), say)
    show(checked, console)
    if write and checked.ingestible:
        write_environment(Path(write), checked.proposal.lines)
        console.print(cell(f"The settings stand in {write}."))
    if not checked.ingestible:
        raise typer.Exit(1)
    if checked.landing:
        found = checked.survey
        console.print(f"Next: recpipe history --from {found.first} --to {found.last}", soft_wrap=True)
    else:
        console.print("Next: the same with --cut FOLDER and --write .recpipe/recpipe.env", soft_wrap=True)


def _asked(path: Path, table: list[str], column: list[str], event_type: list[str], timezone: str, cut: str) -> Asked:
    from recpipe.onboarding.checked import Asked

    columns: dict[str, dict[str, str]] = {}
    for name, delivered in _pairs("--column", column).items():
        of, _, ours = name.partition(".")
        columns.setdefault(_table("--column", of), {})[_column(of, ours)] = delivered
    tables = {_table("--table", name): source for name, source in _pairs("--table", table).items()}
    return Asked(path, tables, columns, _kinds(event_type), timezone, Path(cut) if cut else None)


def _pairs(option: str, given: list[str]) -> dict[str, str]:
    from recpipe.errors import BadSetting

    for one in given:
        if not all(one.partition("=")):
            raise BadSetting(f"{option} {one!r} is no pair: write NAME=VALUE.")
    return {name: value for name, _, value in (one.partition("=") for one in given)}


def _table(option: str, name: str) -> str:
    from recpipe.errors import BadSetting

    if name not in ("events", "items", "users"):
        raise BadSetting(f"{option} names {name!r}, which is no table that a shop delivers: there are events, items and users.")
    return name


def _column(table: str, name: str) -> str:
    from recpipe.contract import TABLES
    from recpipe.errors import BadSetting

    known = [column for column in TABLES[table].columns if column not in ("day", "attributes")]
    if name not in known:
        raise BadSetting(f"--column names {table}.{name}, which there is not: use one of {', '.join(known)}.")
    return name


def _kinds(given: list[str]) -> dict[str, str]:
    from recpipe.contract import EVENT_TYPES
    from recpipe.errors import BadSetting

    kinds = _pairs("--event-type", given)
    for kind, ours in kinds.items():
        if ours not in EVENT_TYPES:
            raise BadSetting(
                f"--event-type sends {kind!r} to {ours!r}, which is no kind of events: there are {', '.join(EVENT_TYPES)}."
            )
    return kinds


@contextmanager
def _progress(console: object) -> Iterator[Say]:
    """Show a bar on a terminal, and nothing elsewhere."""
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    assert isinstance(console, Console)  # noqa: S101  # rich is imported when it runs
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task("", total=1)

        def say(what: str, done: int, of: int) -> None:
            bar.update(task, description=escape(printable(what, NAME)), completed=done, total=max(1, of))

        yield say


@app.command(name="check-knowledge")
def check_knowledge(
    folder: Annotated[str, typer.Argument(help="folder of the files; that of RECPIPE_KNOWLEDGE if empty")] = "",
) -> None:
    """Read the shop's files of knowledge as the nights would: every fault with its file and line, or what they say.

    What they name and the newest catalogue does not have is listed too: nothing is refused for that.
    """
    from recpipe.config.settings import load_settings
    from recpipe.errors import BadSetting
    from recpipe.rules.absent_names import absent_today
    from recpipe.rules.load import read_rules

    settings = load_settings(**({"knowledge": folder} if folder else {}))
    if not settings.rules.knowledge:
        raise BadSetting("No folder of knowledge is set: name one, or set RECPIPE_KNOWLEDGE.")
    found = read_rules(settings)
    say(
        f"{settings.rules.knowledge}: {len(found.tree.renames)} renamed categories, {len(found.substitutes)} groups of substitutes, "
        f"{len(found.blocked)} blocked, {len(found.age_limits)} age limits. sha256 {found.sha256[:12]}."
    )
    for line in absent_today(settings, found):
        say(line)
