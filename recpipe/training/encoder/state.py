"""The state of a fine-tuning run: its parameters, its data, and its checkpoint for a killed run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recpipe.files import to_json
from recpipe.text.encoder import Encoder
from recpipe.training.encoder.devices.place import Place
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.optimisation import optimisers
from recpipe.training.encoder.optimisation.rank_plan import plan_of, restore_plan


@dataclass
class Course:
    """A network with what teaches it.

    Attributes
    ----------
    network, head, tokenizer
        The network; the classifier of pairs, None for prototypes; what cuts texts.
    sizes
        Of the method (`methods.Sizes`).
    parameters
        What is taught, by name.
    optimiser, rate
        See `optimisers.make_optimiser`, and its greatest learning rate.
    noise, average
        See `adversarial` and `ema`; None where they are not asked for.
    place
        Where it lies.
    ranks
        Whether the method plans ranks (AdaLoRA).
    best
        The best weights of the looks so far, by name; empty without looks.
    """

    network: Any
    head: Any
    tokenizer: Any
    sizes: Any
    parameters: dict[str, Any]
    optimiser: Any
    rate: float
    noise: Any
    average: Any
    place: Place
    ranks: bool
    best: dict[str, Any] = field(default_factory=dict)

    @property
    def served(self) -> dict[str, Any]:
        """The weights that a folder would hold now, by name: those of the average where there is one."""
        return self.average.values if self.average else self.parameters

    @property
    def count(self) -> int:
        """Numbers that are taught."""
        return sum(parameter.numel() for parameter in self.parameters.values())


def begin(config: Config, source: Encoder, place: Place) -> Course:
    """Open the network of an encoder and prepare what the method teaches."""
    import torch

    from recpipe.text.loaders import open_model
    from recpipe.training.encoder import methods
    from recpipe.training.encoder.adversarial import EmbeddingNoise
    from recpipe.training.encoder.optimisation.ema import Average

    model = open_model(source.folder)
    sizes = methods.Sizes(config.top_layers, config.rank, config.adapter_size, config.prefix_tokens)
    torch.manual_seed(config.seed)
    network = methods.prepare(model.network, config.method, sizes, config.steps)
    _set_dropout(network, config.dropout)
    if config.gradient_checkpointing:
        network.activation_checkpointing_enable({"use_reentrant": False})
    network = network.to(place.device)
    head = torch.nn.Linear(source.dimensions, 2).to(place.device) if config.objective == "pairs" else None
    parameters = methods.taught(network) | ({f"head.{n}": p for n, p in head.named_parameters()} if head else {})
    rate = config.learning_rate or methods.LEARNING_RATES[config.method]
    optimiser = optimisers.make_optimiser(config.optimiser, list(parameters.values()), rate, config.weight_decay)
    noise = EmbeddingNoise(network, config.adversarial) if config.adversarial > 0 else None
    average = Average(parameters, config.average) if config.average >= 0 else None
    ranks = config.method == "adalora"
    return Course(network, head, model.tokenizer, sizes, parameters, optimiser, rate, noise, average, place, ranks)


def _set_dropout(network: Any, share: float) -> None:
    import torch

    if share >= 0:
        for part in network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = share


KEPT = ("step", "rows", "losses", "best", "best_step", "idle")
"""What a checkpoint holds of `Progress`."""


@dataclass
class Progress:
    """How far a run has come.

    Attributes
    ----------
    run
        Hash of the settings, the encoder and the training input: a checkpoint of another run counts for nothing.
    file
        The checkpoint.
    step
        Updates that are done.
    rows, losses
        What stands in ``metrics.jsonl``; losses since its last row.
    best, best_step, idle
        The greatest nDCG of the looks, after how many updates, and how many looks came since; −1 before the first.
    """

    run: str
    file: Path
    step: int = 0
    best: float = -1.0
    best_step: int = 0
    idle: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def resume(course: Course, config: Config, source: Encoder, identity: str, out_dir: Path, say: Callable[[str], None]) -> Progress:
    """Go on from where a killed run of the same settings and input was; from the start where there is none.

    ``identity`` is the text of the input's ``facts.json``, which says which one it is.
    """
    from recpipe.training import checkpoint

    alike = {
        **asdict(config),
        "accumulate": config.accumulate * course.place.size,
    }  # shared out over processes it is the same run
    said = [alike, source.fingerprint, identity]
    progress = Progress(hashlib.sha256(to_json(said)).hexdigest(), out_dir / "checkpoint.safetensors")
    found = checkpoint.read_checkpoint(progress.file, str(course.place.device))
    if found and found[1]["run"] == progress.run:
        _go_on(course, progress, *found)
        say(f"going on from step {progress.step}")
    return progress


def _go_on(course: Course, progress: Progress, groups: dict[str, dict[str, Any]], state: dict[str, Any]) -> None:
    import torch

    for name in KEPT:
        setattr(progress, name, state[name])
    with torch.no_grad():
        for name, parameter in course.parameters.items():
            parameter.copy_(groups["now"][name])
    optimisers.restore_memory(course.optimiser, course.parameters, groups)
    course.best = groups.get("best", {})
    if course.average:
        course.average.values, course.average.seen = groups["average"], state["seen"]
    if course.ranks:
        restore_plan(course.network, groups, state["ranks"])


def keep(course: Course, progress: Progress) -> None:
    """Write the checkpoint."""
    from recpipe.training import checkpoint

    average = course.average
    ranks, plan = plan_of(course.network) if course.ranks else ({}, {})
    memory = optimisers.memory_of(course.optimiser, course.parameters)
    groups = {"now": course.parameters, "best": course.best, "average": average.values if average else {}, **memory, **ranks}
    state = {"run": progress.run, "seen": average.seen if average else 0, "ranks": plan}
    checkpoint.write_checkpoint(progress.file, groups, {**state, **{name: getattr(progress, name) for name in KEPT}})
