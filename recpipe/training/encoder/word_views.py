"""Other ways to say a text: dropped words, synonyms, a way there and back through another language."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from recpipe.errors import BadSetting

View = Callable[[str, np.random.Generator], str]
"""Turns a text into another one that means the same."""


def drop_words(share: float) -> View:
    """Return a view that leaves each word out with a probability; one word always stays (Wei and Zou 2019, section 2)."""

    def view(text: str, random: np.random.Generator) -> str:
        words = text.split()
        kept = random.random(len(words)) >= share
        if len(words) and not kept.any():
            kept[random.integers(len(words))] = True
        return " ".join(word for word, stays in zip(words, kept, strict=True) if stays)

    return view


def replace_synonyms(synonyms: Mapping[str, Sequence[str]], share: float) -> View:
    """Return a view that puts a synonym for each known word with a probability (Wei and Zou 2019, section 2).

    Parameters
    ----------
    synonyms
        By word in lower case.
    """

    def view(text: str, random: np.random.Generator) -> str:
        words = []
        for word in text.split():
            others = synonyms.get(word.lower(), ())
            chance, place = random.random(), int(random.integers(max(len(others), 1)))
            words.append(others[place] if others and chance < share else word)
        return " ".join(words)

    return view


def read_synonyms(file: Path) -> dict[str, list[str]]:
    """Read a JSON file with lists of words that mean the same: ``[["mug", "cup"], ["bag", "tote", "sack"]]``.

    Raises
    ------
    BadSetting
        If the file is of another form.
    """
    groups = json.loads(file.read_text()) if file.is_file() else None
    if not isinstance(groups, list) or not all(isinstance(g, list) and all(isinstance(w, str) for w in g) for g in groups):
        raise BadSetting(f'Synonyms {file} must be a JSON list of lists of words, like [["mug", "cup"], ["bag", "tote"]].')
    return {word.lower(): [other for other in group if other != word] for group in groups for word in group}


def back_translate(there: Callable[[list[str]], list[str]], back: Callable[[list[str]], list[str]], texts: list[str]) -> View:
    """Return a view that gives each text's translation there and back (Sennrich et al. 2016), computed once for all texts.

    Parameters
    ----------
    there, back
        Translate a list of texts, for instance with a local model; a text whose way back is empty stays as it is.
    texts
        Every text that the view will be asked for; others stay as they are.
    """
    returned = dict(zip(texts, back(there(texts)), strict=True))

    def view(text: str, random: np.random.Generator) -> str:
        return returned.get(text, "").strip() or text

    return view
