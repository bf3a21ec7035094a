"""Texts as a few numbers by the words they share: latent semantic analysis, beside what an encoder makes of them.

A pretrained encoder knows what words mean and blurs which ones stand there; a shop's own titles tell its kinds of products apart by
single words. The two side by side tell more than either (docs/benchmarks/text-classes.md).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.text import tfidf
from recpipe.text.subspace import leading_axes
from recpipe.text.tfidf import LONGEST, Vocabulary, learn_vocabulary, weigh

AXES = 256
MOST_TEXTS = 20_000
"""Texts that the axes are learned from at most, evenly spaced among those given."""
LEAST_TEXTS = 2
"""Texts that a word must stand in to count."""
WEIGHT = 0.7
"""Length of the words' part beside the deviation of an encoder's vectors from their mean."""


@dataclass(frozen=True)
class Words:
    """Learned words and axes.

    Attributes
    ----------
    vocabulary
        Words that stand in at least `LEAST_TEXTS` of the texts.
    axes
        (words, axes) float32; nothing, where no word stands in two texts.
    """

    vocabulary: Vocabulary
    axes: NDArray[np.float32]

    def vectors(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (texts, axes) of unit length; zeros for a text without a known word."""
        found = np.asarray(weigh([words_of(text) for text in texts], self.vocabulary).astype(np.float32) @ self.axes)
        return np.asarray(found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12), np.float32)


def words_of(text: str) -> Counter[str]:
    """Count the words of a text; of scripts without spaces between words, characters and pairs of them."""
    found: Counter[str] = Counter()
    for word in tfidf.words_of(text[:LONGEST]):
        if ord(word[0]) > 0x2E7F:
            found.update(word)
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        else:
            found[word] += 1
    return found


def learn_words(texts: Sequence[str]) -> Words:
    """Learn the axes of some texts (Deerwester et al. 1990), by subspace iteration from a fixed start (Halko et al. 2011, 4.4).

    Parameters
    ----------
    texts
        Their order matters where there are more than `MOST_TEXTS`, so it must be the same for the same texts.
    """
    step = max(len(texts) / MOST_TEXTS, 1.0)
    counted = [words_of(texts[int(at * step)]) for at in range(min(len(texts), MOST_TEXTS))]
    vocabulary = learn_vocabulary(counted, LEAST_TEXTS)
    matrix = weigh(counted, vocabulary)
    return Words(vocabulary, leading_axes(matrix, min(AXES, *matrix.shape))[0].astype(np.float32))


def spread_of(vectors: NDArray[np.float32]) -> float:
    """Return the deviation of (texts, d) unit vectors from their mean, 0 to 1: encoders differ in how much of a vector all texts share."""
    mean = vectors.mean(0, dtype=np.float64) if len(vectors) else np.zeros(vectors.shape[1])
    return float(np.sqrt(max(1 - mean @ mean, 0.0)))


def beside(vectors: NDArray[np.float32], words: NDArray[np.float32], spread: float) -> NDArray[np.float32]:
    """Return (texts, d + axes): an encoder's vectors, and the words' with a length of `WEIGHT` times the spread of its vectors."""
    return np.hstack([vectors, np.float32(WEIGHT * spread) * words])
