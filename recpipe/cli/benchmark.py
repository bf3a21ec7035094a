"""The public protocols, as commands: ``recpipe benchmark …``. A split folder in, lists or predictions out; no scores."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say

benchmark = typer.Typer(no_args_is_help=True, help=__doc__)
app.add_typer(benchmark, name="benchmark")


@benchmark.command()
def ratings(
    split: Annotated[
        Path, typer.Option(help="Folder with warm, support, query and, where there are any, items and users (.parquet).")
    ],
    out: Annotated[Path, typer.Option(help="File to write: the rows of query.parquet with a column prediction.")],
    learner: Annotated[
        str,
        typer.Option(
            help="pooled (default), ridge, ridge-gaussian, ridge-mean, ridge-bare, ridge-encoder, or a closed form: user-mean, support-mean, user-median, damped-bias, item-kernel."
        ),
    ] = "",
    seed: Annotated[int, typer.Option(help="Of training; the same seed gives the same file.")] = 0,
) -> None:
    """Predict the ratings (or likes) of new users, of new items, and of both, each task from its own support."""
    from recpipe.experiments.rating_protocol import run

    run(split, out, learner, seed)


@benchmark.command(name="new-users")
def new_users(
    split: Annotated[Path, typer.Option(help="Folder with events, items, users, support and meta (.parquet).")],
    out: Annotated[Path, typer.Option(help="File to write: k, user_id, rank (1 to 50), item_id.")],
    learner: Annotated[str, typer.Option(help="'default': what training makes; or a learner by name.")] = "default",
    encoder: Annotated[
        str, typer.Option(help="Folder of the text encoder, or multilingual; that of the settings if empty.")
    ] = "",
    tuned_encoder: Annotated[str, typer.Option(help="Folder of an encoder that was fine-tuned on the split's log.")] = "",
    work: Annotated[Path | None, typer.Option(help="Folder for training input and model; under the home if not given.")] = None,
    withhold: Annotated[list[str] | None, typer.Option(help="'age': the learner sees no item age and no sale counts.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Training updates at most.")] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Of everything random; that of the settings if not given.")] = None,
) -> None:
    """Make lists of 50 for users who came after the training log ended, on the way that the nights take."""
    from recpipe.config.settings import load_settings
    from recpipe.experiments.new_users import Task, recommend_new_users

    given = {name: value for name, value in (("seed", seed), ("encoder", encoder or None)) if value is not None}
    settings = load_settings(**given)
    training = {name: value for name, value in (("steps", steps), ("device", device)) if value is not None}
    task = Task(
        split=split,
        out=out,
        work=work or settings.places.work / "benchmark" / split.resolve().name,
        learner=learner,
        encoder=settings.text.encoder,
        tuned=tuned_encoder,
        cache=settings.places.work / "encoder",
        withhold=tuple(withhold or ()),
        training=training,
    )
    recommend_new_users(task, settings)


@benchmark.command()
def peers(
    split: Annotated[Path, typer.Option(help="Folder with events, items, users, support and meta (.parquet).")],
    out_dir: Annotated[Path, typer.Option(help="Folder that gets a file of lists for each model, and its setting.")],
    only: Annotated[list[str] | None, typer.Option(help="'implicit' or 'rectools'; both if not given.")] = None,
    envs: Annotated[Path | None, typer.Option(help="Folder of their environments; under the home if not given.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of everything random.")] = 0,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the packages.")] = 1,
    quick: Annotated[bool, typer.Option(help="One setting and few steps: to try the way, not the quality.")] = False,
) -> None:
    """Serve the same split with implicit's ALS and BM25 and RecTools' SASRec, each in an environment of its own."""
    from recpipe.config.settings import load_settings
    from recpipe.experiments.peers.peer_run import run_peers

    place = envs or load_settings().places.work / "benchmark" / "peers"
    for file in run_peers(split, out_dir, place, only=only or (), seed=seed, threads=threads, quick=quick):
        say(str(file))


@benchmark.command()
def intents(
    data: Annotated[Path, typer.Option(help="Parquet or CSV with the columns split (train, test, train_5 …), text and intent.")],
    out: Annotated[Path, typer.Option(help="File to write (Parquet or CSV): shots, draw, row, text, intent, confidence.")],
    shots: Annotated[list[int] | None, typer.Option(min=1, help="Messages of an intent; 5 and 10 if not given.")] = None,
    draws: Annotated[int, typer.Option(min=0, help="Draws from the split train, beside the published one.")] = 5,
    encoder: Annotated[str, typer.Option(help="Folder of an encoder, or multilingual; all-MiniLM-L6-v2 if empty.")] = "",
    adapt: Annotated[
        str,
        typer.Option(help="labelled: the encoder learns on the few messages; unlabelled: on those of train without intents too."),
    ] = "",
    cache: Annotated[Path | None, typer.Option(help="Folder for vectors that were computed before.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn; the same seed gives the same file.")] = 0,
) -> None:
    """Tell the intents of messages from a few messages of each intent."""
    from recpipe.config.settings import load_settings
    from recpipe.experiments.intent_protocol import Way, run

    way = Way(load_settings(encoder=encoder).text.encoder, adapt, cache)
    run(data, out, shots or [5, 10], draws, way, seed=seed)


@benchmark.command()
def text(
    train: Annotated[Path, typer.Option(help="Parquet or CSV with the columns text and label.")],
    test: Annotated[Path, typer.Option(help="Parquet or CSV with the column text.")],
    out: Annotated[
        Path, typer.Option(help="File to write (Parquet or CSV): label and confidence, in the row order of the test.")
    ],
    encoder: Annotated[
        str, typer.Option(help="Folder of an encoder, or multilingual; 'none': n-grams alone; else all-MiniLM-L6-v2.")
    ] = "",
    cache: Annotated[Path | None, typer.Option(help="Folder for vectors that were computed before.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is drawn; the same seed gives the same file.")] = 0,
) -> None:
    """Classify texts from a few labelled ones of each class."""
    from recpipe.config.settings import load_settings
    from recpipe.experiments.text_protocol import run

    run(train, test, out, load_settings(encoder=encoder).text.encoder, seed=seed, cache=cache)
