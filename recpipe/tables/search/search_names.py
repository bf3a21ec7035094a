"""The categories and brands of the catalogue that a search text names."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from recpipe.text.lexical import fold, words_of

Path = tuple[str, ...]
Phrase = tuple[str, ...]

PARTS: Final = re.compile(r"\s*(?:&|,|/|\+|\band\b|\bund\b|\bet\b|、|和)\s*")
"""What stands between the names that one category has: "Creams, Gels & Lotions"."""
MAJORITY: Final = 0.5
"""A word names a category, or a brand, when at least so many of the items whose title holds the word lie in it: "oil" names no
category where most items with oil in their title lie elsewhere."""
LONGEST: Final = 6


@dataclass(frozen=True)
class Name:
    """Something of the catalogue that a phrase names.

    Attributes
    ----------
    rows
        (items,) sorted places of the items that lie in it.
    paths
        Categories, none within another; empty for a brand.
    brand
        The brand; empty for categories.
    sure
        Whether the majority of the titles that hold the phrase are its items', or no title holds it.
    whole
        Whether it is the whole name, and not one of several in it.
    """

    rows: NDArray[np.intp]
    paths: tuple[Path, ...] = ()
    brand: str = ""
    sure: bool = True
    whole: bool = True


@dataclass(frozen=True)
class Named:
    """What a text names: categories, a brand, the words that name each, and the places of its items; None where there is none."""

    paths: tuple[Path, ...] = ()
    brand: str = ""
    category_words: Phrase = ()
    brand_words: Phrase = ()
    in_category: NDArray[np.intp] | None = None
    of_brand: NDArray[np.intp] | None = None


@dataclass(frozen=True)
class Names:
    """Every phrase that names something, and which items' titles hold each word."""

    categories: dict[Phrase, Name]
    brands: dict[Phrase, Name]
    holding: dict[str, frozenset[int]]
    items: int


def learn_names(
    titles: Sequence[str], categories: Sequence[Path], brands: Sequence[str], synonyms: Sequence[Sequence[str]]
) -> Names:
    """Learn what a catalogue's words name.

    Parameters
    ----------
    titles
        (items,) titles with brands.
    categories
        (items,) paths, root first.
    brands
        (items,) brands, empty where there is none.
    synonyms
        Groups of words: where one names a category, the others do.
    """
    found: dict[str, set[int]] = {}
    for row, title in enumerate(titles):
        for word in words_of(fold(title)):
            found.setdefault(word, set()).add(row)
    holding = {word: frozenset(rows) for word, rows in found.items()}
    by_phrase = _category_phrases(categories, len(titles))
    named = {phrase: _category(phrase, nodes, holding) for phrase, nodes in by_phrase.items()}
    _add_synonyms(named, synonyms, holding)
    return Names(named, _brands(brands, holding), holding, len(titles))


def _category_phrases(categories: Sequence[Path], items: int) -> dict[Phrase, dict[Path, tuple[list[int], bool]]]:
    """Return, by phrase, the nodes of the tree that it is a name of: their items, and whether it is the whole name."""
    rows: dict[Path, list[int]] = {}
    for row, path in enumerate(categories):
        for level in range(1, len(path) + 1):
            rows.setdefault(path[:level], []).append(row)
    by_phrase: dict[Phrase, dict[Path, tuple[list[int], bool]]] = {}
    for node in sorted(rows):
        if len(rows[node]) == items:
            continue  # what everything lies in says nothing
        whole = fold(node[-1])
        for part in dict.fromkeys([whole, *PARTS.split(whole)]):
            if phrase := tuple(words_of(part)):
                by_phrase.setdefault(phrase, {}).setdefault(node, (rows[node], part == whole))
    return by_phrase


def _category(phrase: Phrase, nodes: dict[Path, tuple[list[int], bool]], holding: dict[str, frozenset[int]]) -> Name:
    outer = tuple(node for node in nodes if not any(node[:level] in nodes for level in range(1, len(node))))
    rows = {row for node in outer for row in nodes[node][0]}
    return Name(_sorted(rows), outer, "", _majority(phrase, rows, holding), any(whole for _, whole in nodes.values()))


def _majority(phrase: Phrase, rows: set[int], holding: dict[str, frozenset[int]]) -> bool:
    held = _holding(phrase, holding)
    return not held or len(held & rows) >= MAJORITY * len(held)


