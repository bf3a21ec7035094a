"""Texts as weighted character n-grams and words: what carries a text in any language, without a model."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

WORD = re.compile(r"\w+", re.UNICODE)
LONGEST = 2000
"""Characters of a text that are read."""


@dataclass(frozen=True)
class Vocabulary:
    """What a text is counted by.

    Attributes
    ----------
    terms
        Column of each term.
    idf
        (terms,) float64.
    """

    terms: dict[str, int]
    idf: NDArray[np.float64]


def terms_of(text: str) -> Counter[str]:
    """Count the words, pairs of words, and the 2- to 5-grams within words of a text (of scripts without spaces, 1-grams too)."""
    words = WORD.findall(text[:LONGEST].lower())
    counts = Counter([f"w {word}" for word in words])
    counts.update(f"p {one} {two}" for one, two in pairwise(words))
    for word in words:
        padded = word if ord(word[0]) > 0x2E7F else f" {word} "  # CJK: a run of characters is no word
        for size in range(1 if ord(word[0]) > 0x2E7F else 2, 6):
            counts.update(padded[at : at + size] for at in range(len(padded) - size + 1))
    return counts


def learn_vocabulary(counted: Sequence[Counter[str]]) -> Vocabulary:
    """Take every term of some texts, and its smoothed inverse document frequency log((1 + n) / (1 + df)) + 1."""
    documents = Counter(term for counts in counted for term in counts)
    names = sorted(documents)
    df = np.array([documents[name] for name in names], np.float64)
    return Vocabulary({name: column for column, name in enumerate(names)}, np.log((1 + len(counted)) / (1 + df)) + 1)


def weigh(counted: Sequence[Counter[str]], vocabulary: Vocabulary) -> sp.csr_matrix:
    """Return (texts, terms) (1 + log count) × idf, rows of unit length; texts without a known term have empty rows."""
    indptr, columns, values = [0], [], []
    for counts in counted:
        known = sorted((vocabulary.terms[term], count) for term, count in counts.items() if term in vocabulary.terms)
        row = np.array([(1 + np.log(count)) * vocabulary.idf[column] for column, count in known])
        columns += [column for column, _ in known]
        values.append(row / max(float(np.linalg.norm(row)), 1e-12))
        indptr.append(len(columns))
    data = np.concatenate(values) if values else np.zeros(0)
    return sp.csr_matrix((data, columns, indptr), shape=(len(counted), len(vocabulary.terms)))
