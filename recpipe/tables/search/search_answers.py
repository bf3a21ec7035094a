"""The answers to a wish: filters, those given up where they leave nothing, order, and reasons."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.tables.search.search_catalogue import Goods, naming
from recpipe.tables.search.search_names import Named, find_names
from recpipe.tables.search.search_words import SearchWords
from recpipe.tables.search.wishes import Wish, alike
from recpipe.text.lexical import KINDS, evidence, holding, word_shares

FEATURES: Final = (*KINDS, "popularity")
RELAXED: Final = ("price", "brand", "category")
"""The order in which filters are given up where they leave nothing. What must not be in an item is never given up."""
LEAST_COSINE: Final = 0.25
LEAST_LETTERS: Final = 0.3
"""A text and an item that share no word, and are less alike than this, have nothing to do with each other."""
DIGITS: Final = 6
"""Of a score: below them is the noise of float sums."""
MOST_NAMED: Final = 3
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Ask:
    """A wish with what it names in the catalogue, and the (items,) masks of its filters; None where it sets none."""

    wish: Wish
    named: Named
    masks: dict[str, NDArray[np.bool_]]
    without: NDArray[np.bool_]


@dataclass(frozen=True)
class Answer:
    """The items of one text.

    Attributes
    ----------
    rows
        Places in the catalogue, best first.
    scores
        One a row.
    relaxed
        Filters that were given up.
    """

    rows: NDArray[np.intp]
    scores: Floats
    relaxed: tuple[str, ...]


def ask(goods: Goods, wishes: Sequence[Wish], words: SearchWords) -> list[Ask]:
    """Hold wishes against a catalogue: which categories and brands they name, and which items each filter leaves."""
    denied = {word: naming(goods, word, words) for word in sorted({word for wish in wishes for word in wish.without})}
    return [_ask(goods, wish, denied) for wish in wishes]


def _ask(goods: Goods, wish: Wish, denied: dict[str, NDArray[np.bool_]]) -> Ask:
    named = _meant(goods, wish, find_names(goods.names, wish.named, len(wish.shown)))
    masks = {}
    if wish.low is not None or wish.high is not None or wish.cheap:
        low, high = (-np.inf if wish.low is None else wish.low), (np.inf if wish.high is None else wish.high)
        # an item without a price lies within no limits
        masks["price"] = (goods.price >= low) & (goods.price <= high) & (goods.cheap if wish.cheap else True)
    for name, rows in (("brand", named.of_brand), ("category", named.in_category)):
        if rows is not None:
            masks[name] = np.zeros(len(goods), np.bool_)
            masks[name][rows] = True
    without = np.zeros(len(goods), np.bool_)
    for word in wish.without:
        without |= denied[word]
    return Ask(wish, named, masks, ~without)


def _meant(goods: Goods, wish: Wish, named: Named) -> Named:
    """Leave out a category, or a brand, whose words rather belong to the name of an item that lies elsewhere."""
    if named.in_category is not None and _names_an_item(goods, wish, named.in_category, named.category_words):
        named = replace(named, paths=(), in_category=None)
    if named.of_brand is not None and _names_an_item(goods, wish, named.of_brand, named.brand_words):
        named = replace(named, brand="", of_brand=None)
    return named


def _names_an_item(goods: Goods, wish: Wish, rows: NDArray[np.intp], phrase: Sequence[str]) -> bool:
    """Whether an item outside holds the phrase and more of a text's words, by their rarity, than any item inside does.

    "nail polish remover" is then no nail polish, although nail polish is a category.
    """
    inside = np.zeros(len(goods), np.bool_)
    inside[rows] = True
    elsewhere, within = ~inside & goods.available, inside & goods.available
    whole, beside = np.zeros(len(goods)), np.zeros(len(goods))
    for word in wish.shown:
        held, rarity = holding(goods.index, word)
        whole += rarity * held
        if word in phrase:
            elsewhere &= held
            beside += rarity  # what lies inside is called so, whatever its own words are
        else:
            beside += rarity * held
    best = beside[within].max(initial=0.0)
    return bool(elsewhere.any() and within.any() and whole[elsewhere].max() > best + 1e-9)


def features(goods: Goods, wishes: Sequence[Wish], vectors: NDArray[np.float32]) -> Floats:
    """Return (features, wishes, items): what speaks for each item, in the order of `FEATURES`."""
    found = evidence(goods.index, [list(wish.shown) for wish in wishes], [wish.rest for wish in wishes], vectors)
    blank = [row for row, wish in enumerate(wishes) if not wish.shown]
    found[:, blank] = 0
    return np.concatenate([found, np.broadcast_to(goods.popularity, (1, *found.shape[1:]))])


def answer(goods: Goods, asked: Sequence[Ask], found: Floats, weights: Floats, most: int) -> list[Answer]:
    """Return the items of some texts.

    Parameters
    ----------
    goods
        The catalogue.
    asked
        What the texts ask for.
    found
        (features, texts, items) of `features`.
    weights
        (features,) what each kind of evidence counts.
    most
        Items of a list.
    """
    scores = np.round(np.tensordot(weights, found, 1), DIGITS)
    return [_answer(goods, one, found[:, row], scores[row], most) for row, one in enumerate(asked)]


def _answer(goods: Goods, one: Ask, found: Floats, scores: Floats, most: int) -> Answer:
    for relaxed in _relaxations(one):
        left = eligible(goods, one, found, relaxed)
        if left.any():
            rows = np.flatnonzero(left)
            rows = rows[np.argsort(-scores[rows], kind="stable")][:most]
            return Answer(rows, scores[rows], relaxed)
    return Answer(np.array([], np.intp), np.array([], np.float64), ())


def _relaxations(one: Ask) -> Iterator[tuple[str, ...]]:
    own = [name for name in RELAXED if name in one.masks]
    return (tuple(own[:count]) for count in range(len(own) + 1))


def eligible(goods: Goods, one: Ask, found: Floats, relaxed: Sequence[str] = ()) -> NDArray[np.bool_]:
    """Return (items,) which may be listed: available, inside every filter that is not relaxed, and to do with the text."""
    kept = {name: mask for name, mask in one.masks.items() if name not in relaxed}
    left = goods.available & one.without & _related(one, found, kept)
    for mask in kept.values():
        left = left & mask
    return left


def _related(one: Ask, found: Floats, kept: dict[str, NDArray[np.bool_]]) -> NDArray[np.bool_]:
    if not one.wish.shown or "brand" in kept or "category" in kept:
        return np.ones(found.shape[1], np.bool_)  # within what is named, or where nothing else is asked for, everything answers
    words, letters, meaning = found[:3]
    return np.asarray((words > 0) | (letters >= LEAST_LETTERS) | (meaning >= LEAST_COSINE), np.bool_)


# --- why? ---------------------------------------------------------------------------------------------------------


def matched_words(goods: Goods, wish: Wish, row: int) -> list[str]:
    """Return the words of a text that an item's text holds, as typed; the one that adds most to the score first.

    Words of what must not be in it are left out: an item that says that it does without does not hold them.
    """
    held = [wish.shown[stem] for stem in word_shares(goods.index, list(wish.shown), row)]
    return [word for word in held if not any(alike(word, denied) for denied in wish.without)]


def reason(goods: Goods, one: Ask, row: int, found: Floats, weights: Floats, relaxed: Sequence[str]) -> str:
    """Return why an item stands in the list of a text, for people.

    Parameters
    ----------
    goods, one
        The catalogue, and what the text asks for.
    row
        Place of the item.
    found
        (features,) what speaks for the item.
    weights
        (features,) what each kind of evidence counts.
    relaxed
        Filters that were given up.
    """
    held = matched_words(goods, one.wish, row)[:MOST_NAMED]
    parts = ["holds " + ", ".join(f'"{word}"' for word in held)] if held else [_unnamed(one, found, weights)]
    if "category" in one.masks and "category" not in relaxed:
        parts.append("lies in " + " > ".join(goods.categories[row]))
    if "brand" in one.masks and "brand" not in relaxed:
        parts.append(f"is of {goods.brands[row]}")
    if "price" in one.masks and "price" not in relaxed:
        parts.append(_price(one.wish, float(goods.price[row])))
    if one.wish.without:
        parts.append("does not name " + ", ".join(f'"{word}"' for word in one.wish.without))
    parts += [f"nothing lies within the {name} that was asked for" for name in relaxed]
    return "; ".join(part for part in parts if part)


def _unnamed(one: Ask, found: Floats, weights: Floats) -> str:
    """Return what carries the score of an item that holds no word of the text."""
    if not one.wish.shown:
        return "sells well" if found[3] > 0 else ""
    letters, meaning = (weights * found)[1:3]
    if max(found[1] - LEAST_LETTERS, found[2] - LEAST_COSINE) < 0:
        return ""
    return "means nearly the same" if meaning >= letters else "is written nearly the same"


def _price(wish: Wish, price: float) -> str:
    limits = [f"not below {wish.low:g}"] if wish.low is not None else []
    limits += [f"not above {wish.high:g}"] if wish.high is not None else []
    limits += ["in the lower third of its category"] if wish.cheap else []
    return f"costs {price:g}, " + ", ".join(limits)


def row_of(one: Ask, relaxed: Sequence[str]) -> dict[str, Any]:
    """Return the columns that say which filters were read from a text, and which of them were given up."""
    return {
        "price_low": one.wish.low,
        "price_high": one.wish.high,
        "cheap": one.wish.cheap,
        "categories": [" > ".join(path) for path in one.named.paths],
        "brand": one.named.brand or None,
        "without": list(one.wish.without),
        "relaxed": list(relaxed),
    }
