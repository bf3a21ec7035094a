"""The aspects of reviews: a declarative file with the words that name them, and the clauses of a text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recpipe.config.table_settings import ReviewSettings
from recpipe.errors import BadSetting
from recpipe.files import existing, sha256_of

OVERALL: Final = "overall"
"""The aspect of a whole review; no aspect of a file may be called so."""
SHIPPED: Final = Path(__file__).with_name("aspects.txt")
MOST_LETTERS: Final = 240
"""Of a clause: a longer one falls into several, so that no span is a whole text."""
NAME: Final = re.compile(r"[^\W\d][\w-]*")
UNSPACED: Final = re.compile(r"[\u0e00-\u0eff\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff]")
"""Letters of writing without blanks between words: a word is then found anywhere."""
BETWEEN: Final = re.compile(
    r"[.!?]+(?=\s|$)|[。！？；;…\r\n]+|，|,?\s*\b(?:but|however|although|though|except)\b,?|但是|不过|可是|但", re.IGNORECASE
)
"""What ends a clause: the end of a sentence, a Chinese comma, or a word after which the opposite may follow."""
EDGE: Final = " \t\u3000,.!?;:，。！？；：、…~-"

Span = tuple[int, int]


@dataclass(frozen=True)
class Aspect:
    """One aspect.

    Attributes
    ----------
    name
        As it stands in the tables.
    words
        Words that speak of it.
    pattern
        Finds any of them in a text.
    """

    name: str
    words: tuple[str, ...]
    pattern: re.Pattern[str]


def aspects_file(reviews: ReviewSettings) -> Path:
    """Return the file of aspects that the settings name, or the shipped one.

    Raises
    ------
    BadSetting
        If there is no such file.
    """
    return existing(Path(reviews.review_aspects) if reviews.review_aspects else SHIPPED, "RECPIPE_REVIEW_ASPECTS")


def aspects_hash(reviews: ReviewSettings) -> str:
    """Return the sha256 of the file of aspects."""
    return sha256_of(aspects_file(reviews))


def read_aspects(file: Path) -> list[Aspect]:
    """Return the aspects of a file, by name.

    A line is ``name: word, word, …``; what follows a ``#`` at its beginning is a remark. A ``*`` at the end of a word
    stands for any ending.

    Raises
    ------
    BadSetting
        If a line has no name or no words, or a name stands twice; the text names the line.
    """
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise BadSetting(f"{file} is no text in UTF-8 (byte {error.start}): save it as UTF-8.") from None
    found: dict[str, tuple[int, Aspect]] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        aspect = _aspect(line, f"{file}, line {number}")
        if aspect.name in found:
            raise BadSetting(f"{file}, line {number}: aspect '{aspect.name}' stands in line {found[aspect.name][0]} already.")
        found[aspect.name] = number, aspect
    return [found[name][1] for name in sorted(found)]


def _aspect(line: str, where: str) -> Aspect:
    name, colon, rest = (part.strip() for part in line.partition(":"))
    if not colon or not NAME.fullmatch(name):
        raise BadSetting(f"{where}: '{line.strip()[:40]}' is no aspect; write it as: name: word, another word.")
    if name == OVERALL:
        raise BadSetting(f"{where}: no aspect may be called {OVERALL}, which stands for the whole review.")
    words = tuple(dict.fromkeys(word.strip() for word in re.split("[,，]", rest) if word.strip()))
    bare = [word for word in words if not word.rstrip("*") or "*" in word[:-1]]
    if not words or bare:
        wrong = f"'{bare[0]}' is no word; a * stands at the end of one" if bare else "no words stand after the colon"
        raise BadSetting(f"{where}: {wrong}.")
    return Aspect(name, words, re.compile("|".join(map(_pattern, sorted(words, key=lambda w: (-len(w), w)))), re.IGNORECASE))


def _pattern(word: str) -> str:
    stem = r"\s+".join(re.escape(part) for part in word.rstrip("*").split())
    if UNSPACED.search(word):
        return stem
    return rf"\b{stem}" + (r"\w*" if word.endswith("*") else r"\b")


def clauses(text: str) -> list[Span]:
    """Return where the clauses of a text begin and end, in characters, in their order.

    They do not overlap, have a letter or a digit each, begin and end with no blank, and are at most `MOST_LETTERS` long.

    >>> text = "Lovely fabric, but it runs small."
    >>> [text[start:end] for start, end in clauses(text)]
    ['Lovely fabric', 'it runs small']
    """
    found, start = [], 0
    for gap in [*BETWEEN.finditer(text), None]:
        end = gap.start() if gap else len(text)
        found += _pieces(text, start, end)
        start = gap.end() if gap else end
    return found


def _pieces(text: str, start: int, end: int) -> list[Span]:
    """Cut a stretch into spans of at most `MOST_LETTERS`, at a blank where there is one in the second half."""
    found = []
    while start < end:
        stop = end
        if end - start > MOST_LETTERS:
            blank = text.rfind(" ", start + MOST_LETTERS // 2, start + MOST_LETTERS)
            stop = blank if blank > 0 else start + MOST_LETTERS
        found.append(_trimmed(text, start, stop))
        start = stop
    return [(first, last) for first, last in found if any(letter.isalnum() for letter in text[first:last])]


def _trimmed(text: str, start: int, end: int) -> Span:
    while start < end and (text[start] in EDGE or text[start].isspace()):
        start += 1
    while start < end and (text[end - 1] in EDGE or text[end - 1].isspace()):
        end -= 1
    return start, end