def _holding(phrase: Phrase, holding: dict[str, frozenset[int]]) -> frozenset[int]:
    sets = [holding.get(word, frozenset()) for word in phrase]
    return frozenset.intersection(*sets) if sets else frozenset()


def _sorted(rows: set[int]) -> NDArray[np.intp]:
    return np.array(sorted(rows), np.intp)


def _add_synonyms(named: dict[Phrase, Name], synonyms: Sequence[Sequence[str]], holding: dict[str, frozenset[int]]) -> None:
    for group in synonyms:
        phrases = [tuple(words_of(word)) for word in group]
        known = [named[phrase] for phrase in phrases if phrase in named and named[phrase].sure]
        if not known:
            continue
        rows = {int(row) for name in known for row in name.rows}
        paths = tuple(dict.fromkeys(path for name in known for path in name.paths))
        for phrase in phrases:
            if phrase not in named:
                named[phrase] = Name(_sorted(rows), paths, "", _majority(phrase, rows, holding))


def _brands(brands: Sequence[str], holding: dict[str, frozenset[int]]) -> dict[Phrase, Name]:
    rows: dict[str, set[int]] = {}
    for row, brand in enumerate(brands):
        if brand:
            rows.setdefault(brand, set()).add(row)
    found: dict[Phrase, Name] = {}
    for brand in sorted(rows, key=lambda brand: (-len(rows[brand]), brand)):
        phrase = tuple(words_of(fold(brand)))
        if phrase and phrase not in found and _majority(phrase, rows[brand], holding):
            found[phrase] = Name(_sorted(rows[brand]), (), brand)
    return found


def find_names(names: Names, text: str, terms: int) -> Named:
    """Return what a text names.

    Several categories are all obeyed where items lie in all of them; else those that most items whose titles hold the same
    words lie in come first, and what would leave nothing is left out: of "shampoo for men", a shampoo and not men's perfume.

    Parameters
    ----------
    names
        Of the catalogue.
    text
        Folded, without what must not be in it.
    terms
        Words that the whole text looks for: a phrase that is all of it, and a whole name, names the category for sure.
    """
    category = _phrases(text, names.categories, lambda phrase, name: name.sure or (name.whole and len(phrase) >= terms))
    brand = _phrases(text, names.brands, lambda phrase, name: True)
    inside, paths = _together(names, category)
    words = tuple(word for phrase in category for word in phrase)
    if not brand:
        return Named(paths, "", words, (), inside, None)
    first = names.brands[brand[0]]
    return Named(paths, first.brand, words, brand[0], inside, first.rows)


def _phrases(text: str, known: dict[Phrase, Name], fits: object) -> list[Phrase]:
    words, found, at = words_of(text), [], 0
    while at < len(words):
        for size in range(min(LONGEST, len(words) - at), 0, -1):
            phrase = tuple(words[at : at + size])
            if phrase in known and fits(phrase, known[phrase]):  # type: ignore[operator]
                found.append(phrase)
                at += size
                break
        else:
            at += 1
    return list(dict.fromkeys(found))


def _together(names: Names, phrases: list[Phrase]) -> tuple[NDArray[np.intp] | None, tuple[Path, ...]]:
    if not phrases:
        return None, ()
    held = _holding(tuple(word for phrase in phrases for word in phrase), names.holding)
    inside = {phrase: frozenset(names.categories[phrase].rows.tolist()) for phrase in phrases}
    order = sorted(phrases, key=lambda phrase: (-len(held & inside[phrase]), phrases.index(phrase)))
    rows, paths = inside[order[0]], names.categories[order[0]].paths
    for phrase in order[1:]:
        if both := rows & inside[phrase]:
            rows, paths = both, _deeper(paths, names.categories[phrase].paths)
    return _sorted(set(rows)), paths


def _deeper(one: tuple[Path, ...], other: tuple[Path, ...]) -> tuple[Path, ...]:
    """Return the nodes that lie in both: of two of which one lies in the other, the inner."""
    found = []
    for first in one:
        for second in other:
            short, long = sorted((first, second), key=len)
            if long[: len(short)] == short:
                found.append(long)
    return tuple(dict.fromkeys(found))
