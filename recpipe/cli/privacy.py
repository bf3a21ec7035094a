"""Keys of users, and their erasure."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recpipe.cli.command import app
from recpipe.printable import say

if TYPE_CHECKING:
    from recpipe.config.place_settings import PrivacySettings
    from recpipe.config.settings import Settings

Of = Literal["user", "session", "order", "event"]


@app.command("user-key")
def user_key(
    ids: Annotated[list[str] | None, typer.Argument(help="ids as the shop has them")] = None,
    file: Annotated[str, typer.Option("--file", help="file with an id a line; - reads them from standard input")] = "",
    of: Annotated[Of, typer.Option("--of", help="whose ids they are")] = "user",
    check: Annotated[bool, typer.Option("--check", help="say whether the key is that of the lake, and map nothing")] = False,
) -> None:
    """Map ids of the shop to those of the tables, one a line in the same order."""
    from recpipe.config.settings import load_settings
    from recpipe.errors import BadSetting
    from recpipe.user_ids.keys import has_key

    settings = load_settings()
    if not has_key(settings.privacy):
        raise BadSetting(
            "No key of user ids is set (RECPIPE_USER_KEY or RECPIPE_USER_KEY_FILE): ids stand in the tables as they are."
        )
    if check:
        _check(settings)
        return
    asked = [*(ids or []), *_lines(file)]
    if not asked:
        raise BadSetting("No id is given: name some, or a file with --file (- for standard input).")
    for mapped in _mapped(settings.privacy, of, asked):
        say(mapped)


def _mapped(privacy: PrivacySettings, of: Of, asked: list[str]) -> list[str]:
    import pyarrow as pa

    from recpipe.user_ids.keys import other_keys, user_keys

    texts = pa.array(asked, pa.string())
    found = user_keys(privacy, texts) if of == "user" else other_keys(privacy, of, texts)
    return list(found.to_pylist())


def _lines(file: str) -> list[str]:
    from recpipe.errors import BadSetting

    if not file:
        return []
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError):
        raise BadSetting(f"--file: {file} cannot be read as a text file in UTF-8.") from None
    lines = text.split("\n")
    if empty := [number for number, line in enumerate(lines[:-1] if not lines[-1] else lines, 1) if not line.strip()]:
        raise BadSetting(f"--file: line {empty[0]} of {file} is empty. Put an id there, or remove the line.")
    return [line for line in lines if line.strip()]


def _check(settings: Settings) -> None:
    from recpipe.lake.lake import Lake
    from recpipe.user_ids.keys import fingerprint

    Lake.from_settings(settings).check_key()
    say(
        f"The key has the fingerprint {fingerprint(settings)}, and the tables in {settings.places.lake_root} are kept under it, or not begun."
    )


Ids = Annotated[
    list[str] | None,
    typer.Argument(help="users as the shop names them, or as the tables do; a person's id means all accounts of the person"),
]


File = Annotated[str, typer.Option("--file", help="file with an id a line; - reads them from standard input")]


@app.command("erase-users")
def erase_users(ids: Ids = None, file: File = "") -> None:
    """Erase users from tables, scratch and caches, and leave them out of whatever comes in from now on."""
    from recpipe.config.settings import load_settings
    from recpipe.erasure.erase import erase
    from recpipe.erasure.erasure_report import headline
    from recpipe.lake.tombstones import erasure_tokens

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
    from recpipe.config.settings import load_settings
    from recpipe.lake.tombstones import erasure_tokens

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
