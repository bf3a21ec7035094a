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
