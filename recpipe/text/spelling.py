"""Words that are no words of some texts, one slip of the keyboard away from one that is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

SHORTEST: Final = 5
"""Letters below which too many words lie one slip away from each other."""


@dataclass(frozen=True)
class Spelling:
    """Known words with the texts that each stands in, and the known words by each of their letters left out."""

    texts: Mapping[str, int]
    shortened: Mapping[str, tuple[str, ...]]


def learn_spelling(texts: Mapping[str, int]) -> Spelling:
    """Make words, each with the number of its texts, known.

    The words one slip away are found by what is left when a letter is left out on both sides (Garbe 2012, symmetric delete).
    """
    shortened: dict[str, list[str]] = {}
    for word in sorted(texts):
        if len(word) >= SHORTEST and word.isalpha():
            for short in _shortened(word):
                shortened.setdefault(short, []).append(word)
    return Spelling(texts, {short: tuple(words) for short, words in shortened.items()})


def nearest(spelling: Spelling, word: str) -> str:
    """Return the commonest known word one slip away that begins alike; the word itself where it is known, short, or alone.

    >>> spelling = learn_spelling({"lantern": 3, "lanterns": 1, "gel": 9})
    >>> [nearest(spelling, word) for word in ("lantren", "lanern", "lamtern", "tgel", "velocipede")]
    ['lantern', 'lantern', 'lantern', 'tgel', 'velocipede']
    """
    if word in spelling.texts or len(word) < SHORTEST or not word.isalpha():
        return word
    found = {other for short in _shortened(word) for other in spelling.shortened.get(short, ())}
    close = [other for other in found if other[0] == word[0] and one_slip(word, other)]
    return min(close, key=lambda other: (-spelling.texts[other], other), default=word)


def _shortened(word: str) -> Iterator[str]:
    yield word
    yield from dict.fromkeys(word[:at] + word[at + 1 :] for at in range(len(word)))


def one_slip(one: str, other: str) -> bool:
    """Whether two words differ by one letter: another, one more, one less, or two neighbours swapped (Damerau 1964)."""
    short, long = sorted((one, other), key=len)
    if len(long) == len(short):
        apart = [at for at in range(len(one)) if one[at] != other[at]]
        swapped = (
            len(apart) == 2 and apart[1] == apart[0] + 1 and one[apart[0]] == other[apart[1]] and one[apart[1]] == other[apart[0]]
        )
        return len(apart) == 1 or swapped
    return len(long) == len(short) + 1 and any(long[:at] + long[at + 1 :] == short for at in range(len(long)))
