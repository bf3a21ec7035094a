"""Commands that run a task by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe.cli import app
from recpipe.printable import say


@app.command()
def tasks() -> None:
    """List the tasks: what each does, and which tables it reads."""
    from recpipe.tasks import TASKS

    for name, task in TASKS.items():
        say(f"{name}: {task.says} Reads {', '.join(task.reads)}.")


@app.command()
def task(
    name: Annotated[str, typer.Argument(help="the task, as `recpipe tasks` lists it")],
    day: Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01")],
    model_version: Annotated[str, typer.Option(help="version of the registry to use, for tasks that ask a model")] = "",
    shards: Annotated[int, typer.Option(min=0, help="parts, one after another; 0: as set. The rows stay the same")] = 0,
    measure: Annotated[
        bool,
        typer.Option("--measure", help="make nothing: show what became, by that day, of the rows of RECPIPE_HORIZON_DAYS before"),
    ] = False,
) -> None:
    """Make a day of a task's table: rows, audit, publication."""
    from recpipe import rails
    from recpipe.config import load_settings
    from recpipe.days import parse_day
    from recpipe.lake import Lake
    from recpipe.tasks import task_of

    settings, one = load_settings(), task_of(name)
    if measure:
        for row in rails.measure_task(settings, one, Lake.from_settings(settings).reader(), parse_day(day)).to_pylist():
            value = "too few" if row["value"] is None else f"{row['value']:.4f}"
            say(f"{row['cohort']}  {row['metric']}  {value}  ({row['users']:,} measured)")
        return
    done = rails.run_day(settings, one, parse_day(day), model_version, shards)
    say(f"{done['day']}: {done['rows']:,} rows of {done['task']} by version {done['model_version']}.")
