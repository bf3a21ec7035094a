"""Texts as weighted words, for shops whose words say more than their meaning."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from recpipe.text.tfidf import learn_vocabulary, weigh, words_of


def weigh_words(texts: Sequence[str], least_texts: int = 2) -> sp.csr_matrix:
    """Return (texts, words) float32 of unit rows, as `recpipe.text.tfidf.weigh` weighs the words of texts in lower case.

    Parameters
    ----------
    texts
        One text an item.
    least_texts
        Words of fewer texts connect nothing and are left out.
    """
    counted = [Counter(words_of(text)) for text in texts]
    return weigh(counted, learn_vocabulary(counted, least_texts, order=list)).astype(np.float32)
