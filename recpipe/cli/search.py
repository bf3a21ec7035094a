"""Search for settings of training: ``recpipe search``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recpipe.cli.command import app


@app.command()
def search(
    episodes: Annotated[Path, typer.Option(help="Folder of the training input.")],
    out: Annotated[Path, typer.Option(help="Folder of the search; one that is there is gone on from.")],
    trials: Annotated[int, typer.Option(min=1, help="Trials in all, those of earlier calls included.")] = 20,
    learner: Annotated[list[str] | None, typer.Option(help="Only this learner; can be given more than once.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates a trial at most.")] = None,
    seed: Annotated[int, typer.Option(help="Of the proposals.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = None,
    mlflow: Annotated[bool, typer.Option(help="Log the search as an MLflow run, each trial as a run in it.")] = True,
) -> None:
    """Search for the learner and the settings with the best nDCG on the later weeks of a training input.

    ``best.json`` holds the settings that were found, ``trials.csv`` every trial. Unpromising trials are broken off; a search
    that was killed goes on where it was.
    """
    from contextlib import nullcontext
    from dataclasses import replace

    from recpipe.config.settings import load_settings
    from recpipe.registry.trials import logged_trials
    from recpipe.training.tuning import BASE, narrowed
    from recpipe.training.tuning import search as run

    base = replace(BASE, steps=steps or BASE.steps, device=device or BASE.device)
    with logged_trials(load_settings(), out) if mlflow else nullcontext() as hook:
        run(episodes, out, trials, narrowed(learner or ()), seed=seed, base=base, on_trial=hook)
