"""Commands that make people forgotten: ``recpipe erase-users``, ``recpipe erasure-token``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from recpipe.cli import app
from recpipe.printable import say

Ids = Annotated[
    list[str] | None,
    typer.Argument(help="users as the shop names them, or as the tables do; a person's id means all accounts of the person"),
]
File = Annotated[str, typer.Option("--file", help="file with an id a line; - reads them from standard input")]


@app.command("erase-users")
def erase_users(ids: Ids = None, file: File = "") -> None:
    """Erase users from tables, scratch and caches, and leave them out of whatever comes in from now on."""
    from recpipe.config import load_settings
    from recpipe.privacy.erase import erase
    from recpipe.privacy.erasure_report import headline
    from recpipe.privacy.erasures import erasure_tokens

    settings = load_settings()
    done = erase(settings, erasure_tokens(settings, _asked(ids, file)))
    say(headline(done))
    for table, counts in done["tables"].items():
        if counts["rows"]:
            say(f"  {table}: {counts['rows']:,} rows of {counts['days']:,} days")
    for sentence in done["left"]:
        say(f"Left: {sentence}")
    say(f"Report: {done['report']}")


@app.command("erasure-token")
def erasure_token(ids: Ids = None, file: File = "") -> None:
    """Print what the DAG erase_users takes for users, one a line in the same order: it names them to nobody without the key."""
    from recpipe.config import load_settings
    from recpipe.privacy.erasures import erasure_tokens

    for token in erasure_tokens(load_settings(), _asked(ids, file)):
        say(token)


def _asked(ids: list[str] | None, file: str) -> list[str]:
    from recpipe.errors import BadSetting

    lines: list[str] = []
    if file:
        try:
            lines = (sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")).split("\n")
        except (OSError, UnicodeDecodeError):
            raise BadSetting(f"--file: {file} cannot be read as a text file in UTF-8.") from None
    asked = [*(ids or []), *(line for line in lines if line.strip())]
    if not asked:
        raise BadSetting("No user is named: give ids, or a file of them with --file (- for standard input).")
    return asked
