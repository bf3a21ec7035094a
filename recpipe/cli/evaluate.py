"""Commands that judge lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say

if TYPE_CHECKING:
    from recpipe.config.settings import Settings

Day = Annotated[str, typer.Option("--day", help="last day of the behaviour, such as 2011-09-08")]


@app.command()
def evaluate(day: Day, send: Annotated[bool, typer.Option(help="send warnings to the webhook and by mail")] = True) -> None:
    """Judge the lists of RECPIPE_HORIZON_DAYS before a day, publish outcomes, write the page."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.evaluation.day_outcomes import evaluate_day
    from recpipe.evaluation.outcome_text import outcome_table
    from recpipe.evaluation.warnings import notify

    settings = load_settings()
    found = evaluate_day(settings, parse_day(day))
    say(outcome_table(settings, [parse_day(day)]))
    say(f"The page: {found['report']}")
    notify(settings if send else without_channels(settings), found["warnings"], day)


def without_channels(settings: Settings) -> Settings:
    """Return settings under which notices are logged, and sent nowhere."""
    from pydantic import SecretStr

    return settings.changed(webhook=SecretStr(""), smtp=SecretStr(""))


@app.command()
def replay(
    day: Annotated[str, typer.Option("--day", help="last day of the behaviour, such as 2011-08-28")],
    cut: Annotated[
        str, typer.Option("--cut", help="first day whose newcomers are replayed; RECPIPE_REPLAY_DAYS before --day if empty")
    ] = "",
    steps: Annotated[int | None, typer.Option(min=1, help="updates of the training at most; as set if not given")] = None,
    send: Annotated[bool, typer.Option(help="send warnings to the webhook")] = True,
) -> None:
    """Serve those who registered since a cut as if new, by a model trained on the days before; publish replays, write the page."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.evaluation.outcome_text import replay_table
    from recpipe.evaluation.replay.replay_run import replay_day
    from recpipe.evaluation.warnings import notify

    settings = load_settings()
    options = () if steps is None else ("--steps", str(steps))
    found = replay_day(settings, parse_day(day), parse_day(cut) if cut else None, options)
    say(replay_table(settings, parse_day(day)))
    say(f"The page: {found['report']}")
    notify(settings if send else without_channels(settings), found["warnings"], day)
