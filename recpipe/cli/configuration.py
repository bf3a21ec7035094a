"""The settings as they are read here."""

from __future__ import annotations

import json
from dataclasses import asdict
from itertools import groupby
from typing import Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say


@app.command()
def config(
    as_json: Annotated[bool, typer.Option("--json", help="one object for each setting")] = False,
    changed: Annotated[bool, typer.Option("--changed", help="only those that are no default")] = False,
) -> None:
    """Print every setting with its value, where it comes from (default, a file, environment) and its meaning; no secret."""
    from recpipe.config.explanation import DEFAULT, explained

    found = [one for one in explained() if not changed or one.source != DEFAULT]
    if as_json:
        say(json.dumps([asdict(one) for one in found], indent=2))
        return
    for part, settings in groupby(found, lambda one: one.part):
        say(f"[{part}]")
        for one in settings:
            say(f"{one.variable}={one.value}  ({one.source})\n    {one.meaning}")
