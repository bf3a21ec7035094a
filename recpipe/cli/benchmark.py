"""The public protocols, as commands: ``recpipe benchmark …``. A split folder in, lists or predictions out; no scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recpipe.cli import app

benchmark = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(benchmark, name="benchmark")


@benchmark.command()
def ratings(
    split: Annotated[
        Path, typer.Option(help="Folder with warm, support, query and, where there are any, items and users (.parquet).")
    ],
    out: Annotated[Path, typer.Option(help="File to write: the rows of query.parquet with a column prediction.")],
    learner: Annotated[str, typer.Option(help="Which way to predict; 'list' prints them.")] = "",
    seed: Annotated[int, typer.Option(help="Of training; the same seed gives the same file.")] = 0,
) -> None:
    """Predict the ratings (or likes) of new users, of new items, and of both, each task from its own support."""
    from recpipe.benchmark.ratings import run

    run(split, out, learner, seed)


@benchmark.command(name="new-users")
def new_users(
    split: Annotated[Path, typer.Option(help="Folder with events, items, users, support and meta (.parquet).")],
    out: Annotated[Path, typer.Option(help="File to write: k, user_id, rank (1 to 50), item_id.")],
    learner: Annotated[str, typer.Option(help="'default': what training makes; or a learner by name.")] = "default",
    encoder: Annotated[str, typer.Option(help="Folder of the text encoder; that of the settings if empty.")] = "",
    work: Annotated[Path | None, typer.Option(help="Folder for training input and model; under the home if not given.")] = None,
    withhold: Annotated[list[str] | None, typer.Option(help="'age': the learner sees no item age and no sale counts.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training updates at most.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random; that of the settings if not given.")] = None,
) -> None:
    """Make lists of 50 for users who came after the training log ended, on the way that the nights take."""
    from recpipe.benchmark.new_users import Task, recommend_new_users
    from recpipe.config import load_settings

    settings = load_settings(**({} if seed is None else {"seed": seed}))
    training = {name: value for name, value in (("steps", steps), ("device", device)) if value is not None}
    task = Task(
        split=split,
        out=out,
        work=work or settings.work / "benchmark" / split.resolve().name,
        learner=learner,
        encoder=encoder or settings.encoder,
        cache=settings.work / "encoder",
        withhold=tuple(withhold or ()),
        training=training,
    )
    recommend_new_users(task, settings)
