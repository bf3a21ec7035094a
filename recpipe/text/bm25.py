"""Weights of words in texts by BM25 (Robertson and Zaragoza 2009, section 3.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

SATURATION, LENGTH_SHARE = 1.2, 0.75
"""k1 and b of BM25, as usual (Robertson and Zaragoza 2009, section 3.5)."""


def weigh_terms(counted: Sequence[Mapping[str, int]]) -> tuple[dict[str, int], sp.csr_matrix, NDArray[np.float64]]:
    """Return the terms of some texts, their weights, and how rare each is.

    Parameters
    ----------
    counted
        How often each term is in each text.

    Returns
    -------
    dict
        Column of each term, in the order of terms.
    csr_matrix
        (texts, terms) weights.
    NDArray
        (terms,) rarity.
    """
    names = sorted({word for counts in counted for word in counts})
    terms = {name: at for at, name in enumerate(names)}
    rows = np.repeat(np.arange(len(counted)), [len(counts) for counts in counted]).astype(np.int64)
    columns = np.array([terms[word] for counts in counted for word in counts], np.int64)
    often = np.array([count for counts in counted for count in counts.values()], np.float64)
    idf = rarity(len(counted), np.bincount(columns, minlength=len(names)))
    length = np.array([sum(counts.values()) for counts in counted], np.float64)
    long = 1 - LENGTH_SHARE + LENGTH_SHARE * length / max(float(length.mean()) if len(length) else 1.0, 1e-9)
    value = idf[columns] * often * (SATURATION + 1) / (often + SATURATION * long[rows])
    return terms, sp.csr_matrix((value, (rows, columns)), shape=(len(counted), len(names))), idf


def rarity(texts: int, holding: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how rare terms are that so many of the texts hold."""
    return np.asarray(np.log(1 + (texts - holding + 0.5) / (holding + 0.5)), np.float64)
