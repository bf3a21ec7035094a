"""Commands for who has the key of user ids."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from recpipe.cli import app
from recpipe.printable import say

if TYPE_CHECKING:
    from recpipe.config import Settings


Of = Literal["user", "session", "order", "event"]


@app.command("user-key")
def user_key(
    ids: Annotated[list[str] | None, typer.Argument(help="ids as the shop has them")] = None,
    file: Annotated[str, typer.Option("--file", help="file with an id a line; - reads them from standard input")] = "",
    of: Annotated[Of, typer.Option("--of", help="whose ids they are")] = "user",
    check: Annotated[bool, typer.Option("--check", help="say whether the key is that of the lake, and map nothing")] = False,
) -> None:
    """Map ids of the shop to those of the tables, one a line in the same order."""
    from recpipe.config import load_settings
    from recpipe.errors import BadSetting
    from recpipe.privacy.keys import has_key

    settings = load_settings()
    if not has_key(settings):
        raise BadSetting(
            "No key of user ids is set (RECPIPE_USER_KEY or RECPIPE_USER_KEY_FILE): ids stand in the tables as they are."
        )
    if check:
        _check(settings)
        return
    asked = [*(ids or []), *_lines(file)]
    if not asked:
        raise BadSetting("No id is given: name some, or a file with --file (- for standard input).")
    for mapped in _mapped(settings, of, asked):
        say(mapped)


def _mapped(settings: Settings, of: Of, asked: list[str]) -> list[str]:
    import pyarrow as pa

    from recpipe.privacy.keys import other_keys, user_keys

    texts = pa.array(asked, pa.string())
    found = user_keys(settings, texts) if of == "user" else other_keys(settings, of, texts)
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
    from recpipe.lake import Lake
    from recpipe.privacy.keys import fingerprint

    Lake.from_settings(settings).check_key()
    say(
        f"The key has the fingerprint {fingerprint(settings)}, and the tables in {settings.lake_root} are kept under it, or not begun."
    )
