"""Texts as weighted words, for shops whose words say more than their meaning."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

WORD = re.compile(r"\w+", re.UNICODE)


def weigh_words(texts: Sequence[str], least_texts: int = 2) -> sp.csr_matrix:
    r"""Return (texts, words) of unit rows: :math:`(1 + \log f_{tw}) (1 + \log \frac{1 + N}{1 + n_w})`.

    Term frequency times inverse document frequency (Salton and Buckley 1988, section 2), in lower case. Rows of texts
    without a counted word are zeros.

    Parameters
    ----------
    texts
        One text an item.
    least_texts
        Words of fewer texts connect nothing and are left out.
    """
    words: dict[str, int] = {}
    column = [[words.setdefault(word, len(words)) for word in WORD.findall(text.lower())] for text in texts]
    row = np.repeat(np.arange(len(texts)), [len(found) for found in column])
    flat = np.array([word for found in column for word in found], np.int64)
    counts = sp.csr_matrix((np.ones(len(flat)), (row, flat)), shape=(len(texts), max(len(words), 1)))
    counts.sum_duplicates()
    known = np.bincount(counts.indices, minlength=counts.shape[1])
    counts = sp.csr_matrix(counts[:, known >= least_texts])
    known = known[known >= least_texts]
    counts.data = 1 + np.log(counts.data)
    weighted = sp.csr_matrix(counts @ sp.diags(1 + np.log((1 + len(texts)) / (1 + known))))
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    scale = np.divide(1.0, length, out=np.zeros_like(length), where=length > 0)
    return sp.csr_matrix(sp.diags(scale) @ weighted).astype(np.float32)
