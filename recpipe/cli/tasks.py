"""One day of a table, made by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say


@app.command()
def recommend(
    day: Annotated[str, typer.Option("--day", help="the day, such as 2011-09-01")],
    model_version: Annotated[str, typer.Option(help="version to use; by default the one that serves the day")] = "",
    shards: Annotated[int, typer.Option(min=0, help="user shards, one after another; 0: as set. The rows stay the same")] = 0,
) -> None:
    """Make the lists of a day for every user: episodes, ranking, audit, publication."""
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.tables.recommendations.night_publish import recommend_day

    done = recommend_day(load_settings(), parse_day(day), model_version, shards)
    say(
        f"{done['day']}: {done['recommendations']:,} rows of recommendations and {done['episodes']:,} episodes "
        f"by model version {done['model_version']}."
    )


@app.command()
def tasks() -> None:
    """List the tasks: what each does, and which tables it reads."""
    from recpipe.tables.families import TASKS

    for name, task in TASKS.items():
        say(f"{name}: {task.description} Reads {', '.join(task.reads)}.")


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
    from recpipe.config.settings import load_settings
    from recpipe.days import parse_day
    from recpipe.lake.lake import Lake
    from recpipe.pipeline.publish import run_day
    from recpipe.pipeline.task_outcomes import measure_task
    from recpipe.tables.families import task_of

    settings, one = load_settings(), task_of(name)
    if measure:
        for row in measure_task(settings, one, Lake.from_settings(settings).reader(), parse_day(day)).to_pylist():
            value = "too few" if row["value"] is None else f"{row['value']:.4f}"
            say(f"{row['cohort']}  {row['metric']}  {value}  ({row['users']:,} measured)")
        return
    done = run_day(settings, one, parse_day(day), model_version, shards)
    say(f"{done['day']}: {done['rows']:,} rows of {done['task']} by version {done['model_version']}.")
