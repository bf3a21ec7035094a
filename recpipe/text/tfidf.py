"""Texts as weighted terms (TF-IDF): words, or whatever else a text is counted by, without a model.

scikit-learn's `TfidfTransformer` has the same formula; its import alone costs a process over a second, and every process of
a night weighs texts.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
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


def words_of(text: str) -> list[str]:
    """Return the words of a text in lower case, in their order."""
    return WORD.findall(text.lower())


def terms_of(text: str) -> Counter[str]:
    """Count the words, pairs of words, and the 2- to 5-grams within words of a text (of scripts without spaces, 1-grams too)."""
    words = words_of(text[:LONGEST])
    counts = Counter([f"w {word}" for word in words])
    counts.update(f"p {one} {two}" for one, two in pairwise(words))
    for word in words:
        padded = word if ord(word[0]) > 0x2E7F else f" {word} "  # CJK: a run of characters is no word
        for size in range(1 if ord(word[0]) > 0x2E7F else 2, 6):
            counts.update(padded[at : at + size] for at in range(len(padded) - size + 1))
    return counts


def learn_vocabulary(
    counted: Sequence[Counter[str]], least_texts: int = 1, order: Callable[[Iterable[str]], list[str]] = sorted
) -> Vocabulary:
    """Take the terms of some texts, and their smoothed inverse document frequency log((1 + n) / (1 + df)) + 1.

    Parameters
    ----------
    counted
        What each text holds.
    least_texts
        Terms of fewer texts connect nothing, and are left out.
    order
        Of the columns; ``list``: as the terms come.
    """
    documents = Counter(term for counts in counted for term in counts)
    names = order(term for term, texts in documents.items() if texts >= least_texts)
    df = np.array([documents[name] for name in names], np.float64)
    return Vocabulary({name: column for column, name in enumerate(names)}, np.log((1 + len(counted)) / (1 + df)) + 1)


def weigh(counted: Sequence[Counter[str]], vocabulary: Vocabulary) -> sp.csr_matrix:
    r"""Return (texts, terms) of unit rows: :math:`(1 + \log f_{tw}) (1 + \log \frac{1 + N}{1 + n_w})`.

    Term frequency times inverse document frequency (Salton and Buckley 1988, section 2). Texts without a known term have
    empty rows.
    """
    terms = vocabulary.terms
    known = [sorted((terms[term], count) for term, count in counts.items() if term in terms) for counts in counted]
    indptr = np.r_[0, np.cumsum([len(row) for row in known], dtype=np.int64)]
    columns = np.array([column for row in known for column, _ in row], np.int64)
    data = (1 + np.log(np.array([count for row in known for _, count in row], np.float64))) * vocabulary.idf[columns]
    length = np.array([np.linalg.norm(data[start:end]) for start, end in pairwise(indptr)])
    data /= np.repeat(np.maximum(length, 1e-12), np.diff(indptr))
    return sp.csr_matrix((data, columns, indptr), shape=(len(counted), len(terms)))
