"""One pass of a batch of texts through the network: how the texts are changed, what is encoded, what is lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.pair_batches import Batch
from recpipe.training.encoder.word_views import View, drop_words, read_synonyms, replace_synonyms


def text_views(config: Config) -> list[View]:
    """Return the ways in which each text is changed while learning."""
    views = []
    if config.synonyms:
        views.append(replace_synonyms(read_synonyms(Path(config.synonyms)), config.synonym_share))
    if config.word_dropout > 0:
        views.append(drop_words(config.word_dropout))
    return views


@dataclass(frozen=True)
class Pass:
    """A batch of texts, ready to go through the network.

    Attributes
    ----------
    loss
        Encodes the texts and returns what is lost.
    ids
        (texts, length) what is encoded, by its numbers.
    times
        How often it is encoded.
    """

    loss: Callable[[], Any]
    ids: Any
    times: int = 1


def pass_of(
    network: Any, head: Any, tokenizer: Any, texts: list[str], batch: Batch, config: Config, random: np.random.Generator,
    device: Any = "cpu",
) -> Pass:  # fmt: skip
    """Return the pass of a batch by an objective whose loss is one function of the vectors, or of pairs of texts."""
    from recpipe.training.encoder.objectives import pair_loss, pairs_of, unit_vectors, views_loss

    if config.objective == "pairs":
        pairs, labels = pairs_of(batch, config.negatives, random)
        users = [", ".join(texts[t] for t in np.argsort(-row, kind="stable") if row[t] > 0) for row in batch.support]
        both = tokens_of(tokenizer, [users[u] for u, _ in pairs], config, [texts[i] for _, i in pairs]).to(device)
        return Pass(lambda: pair_loss(network, head, both, labels), both["input_ids"])
    tokens = tokens_of(tokenizer, texts, config).to(device)
    loss_of = vector_loss(config)

    def forward() -> Any:
        vectors = unit_vectors(network, tokens)
        loss = loss_of(vectors, batch, config.temperature)
        if config.views > 0:
            loss = loss + config.views * views_loss(vectors, unit_vectors(network, tokens), config.temperature)
        return loss

    return Pass(forward, tokens["input_ids"], 2 if config.views > 0 else 1)


def vector_loss(config: Config) -> Callable[[Any, Batch, float], Any]:
    """Return the loss of an objective as a function of (texts, d) unit vectors, their batch, and the temperature."""
    from recpipe.training.encoder.meta.head_steps import head_loss
    from recpipe.training.encoder.objectives import contrastive_loss, prototypical_loss

    if config.objective == "prototypical":
        return prototypical_loss
    if config.objective == "maml" and config.maml_order == "second-on-head":
        return partial(head_loss, steps=config.inner_steps, rate=config.rate_of_inner_steps)
    return contrastive_loss


def tokens_of(tokenizer: Any, texts: list[str], config: Config, others: list[str] | None = None) -> Any:
    """Return texts as numbers, filled up to the longest of them."""
    limit = config.max_tokens * (2 if others else 1)
    tokens = tokenizer(texts, others, truncation=True, max_length=limit, padding=True, return_tensors="pt")
    if config.method == "prefix":
        tokens.pop("token_type_ids", None)  # peft has no place for them there
    return tokens


def viewed(text: str, views: Sequence[View], random: np.random.Generator) -> str:
    """Return a text, changed in all of the ways."""
    for view in views:
        text = view(text, random)
    return text


def spread(network: Any, strength: float = 0.1) -> Any:
    """Return AdaLoRA's term that keeps the singular vectors of each matrix apart (Zhang et al. 2023, equation 4)."""
    import torch

    total = torch.zeros((), device=next(network.parameters()).device)
    for name, parameter in network.named_parameters():
        if "lora_A" in name or "lora_B" in name:
            gram = parameter @ parameter.T if "lora_A" in name else parameter.T @ parameter
            total = total + (gram - torch.eye(len(gram), device=gram.device)).square().sum()
    return strength * total
