"""A small student that gives a teacher's vectors, or an ensemble's likenesses (Hinton et al. 2015; Sanh et al. 2019)."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting, TrainingFailed
from recpipe.files import to_json, write_whole
from recpipe.text.encoder import load_encoder
from recpipe.text.loaders import open_model
from recpipe.training.encoder.methods import Sizes, save_encoder


@dataclass(frozen=True)
class Student:
    """What the student is, and how it learns.

    Attributes
    ----------
    layers
        Of the source's layers so many are kept, evenly, the first and the last among them.
    width
        0: as wide as the source, with its weights. Else a narrower network of this width that starts at random; it needs
        many more texts.
    steps, batch_texts, learning_rate
        Updates, texts an update, AdamW's rate.
    max_tokens
        Where texts are cut while learning.
    seed, threads
        Of all that is drawn; of torch.
    """

    layers: int = 3
    width: int = 0
    steps: int = 200
    batch_texts: int = 32
    learning_rate: float = 2e-4
    max_tokens: int = 48
    seed: int = 0
    threads: int = 1


def distill(
    encoder: str, texts: Sequence[str], out: Path, student: Student = Student(), targets: NDArray[np.float32] | None = None
) -> dict[str, Any]:
    """Teach a student on some texts and write its encoder folder.

    Targets of the student's own width are met by cosine. Of any other width (an ensemble's vectors side by side, each
    scaled by its share), the likenesses of the texts within a batch are met instead: V Vᵀ (Tung and Mori 2019).

    Parameters
    ----------
    encoder
        Folder of the network that the student is cut from, and of the teacher where no targets are given; empty for the
        wheel's.
    texts
        Those the student learns from; no labels. A tenth is held back to say how near it came.
    out
        Encoder folder to write.
    targets
        (texts, d) unit vectors of a teacher or an ensemble.

    Returns
    -------
    dict
        Layers, parameters, loss, and the mean cosine (or, of other widths, the correlation of likenesses) on texts held back.

    Raises
    ------
    BadSetting
        If there are fewer than 20 texts, or the network has no layers to leave out.
    TrainingFailed
        If the loss is no number.
    """
    import torch

    unique = sorted(set(texts))
    if len(unique) < 20:
        raise BadSetting(f"Distillation needs at least 20 different texts; {len(unique)} were given.")
    source = load_encoder(encoder)
    torch.set_num_threads(student.threads)
    torch.manual_seed(student.seed)
    if targets is None:
        wanted = source.encode(unique)
    else:
        place = {text: row for row, text in enumerate(texts)}
        wanted = np.asarray(targets, np.float32)[[place[text] for text in unique]]
    order = np.random.default_rng(student.seed).permutation(len(unique))
    held, learned = order[: len(unique) // 10], order[len(unique) // 10 :]
    model = open_model(source.folder)
    network = small_network(model.network, student)
    optimiser = torch.optim.AdamW(network.parameters(), lr=student.learning_rate, weight_decay=0.01)
    began, losses = time.monotonic(), []
    network.train()
    for step in range(student.steps):
        rows = np.random.default_rng([student.seed, step]).choice(learned, min(student.batch_texts, len(learned)), replace=False)
        torch.manual_seed(student.seed * 1_000_003 + step)
        loss = _loss(network, model.tokenizer, [unique[row] for row in rows], torch.from_numpy(wanted[rows]), student)
        for group in optimiser.param_groups:
            group["lr"] = student.learning_rate * min((step + 1) / 10, 1 - step / student.steps)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        losses.append(float(loss.detach()))
        if not np.isfinite(losses[-1]):
            raise TrainingFailed(f"Distillation broke off at step {step}: the loss is {losses[-1]}. Lower the learning rate.")
        if (step + 1) % 20 == 0 or step + 1 == student.steps:
            pace = student.batch_texts * (step + 1) / (time.monotonic() - began)
            print(f"step {step + 1} of {student.steps}: loss {np.mean(losses[-20:]):.4f}, {pace:.0f} texts/s", flush=True)
    save_encoder(network.eval(), "full", Sizes(), source.folder, out)
    write_whole(out / "config.json", network.config.to_json_string().encode())
    found = load_encoder(str(out)).encode([unique[row] for row in held])
    facts = {
        "layers": student.layers,
        "parameters": sum(parameter.numel() for parameter in network.parameters()),
        "loss": float(np.mean(losses[-20:])),
        "held_back": nearness(found, wanted[held]),
        "texts": len(learned),
    }
    write_whole(out / "distilled.json", to_json(facts))
    print(json.dumps(facts), flush=True)
    return facts


def small_network(network: Any, student: Student) -> Any:
    """Return the network with fewer layers, or a narrower one that starts at random."""
    from torch.nn import ModuleList
    from transformers import AutoModel

    lists = [(len(part), name, part) for name, part in network.named_modules() if isinstance(part, ModuleList)]
    if not lists or not 1 <= student.layers <= max(lists)[0]:
        most = max(lists)[0] if lists else 0
        raise BadSetting(f"A student of {student.layers} layers cannot be cut from a network of {most}.")
    most, name, part = max(lists, key=lambda found: found[:2])
    kept = np.unique(np.linspace(0, most - 1, student.layers).round().astype(int)) if student.layers > 1 else [most - 1]
    network.config.num_hidden_layers = student.layers
    if student.width:
        heads = max(1, network.config.num_attention_heads * student.width // network.config.hidden_size)
        ratio = network.config.intermediate_size // network.config.hidden_size
        network.config.update(
            {"hidden_size": student.width, "num_attention_heads": heads, "intermediate_size": ratio * student.width}
        )
        return AutoModel.from_config(network.config)  # type: ignore[no-untyped-call]
    parent, _, leaf = name.rpartition(".")
    setattr(network.get_submodule(parent), leaf, ModuleList([part[int(layer)] for layer in kept]))
    return network


def nearness(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Return the mean cosine of vectors, or, of different widths, the correlation of their likenesses between texts."""
    if found.shape == wanted.shape:
        return float((found * wanted).sum(1).mean())
    pair = np.triu_indices(len(found), 1)
    return float(np.corrcoef((found @ found.T)[pair], (wanted @ wanted.T)[pair])[0, 1])


def _loss(network: Any, tokenizer: Any, texts: list[str], wanted: Any, student: Student) -> Any:
    from recpipe.training.encoder.objectives import unit_vectors

    tokens = tokenizer(texts, truncation=True, max_length=student.max_tokens, padding=True, return_tensors="pt")
    vectors = unit_vectors(network, tokens)
    if vectors.shape == wanted.shape:
        return 1 - (vectors * wanted).sum(1).mean()
    return (vectors @ vectors.T - wanted @ wanted.T).square().mean()
