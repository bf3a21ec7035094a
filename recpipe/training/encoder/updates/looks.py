"""Looks at a later window while a run learns: the best weights are kept, and learning ends where it gains no more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from recpipe.models.text_prototype import TextPrototype
from recpipe.training.encoder.before_after import with_vectors
from recpipe.training.encoder.devices.place import Place
from recpipe.training.encoder.meta.inner_steps import copies, put_back
from recpipe.training.encoder.objectives import unit_vectors
from recpipe.training.encoder.state import Course, Progress
from recpipe.training.model_selection import Window
from recpipe.training.quality import measure

TEXTS_AT_ONCE = 128
MAX_TOKENS = 256


def look(course: Course, progress: Progress, window: Window, titles: Sequence[str]) -> float:
    """Return nDCG@10 of text prototypes, without popularity, by the weights as they are; the best ones are kept in the course."""
    ndcg = _seen_by_all(course, window, titles)
    if ndcg > progress.best:
        progress.best, progress.best_step, progress.idle = ndcg, progress.step, 0
        course.best = copies(course.served)
    else:
        progress.idle += 1
    return ndcg


def _seen_by_all(course: Course, window: Window, titles: Sequence[str]) -> float:
    """Return what the first process finds, in all of them."""
    found = torch.zeros(1, dtype=torch.float64)
    if course.place.first:
        found[0] = _quality(course, window, titles)
    return float(course.place.from_first(found)[0])


def _quality(course: Course, window: Window, titles: Sequence[str]) -> float:
    now = copies(course.parameters)
    put_back(course.parameters, course.served)
    course.network.eval()
    vectors = vectors_of(course.network, course.tokenizer, titles, course.place)
    course.network.train()
    put_back(course.parameters, now)
    quality = measure(TextPrototype(popularity_weight=0.0), with_vectors(window.evidence, vectors), window.episodes)
    return float(quality.ndcg.mean())


def vectors_of(network: Any, tokenizer: Any, texts: Sequence[str], place: Place) -> NDArray[np.float32]:
    """Return (texts, d) unit vectors by a network that is learning, on its device: as an encoder gives them, up to rounding."""
    order = sorted(range(len(texts)), key=lambda row: (len(texts[row]), row))
    parts = []
    with torch.no_grad(), place.autocast():
        for start in range(0, len(order), TEXTS_AT_ONCE):
            some = [texts[row] for row in order[start : start + TEXTS_AT_ONCE]]
            tokens = tokenizer(some, truncation=True, max_length=_limit(network), padding=True, return_tensors="pt")
            parts.append(unit_vectors(network, tokens.to(place.device)).float().cpu().numpy())
    out = np.empty((len(texts), parts[0].shape[1] if parts else 0), np.float32)
    if parts:
        out[order] = np.concatenate(parts)
    return out


def _limit(network: Any) -> int:
    """Return the tokens of a text: a prefix takes positions of its own."""
    taken = sum(getattr(config, "num_virtual_tokens", 0) or 0 for config in getattr(network, "peft_config", {}).values())
    return min(MAX_TOKENS, int(getattr(network.config, "max_position_embeddings", MAX_TOKENS)) - taken)
