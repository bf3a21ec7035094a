"""The wishes in a search text: limits of the price, words to do without, and the words left to look for."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from recpipe.tables.search.search_words import SearchWords
from recpipe.text.lexical import RUN, UNSPACED, WORD, fold, words_of

NUMBER: Final = rf"(?<![^\W{UNSPACED}])(?<!\d[.,])(?>\d+(?:[.,]\d+)*)"


SPACED: Final = r"(?<!\d)(?>\d{1,3}(?:\s\d{3})+(?:[.,]\d+)?)"


LETTERS: Final = rf"[^\W\d_{UNSPACED}][^\W{UNSPACED}]*"


CUT: Final = " \u2016 "
"""Stands where something was taken out, so that what was apart does not come together."""


@dataclass(frozen=True)
class Wish:
    """A search text, read.

    Attributes
    ----------
    text
        As it is listed (`normalise`).
    low, high
        Limits of the price in the shop's currency, both included; None: no limit.
    cheap
        Whether the lower third of the prices is asked for.
    without
        Folded words that an item must not name.
    rest
        The folded text without its limits: what is looked for.
    named
        The same without what must not be in it: where names of the catalogue are looked for.
    shown
        Each word that is looked for by its stem, as it was typed; in the order of the text.
    """

    text: str
    low: float | None = None
    high: float | None = None
    cheap: bool = False
    without: tuple[str, ...] = ()
    rest: str = ""
    named: str = ""
    shown: dict[str, str] = field(default_factory=dict)


def amount(text: str) -> float:
    """Return the number of an amount, whichever way its thousands and decimals are written.

    Of two kinds of signs the last one is the decimal's; one sign alone before three digits, or several of a kind, are thousands'.

    >>> [amount(text) for text in ("1.000,50", "1,000.50", "19,99", "19.9", "1,000", "1.000.000", "1 000")]
    [1000.5, 1000.5, 19.99, 19.9, 1000.0, 1000000.0, 1000.0]
    """
    text = "".join(text.split())
    signs = [sign for sign in text if sign in ".,"]
    if not signs:
        return float(text)
    alike = len(set(signs)) == 1
    thousands = alike and (len(signs) > 1 or (len(text.rpartition(signs[0])[2]) == 3 and not text.startswith("0")))
    if thousands:
        return float(text.replace(signs[0], ""))
    whole, _, part = text.rpartition(signs[-1])
    return float(re.sub("[.,]", "", whole) + "." + part)


@dataclass(frozen=True)
class Patterns:
    """Regular expressions made of a file's words."""

    prices: tuple[tuple[str, re.Pattern[str]], ...]
    cheap: re.Pattern[str]
    without: re.Pattern[str]
    lead: re.Pattern[str]
    apart: re.Pattern[str]
    denied: re.Pattern[str]
    free: tuple[re.Pattern[str], ...]
    unspaced: re.Pattern[str]
    left_out: frozenset[str]
    between_letters: re.Pattern[str]


@lru_cache(maxsize=4)
def _cached(kinds: tuple[tuple[str, tuple[str, ...]], ...]) -> Patterns:
    words = SearchWords(dict(kinds), ())
    apart = rf"(?:\s*,\s*(?:{words.pattern('and')}\s*)?|\s*{words.pattern('and')}\s*)"
    lead = rf"{words.pattern('without', 'without_in_items')}[\s:]*(?:{words.pattern('fillers')}\s*)*"
    unspaced = "|".join(re.escape(word) for word in words.kinds["without"] if RUN.match(word)) or "(?!)"
    free = (
        rf"({LETTERS})[\s-]+{words.pattern('free')}",
        rf"\b({LETTERS}?)(?:{'|'.join(words.kinds['free_ending']) or '(?!)'})\b",
    )
    left_out = frozenset(words.kinds["fillers"] + words.kinds["without"] + words.kinds["free"] + words.kinds["and"])
    return Patterns(
        prices=tuple((name, re.compile(some)) for name, some in _prices(words)),
        cheap=re.compile(words.pattern("cheap")),
        without=re.compile(
            rf"{words.pattern('without')}[\s:]*(?:{words.pattern('fillers')}\s*)*({LETTERS}(?:{apart}{LETTERS})*)"
        ),
        lead=re.compile(lead),
        apart=re.compile(apart),
        denied=re.compile(rf"{lead}{LETTERS}(?:{apart}{LETTERS})*"),
        free=tuple(re.compile(some) for some in free),
        unspaced=re.compile(rf"(?:{unspaced})(?:([{UNSPACED}]{{1,5}}?)(?=的|[^{UNSPACED}]|$)|([{UNSPACED}]{{1,2}}))"),
        left_out=left_out,
        between_letters=re.compile(
            "|".join(re.escape(word) for word in sorted(left_out, key=len, reverse=True) if RUN.match(word)) or "(?!)"
        ),
    )


