"""Training: ``recpipe train``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from recpipe.cli.command import app
from recpipe.training.config import read_settings

if TYPE_CHECKING:
    from recpipe.promotion.start_from import Begin


@app.command()
def train(
    episodes: Annotated[Path, typer.Option(help="Folder of the training input.")],
    out: Annotated[Path, typer.Option(help="Model folder to write.")],
    learner: Annotated[str | None, typer.Option(help="Which learner; a name that is none lists them.")] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--from", help="Go on from `champion`, a version's number, models:/NAME/VERSION, or a model folder, with new weeks."
        ),
    ] = None,
    other_shop: Annotated[
        bool | None,
        typer.Option(
            "--other-shop/--same-shop",
            help="With --from: the model is another shop's. With few episodes it stays what it is. Told by the name of models:/NAME/VERSION.",
        ),
    ] = None,
    openings: Annotated[
        int | None,
        typer.Option(min=0, help="Learn from so many openings of a shop, played through in the log: to start other shops."),
    ] = None,
    replay_share: Annotated[float | None, typer.Option(help="With --from: share of updates that are of old weeks.")] = None,
    settings: Annotated[
        Path | None, typer.Option(help="Settings as JSON, such as best.json of `recpipe search`; options given beside it win.")
    ] = None,
    resume: Annotated[bool, typer.Option(help="Go on from the checkpoint in the model folder.")] = True,
    steps: Annotated[int | None, typer.Option(min=1, help="Updates at most.")] = None,
    batch_users: Annotated[int | None, typer.Option(min=1, help="Episodes a batch; fewer need less memory.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Batches an update.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of the numbers that weigh evidence.")] = None,
    projection_learning_rate: Annotated[float | None, typer.Option(help="Of the projections of texts.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = None,
    start_note: Annotated[
        str,
        typer.Option(help="A sentence on what the run goes on from, for its log and summary.json (train_meta_model gives one)."),
    ] = "",
) -> None:
    """Train a model on a training input; a killed run goes on from its checkpoint, to the same bytes.

    ``python -m recpipe.training.loop`` does the same with torch, scipy and safetensors alone, and takes every setting.
    """
    from recpipe.training.config import Config
    from recpipe.training.loop import train as run

    given = {
        "learner": learner,
        "steps": steps,
        "batch_users": batch_users,
        "accumulate": accumulate,
        "learning_rate": learning_rate,
        "projection_learning_rate": projection_learning_rate,
        "device": device,
        "replay_share": replay_share,
        "openings": openings,
    }
    read = read_settings(settings) if settings else {}
    config = Config(**{**read, **{name: value for name, value in given.items() if value is not None}})
    begun, others = find_start(start or "", config.learner), is_of_other_shop(start, other_shop) if start else bool(other_shop)
    note = start_note or begun.said
    run(episodes, out, config, resume=resume, start_from=begun.folder, other_shop=others, start_note=note)


def find_start(start: str, learner: str) -> Begin:
    """Return what a run of a learner goes on from; only for the champion, numbers and models:/ the registry is asked.

    Raises
    ------
    MissingModel
        If the registry has no such version.
    """
    from recpipe.promotion.start_from import Begin, begin

    if start != "champion" and not start.isdecimal() and not start.startswith("models:"):
        return Begin(Path(start) if start else None)
    from recpipe.config.settings import load_settings

    return begin(load_settings(), start, learner)


def is_of_other_shop(start: str, told: bool | None) -> bool:
    """Return whether the model to go on from is another shop's: as told, else by the name of a registered model."""
    if told is not None or not start.startswith("models:"):
        return bool(told)
    from recpipe.config.settings import load_settings
    from recpipe.promotion.start_from import name_start

    named = name_start(load_settings().promotion, start)
    return named is not None and named.other_shop
