"""The state of a fine-tuning run: its parameters, its data, and its checkpoint for a killed run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from recpipe.files import to_json
from recpipe.text.encoder import Encoder
from recpipe.training.encoder.finetune_config import Config


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
        AdamW, and its greatest learning rate.
    noise, average
        See `steady`; None where they are not asked for.
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

    @property
    def count(self) -> int:
        """Numbers that are taught."""
        return sum(parameter.numel() for parameter in self.parameters.values())


def begin(config: Config, source: Encoder) -> Course:
    """Open the network of an encoder and prepare what the method teaches."""
    import torch

    from recpipe.text.loaders import open_model
    from recpipe.training.encoder import methods
    from recpipe.training.encoder.adversarial import EmbeddingNoise
    from recpipe.training.encoder.ema import Average

    model = open_model(source.folder)
    sizes = methods.Sizes(config.top_layers, config.rank, config.adapter_size, config.prefix_tokens)
    torch.manual_seed(config.seed)
    network = methods.prepare(model.network, config.method, sizes, config.steps)
    _set_dropout(network, config.dropout)
    head = torch.nn.Linear(source.dimensions, 2) if config.objective == "pairs" else None
    parameters = methods.taught(network) | ({f"head.{n}": p for n, p in head.named_parameters()} if head else {})
    rate = config.learning_rate or methods.LEARNING_RATES[config.method]
    optimiser = torch.optim.AdamW(list(parameters.values()), lr=rate, weight_decay=config.weight_decay)
    noise = EmbeddingNoise(network, config.adversarial) if config.adversarial > 0 else None
    average = Average(parameters, config.average) if config.average >= 0 else None
    return Course(network, head, model.tokenizer, sizes, parameters, optimiser, rate, noise, average)


def _set_dropout(network: Any, share: float) -> None:
    import torch

    if share >= 0:
        for part in network.modules():
            if isinstance(part, torch.nn.Dropout):
                part.p = share


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
    """

    run: str
    file: Path
    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)


def resume(course: Course, config: Config, source: Encoder, identity: str, out_dir: Path, say: Callable[[str], None]) -> Progress:
    """Go on from where a killed run of the same settings and input was; from the start where there is none.

    ``identity`` is the text of the input's ``facts.json``, which says which one it is.
    """
    import torch

    from recpipe.training import checkpoint

    said = [asdict(config), source.fingerprint, identity]
    progress = Progress(hashlib.sha256(to_json(said)).hexdigest(), out_dir / "checkpoint.safetensors")
    found = checkpoint.read_checkpoint(progress.file, "cpu")
    if found and found[1]["run"] == progress.run:
        groups, state = found
        progress.step, progress.rows, progress.losses = state["step"], state["rows"], state["losses"]
        with torch.no_grad():
            for name, parameter in course.parameters.items():
                parameter.copy_(groups["now"][name])
        checkpoint.restore_optimiser(course.optimiser, course.parameters, groups)
        if course.average:
            course.average.values, course.average.seen = groups["average"], state["seen"]
        say(f"going on from step {progress.step}")
    return progress


def keep(course: Course, progress: Progress) -> None:
    """Write the checkpoint."""
    from recpipe.training import checkpoint

    average = course.average
    held = {"average": average.values} if average else {}
    groups = {"now": course.parameters, **held, **checkpoint.optimiser_tensors(course.optimiser, course.parameters)}
    state = {"run": progress.run, "step": progress.step, "rows": progress.rows, "losses": progress.losses}
    checkpoint.write_checkpoint(progress.file, groups, {**state, "seen": average.seen if average else 0})
