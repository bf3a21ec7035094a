"""Blocks of features from columns of any kind; their inner products say how alike two rows are."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.models.ratings.ratings import Columns, Floats
from recpipe.text.tfidf import learn_vocabulary, weigh, words_of

Encode = Callable[[Sequence[str]], NDArray[np.float32]]
WORDS_OF_A_TEXT = 10
FEW_VALUES = 12
CODES = 50
DENSE = 0.2
BRACKETS = re.compile(r"\([^)]*\)")
SEPARATORS = re.compile(r"[|,;]")


@dataclass(frozen=True)
class Block:
    """One view of the rows.

    Attributes
    ----------
    name
        Column, and how it was read.
    rows
        (rows, features) sparse, each row of length 1, or 0 where nothing is said.
    """

    name: str
    rows: sp.csr_matrix

    def kernel(self, left: NDArray[np.intp], right: NDArray[np.intp]) -> Floats:
        """Return (left, right) inner products of rows."""
        a, b = self.rows[left], self.rows[right]
        if self.rows.nnz > DENSE * np.prod(self.rows.shape):
            return np.asarray(a.toarray() @ b.toarray().T)
        return np.asarray((a @ b.T).toarray())

    def squares(self) -> Floats:
        """Return (rows,) squared lengths: the diagonal of the kernel."""
        return np.asarray(self.rows.multiply(self.rows).sum(1)).ravel()


def blocks_of(columns: Columns, encode: Encode | None = None) -> list[Block]:
    """Read every column as what it looks like: numbers, categories, lists joined by ``| , ;``, names, or texts.

    Parameters
    ----------
    columns
        Of one table; a column that says the same everywhere is left out.
    encode
        Turns texts into unit vectors; without it texts are words only.
    """
    found: list[Block] = []
    for name in sorted(columns):
        found += _read(name, list(columns[name]), encode)
    return [block for block in found if block.rows.shape[1] > 1]


def _read(name: str, values: list[Any], encode: Encode | None) -> list[Block]:
    texts = ["" if _missing(value) else str(value).strip() for value in values]
    filled = [text for text in texts if text]
    distinct = len(set(filled))
    if distinct < 2:
        return []
    numbers = _numbers(texts)
    if distinct > FEW_VALUES and np.isfinite(numbers).sum() >= 0.95 * len(filled):
        codes = [Block(f"{name}, parts", weighted(texts, _parts))] if distinct <= CODES else []
        return [*codes, Block(f"{name}, near", bumps(numbers, 0.2)), Block(f"{name}, far", bumps(numbers, 1.0))]
    words = Block(f"{name}, words", weighted(texts, _words))
    if np.mean([len(text.split()) for text in filled]) >= WORDS_OF_A_TEXT:
        return [words, *_encoded(name, texts, encode)]
    parts = Block(f"{name}, parts", weighted(texts, _parts))
    return [parts] if distinct <= FEW_VALUES else [parts, words]


def _missing(value: Any) -> bool:
    return value is None or value != value


def _numbers(texts: list[str]) -> Floats:
    out = np.full(len(texts), np.nan)
    for row, text in enumerate(texts):
        try:
            out[row] = float(text)
        except ValueError:
            continue
    return np.where(np.isfinite(out), out, np.nan)


def bumps(numbers: Floats, width: float) -> sp.csr_matrix:
    """Return (rows, bumps) Gaussian bumps along a number; rows of length 1, a missing number is a row of zeros.

    Their inner products fall with the distance of two numbers; ``width`` is in standard deviations. The ends of the
    range are at most 4 standard deviations from the mean.
    """
    scaled = np.clip((numbers - np.nanmean(numbers)) / (np.nanstd(numbers) or 1.0), -4, 4)
    centres = np.arange(np.nanmin(scaled) - width, np.nanmax(scaled) + 2 * width, width)
    out = np.exp(-0.5 * ((scaled[:, None] - centres) / width) ** 2)
    return unit(sp.csr_matrix(np.nan_to_num(np.where(out < 1e-4, 0, out))))


def weighted(texts: list[str], split: Callable[[str], list[str]]) -> sp.csr_matrix:
    """Return (rows, tokens) TF-IDF with 1 + log counts; a token that stands in one row only is left out."""
    counted = [Counter(split(text)) for text in texts]
    return weigh(counted, learn_vocabulary(counted, least_texts=2))


def unit(rows: sp.csr_matrix) -> sp.csr_matrix:
    """Scale every row to length 1; a row of zeros stays one."""
    length = np.sqrt(np.asarray(rows.multiply(rows).sum(1)).ravel())
    return sp.csr_matrix(sp.diags(1 / np.where(length > 0, length, 1)) @ rows)


def _encoded(name: str, texts: list[str], encode: Encode | None) -> list[Block]:
    if encode is None:
        return []
    vectors = np.asarray(encode(texts), np.float64)
    centred = np.where(np.array([bool(text) for text in texts])[:, None], vectors - vectors.mean(0), 0)
    return [Block(f"{name}, meaning", unit(sp.csr_matrix(centred)))]


def _parts(text: str) -> list[str]:
    parts = (part.strip().lower() for part in SEPARATORS.split(BRACKETS.sub("", text)))
    return [part for part in parts if part]


def _words(text: str) -> list[str]:
    return [word for word in words_of(text) if len(word) > 1]
