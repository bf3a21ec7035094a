"""The command that makes the lists of a day."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe.cli import app
from recpipe.printable import say


@app.command()
def recommend(
    day: Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01")],
    model_version: Annotated[str, typer.Option(help="version to use; by default the one that serves the day")] = "",
    shards: Annotated[int, typer.Option(min=0, help="user shards, one after another; 0: as set. The rows stay the same")] = 0,
) -> None:
    """Make the lists of a day for every user: episodes, ranking, audit, publication."""
    from recpipe.config import load_settings
    from recpipe.days import parse_day
    from recpipe.recommend import recommend_day

    done = recommend_day(load_settings(), parse_day(day), model_version, shards)
    say(
        f"{done['day']}: {done['recommendations']:,} rows of recommendations and {done['episodes']:,} episodes "
        f"by model version {done['model_version']}."
    )
