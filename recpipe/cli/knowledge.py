"""Rules and prior knowledge: ``recpipe check-knowledge``."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe.cli import app
from recpipe.printable import say


@app.command(name="check-knowledge")
def check_knowledge(
    folder: Annotated[str, typer.Argument(help="folder of the files; that of RECPIPE_KNOWLEDGE if empty")] = "",
) -> None:
    """Read the shop's files of knowledge as the nights would: every fault with its file and line, or what they say.

    What they name and the newest catalogue does not have is listed too: nothing is refused for that.
    """
    from recpipe import knowledge
    from recpipe.config import load_settings
    from recpipe.errors import BadSetting

    settings = load_settings(**({"knowledge": folder} if folder else {}))
    if not settings.knowledge:
        raise BadSetting("No folder of knowledge is set: name one, or set RECPIPE_KNOWLEDGE.")
    found = knowledge.read(settings)
    say(
        f"{settings.knowledge}: {len(found.tree.renames)} renamed categories, {len(found.substitutes)} groups of substitutes, "
        f"{len(found.blocked)} blocked, {len(found.age_limits)} age limits. sha256 {found.sha256[:12]}."
    )
    for line in knowledge.absent_today(settings, found):
        say(line)