def _patterns(words: SearchWords) -> Patterns:
    return _cached(tuple(sorted(words.kinds.items())))


def _prices(words: SearchWords) -> list[tuple[str, str]]:
    """Return what limits of a price look like: first those of two numbers, which hold those of one."""
    coin, unit, to = words.pattern("currency"), words.pattern("units"), words.pattern("to")
    end = rf"(?![^\W{UNSPACED}])(?!\s*{unit})"
    money = rf"(?:{coin}\s*(?:{SPACED}|{NUMBER})(?:\s*{coin})?|(?:{SPACED}|{NUMBER})(?:,[-–])?\s*{coin})"
    either = rf"(?:{money}|{NUMBER}(?:,[-–])?{end})"
    ways: list[tuple[str, str]] = [
        ("between", rf"{words.pattern('between')}\s*{either}\s*{to}\s*{either}"),
        ("between", rf"{money}\s*{to}\s*{either}"),
        ("between", rf"{NUMBER}\s*{to}\s*{money}"),
        ("below", rf"{words.pattern('below')}\s*{either}"),
        ("below", rf"{words.pattern('below_money')}\s*{money}"),
        ("below", rf"{either}\s*{words.pattern('after_below')}"),
        ("above", rf"{words.pattern('above')}\s*{money}"),
        ("above", rf"{money}\s*{words.pattern('after_above')}"),
    ]
    return ways


def read_wish(text: str, words: SearchWords) -> Wish:
    """Read a search text.

    Parameters
    ----------
    text
        As `normalise` returns it.
    words
        What limits and denials look like.
    """
    patterns = _patterns(words)
    rest, low, high = _limits(fold(text), patterns)
    rest, cheaps = patterns.cheap.subn(CUT, rest)
    without, named = _denied(rest, patterns)
    rest = " ".join(rest.replace(CUT.strip(), " ").split())
    return Wish(text, low, high, cheaps > 0, without, rest, named, _looked_for(rest, patterns))


def _limits(text: str, patterns: Patterns) -> tuple[str, float | None, float | None]:
    """Return a text without its limits of the price, and the narrowest of them."""
    lows: list[float] = []
    highs: list[float] = []
    for kind, pattern in patterns.prices:
        while found := pattern.search(text):
            numbers = [amount(some) for some in re.findall(rf"{SPACED}|\d+(?:[.,]\d+)*", found[0])]
            lows += [min(numbers)] if kind != "below" else []
            highs += [max(numbers)] if kind != "above" else []
            text = text[: found.start()] + CUT + text[found.end() :]
    return text, max(lows, default=None), min(highs, default=None)


def _denied(text: str, patterns: Patterns) -> tuple[tuple[str, ...], str]:
    """Return the words that an item must not name, in their order, and the text without them."""
    found: list[tuple[int, str]] = []
    for match in patterns.without.finditer(text):
        found += [(match.start(), word) for word in patterns.apart.split(match[1]) if word]
    for pattern in (*patterns.free, patterns.unspaced):
        found += [
            (match.start(), next(group for group in match.groups() if group))
            for match in pattern.finditer(text)
            if any(match.groups())
        ]
    named = text
    for pattern in (patterns.without, *patterns.free, patterns.unspaced):
        named = pattern.sub(CUT, named)
    return tuple(dict.fromkeys(word for _, word in sorted(found))), named


def _looked_for(rest: str, patterns: Patterns) -> dict[str, str]:
    shown: dict[str, str] = {}
    for run in WORD.findall(patterns.between_letters.sub(CUT, rest)):
        if run not in patterns.left_out:
            for term in words_of(run):
                shown.setdefault(term, term if RUN.match(run) else run)
    return shown


def names_none(text: str, words: SearchWords) -> str:
    """Return a folded text without the words that it says it does without ("paraben free", "ohne Parfum")."""
    patterns = _patterns(words)
    for pattern in (patterns.denied, *patterns.free):
        text = pattern.sub(CUT, text)
    return text


def names(text: str, word: str, words: SearchWords) -> bool:
    """Whether a folded text, as `names_none` leaves it, names a word: in one of its endings, or of Chinese anywhere undenied."""
    if RUN.match(word):
        denied = sum(text.count(no + word) for no in (*words.kinds["without"], *words.kinds["without_in_items"]))
        return text.count(word) > denied
    return any(alike(word, run) for run in WORD.findall(text))


def alike(one: str, other: str) -> bool:
    """Whether two folded words are one but for an ending of two letters at most."""
    short, long = sorted((one, other), key=len)
    return one == other or (len(short) >= 4 and len(long) - len(short) <= 2 and long.startswith(short))
