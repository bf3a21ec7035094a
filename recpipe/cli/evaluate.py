"""Commands that say whether lists were good."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recpipe.cli import app
from recpipe.printable import say

if TYPE_CHECKING:
    from recpipe.config import Settings

Day = Annotated[str, typer.Option("--day", help="last day of the behaviour, such as 2011-09-08")]


@app.command()
def evaluate(day: Day, send: Annotated[bool, typer.Option(help="send warnings to the webhook and by mail")] = True) -> None:
    """Judge the lists of RECPIPE_HORIZON_DAYS before a day, publish outcomes, write the page."""
    from recpipe.config import load_settings
    from recpipe.days import parse_day
    from recpipe.evaluate import evaluate_day, notify, outcome_table

    settings = load_settings()
    found = evaluate_day(settings, parse_day(day))
    say(outcome_table(settings, [parse_day(day)]))
    say(f"The page: {found['report']}")
    notify(settings if send else without_channels(settings), found["warnings"], day)


def without_channels(settings: Settings) -> Settings:
    """Return settings under which notices are logged, and sent nowhere."""
    from pydantic import SecretStr

    return settings.model_copy(update={"webhook": SecretStr(""), "smtp": SecretStr("")})
