"""The match of short texts with longer ones: by words (BM25), by letters (trigrams) and by meaning (vectors)."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.text.bm25 import SATURATION, rarity, weigh_terms
from recpipe.text.spelling import Spelling, learn_spelling
from recpipe.text.tfidf import Vocabulary, learn_vocabulary, weigh

KINDS: Final = ("words", "letters", "meaning")
"""What speaks for an item, in the order of `evidence`."""
UNSPACED: Final = "\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff"
"""Letters of writing without blanks between words, as in a class of a regular expression."""
WORD: Final = re.compile(rf"[{UNSPACED}]+|[^\W{UNSPACED}]+")
RUN: Final = re.compile(rf"[{UNSPACED}]")
ACCENTS: Final = re.compile("[\u0300-\u036f]")
GRAM: Final = 3


def fold(text: str) -> str:
    """Return a text without what does not tell words apart: case, accents, width of letters, apostrophes."""
    plain = ACCENTS.sub("", unicodedata.normalize("NFKD", text.replace("’", "'")))
    return unicodedata.normalize("NFC", plain).casefold().replace("'", "")


def stem(word: str) -> str:
    """Return a folded word without the s of a plural.

    >>> [stem(word) for word in ("shampoos", "brushes", "berries", "glass", "gas")]
    ['shampoo', 'brush', 'berry', 'glass', 'gas']
    """
    if len(word) < 4 or not word.endswith("s") or word.endswith("ss"):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    return word[:-2] if word.endswith(("xes", "ches", "shes", "sses", "zes")) else word[:-1]


def words_of(text: str) -> list[str]:
    """Return the stems of a folded text in their order; writing without blanks becomes pairs of letters."""
    found: list[str] = []
    for run in WORD.findall(text):
        found += [run[at : at + 2] for at in range(max(len(run) - 1, 1))] if RUN.match(run) else [stem(run)]
    return found


def letters_of(text: str) -> Counter[str]:
    """Count the trigrams within the words of a folded text; of writing without blanks, letters and pairs."""
    counts: Counter[str] = Counter()
    for run in WORD.findall(text):
        if RUN.match(run):
            counts.update(run)
            counts.update(run[at : at + 2] for at in range(len(run) - 1))
        else:
            padded = f" {run} "
            counts.update(padded[at : at + GRAM] for at in range(len(padded) - GRAM + 1))
    return counts


@dataclass(frozen=True)
class Index:
    """Texts that can be searched.

    Attributes
    ----------
    terms
        Column of each word in ``weights``.
    weights
        (texts, words) what a word counts in a text: idf × saturated frequency, below idf × (k1 + 1).
    by_word
        The same, for looking up the texts of a word.
    idf
        (words,) how rare a word is; ``rarest`` is that of a word that stands nowhere.
    letters, grams
        Trigrams, and (texts, trigrams) of unit rows.
    vectors
        (texts, d) of unit length, by the encoder.
    """

    terms: dict[str, int]
    weights: sp.csr_matrix
    by_word: sp.csc_matrix
    idf: NDArray[np.float64]
    rarest: float
    letters: Vocabulary
    grams: sp.csr_matrix
    vectors: NDArray[np.float32]

    @cached_property
    def spelling(self) -> Spelling:
        """The words of the texts, to find what was meant by one that is none of them."""
        often = np.diff(self.by_word.indptr).tolist()
        return learn_spelling({word: often[column] for word, column in self.terms.items()})


def index_texts(texts: Sequence[str], vectors: NDArray[np.float32]) -> Index:
    """Make texts searchable.

    Parameters
    ----------
    texts
        Folded (`fold`).
    vectors
        (texts, d) unit vectors of the same.
    """
    counted = [Counter(words_of(text)) for text in texts]
    terms, weights, idf = weigh_terms(counted)
    grams = [letters_of(text) for text in texts]
    letters = learn_vocabulary(grams)
    rarest = float(rarity(len(texts), np.zeros(1, np.int64))[0])
    return Index(terms, weights, weights.tocsc(), idf, rarest, letters, weigh(grams, letters), vectors)


def evidence(
    index: Index, words: Sequence[Sequence[str]], texts: Sequence[str], vectors: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return (kinds, queries, texts): how much each kind of evidence (`KINDS`) says for each text.

    ``words`` is BM25 (Robertson and Zaragoza 2009, section 3.4) over the most that the query could have, 0 to 1; ``letters``
    the cosine of trigrams, 0 to 1; ``meaning`` the cosine of the vectors.

    Parameters
    ----------
    index
        What is searched.
    words
        Stems of each query (`words_of`), each counted once.
    texts
        Each query, folded.
    vectors
        (queries, d) unit vectors.
    """
    asked = [sorted(set(some)) for some in words]
    most = [sum(index.idf[index.terms[w]] if w in index.terms else index.rarest for w in some) for some in asked]
    known = [[index.terms[w] for w in some if w in index.terms] for some in asked]
    indptr = np.r_[0, np.cumsum([len(some) for some in known])].astype(np.int64)
    flat = np.array([column for some in known for column in some], np.int64)
    query = sp.csr_matrix((np.ones(len(flat)), flat, indptr), shape=(len(asked), len(index.terms)))
    best = np.maximum(np.array(most, np.float64) * (SATURATION + 1), 1e-12)
    lexical = np.asarray((query @ index.weights.T).todense(), np.float64) / best[:, None]
    grams = weigh([letters_of(text) for text in texts], index.letters)
    letters = np.asarray((grams @ index.grams.T).todense(), np.float64)
    meaning = np.asarray(vectors @ index.vectors.T, np.float64)
    return np.stack([lexical, letters, meaning])


def holding(index: Index, word: str) -> tuple[NDArray[np.bool_], float]:
    """Return (texts,) which hold a stem, and how rare it is."""
    found = np.zeros(index.weights.shape[0], np.bool_)
    column = index.terms.get(word)
    if column is None:
        return found, index.rarest
    found[index.by_word.indices[index.by_word.indptr[column] : index.by_word.indptr[column + 1]]] = True
    return found, float(index.idf[column])


def word_shares(index: Index, words: Sequence[str], row: int) -> dict[str, float]:
    """Return the words of a query that stand in a text, each with what it adds to BM25, the greatest first."""
    own = index.weights.indices[index.weights.indptr[row] : index.weights.indptr[row + 1]]
    value = index.weights.data[index.weights.indptr[row] : index.weights.indptr[row + 1]]
    held = dict(zip(own.tolist(), value.tolist(), strict=True))
    found = {word: held[index.terms[word]] for word in words if index.terms.get(word) in held}
    return dict(sorted(found.items(), key=lambda pair: (-pair[1], pair[0])))
