"""The catalogue as a search sees it at the end of a day: texts, prices, names, and what sells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import POSITIVE_EVENT_TYPES
from recpipe.dataset.catalogue_reader import item_texts
from recpipe.lake.reader import Reader, window
from recpipe.tables.search.search_names import Names, Path, learn_names
from recpipe.tables.search.search_words import SearchWords
from recpipe.tables.search.wishes import Wish, names, names_none, read_wish
from recpipe.text.encoder import load_encoder
from recpipe.text.lexical import RUN, WORD, Index, fold, index_texts, stem
from recpipe.text.spelling import nearest

COLUMNS: Final = ["day", "item_id", "title", "description", "category", "brand", "price", "available"]
CHEAP_SHARE: Final = 1 / 3
FEWEST_PRICES: Final = 3
"""Prices of a category from which its lower third is told; with fewer, those of the category above it tell."""
READ_LETTERS: Final = 2000
"""Characters of a description that are searched."""


@dataclass(frozen=True)
class Goods:
    """The catalogue of a day; entry i of everything is the same item. Sorted by item id.

    Attributes
    ----------
    item_ids, available
        (items,).
    price
        (items,) float64 in the shop's currency, NaN where none is known.
    cheap
        (items,) whether the price lies in the lower third of its category's.
    categories, brands
        One an item, empty where there is none.
    claims
        Folded texts without what they say they do without.
    popularity
        (items,) 0 to 1: how much it was met of late, as a logarithm.
    index, names
        What a text is held against.
    """

    item_ids: NDArray[np.object_]
    available: NDArray[np.bool_]
    price: NDArray[np.float64]
    cheap: NDArray[np.bool_]
    categories: list[Path]
    brands: list[str]
    claims: list[str]
    popularity: NDArray[np.float64]
    index: Index
    names: Names

    def __len__(self) -> int:
        return len(self.item_ids)


def read_goods(reader: Reader, settings: Settings, day: date, words: SearchWords, *, encoded: bool = True) -> Goods:
    """Return the items that were delivered by a day, and what sold up to it.

    Parameters
    ----------
    reader
        Sees the lake at fixed versions.
    settings
        Name the encoder, and how fast popularity fades.
    day
        Nothing after it is looked at.
    words
        What a denial looks like.
    encoded
        False: texts get no vectors, where only words are to be compared.
    """
    rows = reader.as_of("items", day, COLUMNS)
    categories = [tuple(level for level in path or () if level) for path in rows["category"].to_pylist()]
    titles, brands = rows["title"].to_pylist(), [brand or "" for brand in rows["brand"].to_pylist()]
    texts = item_texts(titles, categories, rows["brand"].to_pylist())
    vectors = (
        load_encoder(settings.text.encoder, settings.places.work / "encoder").encode(texts)
        if encoded
        else np.zeros((len(texts), 1), np.float32)
    )
    described = [
        f"{text} {(more or '')[:READ_LETTERS]}" for text, more in zip(texts, rows["description"].to_pylist(), strict=True)
    ]
    item_ids = np.asarray(rows["item_id"].to_numpy(zero_copy_only=False)).astype(object)
    price = np.asarray(rows["price"].to_numpy(zero_copy_only=False), np.float64)
    available = np.asarray(rows["available"].to_numpy(zero_copy_only=False), np.bool_)
    named = [" ".join(part for part in both if part) for both in zip(titles, brands, strict=True)]
    return make_goods(
        item_ids, available, price, categories, brands, named, described, vectors, popular(reader, settings, day, item_ids), words
    )


def make_goods(
    item_ids: NDArray[np.object_],
    available: NDArray[np.bool_],
    price: NDArray[np.float64],
    categories: list[Path],
    brands: list[str],
    titles: Sequence[str],
    texts: Sequence[str],
    vectors: NDArray[np.float32],
    popularity: NDArray[np.float64],
    words: SearchWords,
) -> Goods:
    """Return a catalogue from what is known of each item (`Goods`); ``texts`` is all that is searched."""
    folded = [fold(text) for text in texts]
    return Goods(
        item_ids=item_ids,
        available=available,
        price=price,
        cheap=cheap_ones(price, categories),
        categories=categories,
        brands=brands,
        claims=[names_none(text, words) for text in folded],
        popularity=popularity,
        index=index_texts(folded, vectors),
        names=learn_names(titles, categories, brands, words.synonyms),
    )


def cheap_ones(price: NDArray[np.float64], categories: list[Path]) -> NDArray[np.bool_]:
    """Return (items,) whether an item's price lies in the lower third of the known prices of its category.

    Of a category with fewer than `FEWEST_PRICES` prices the one above it counts, in the end the whole catalogue.
    """
    known = np.isfinite(price)
    prices: dict[Path, list[float]] = {}
    for row in np.flatnonzero(known):
        for level in range(len(categories[row]) + 1):
            prices.setdefault(categories[row][:level], []).append(float(price[row]))
    bound = {node: float(np.quantile(some, CHEAP_SHARE, method="lower")) for node, some in prices.items()}
    found = np.zeros(len(price), np.bool_)
    for row in np.flatnonzero(known):
        path = categories[row]
        node = next((path[:level] for level in range(len(path), 0, -1) if len(prices[path[:level]]) >= FEWEST_PRICES), ())
        found[row] = price[row] <= bound[node]
    return found


def popular(reader: Reader, settings: Settings, day: date, item_ids: NDArray[np.object_]) -> NDArray[np.float64]:
    """Return (items,) how much each was met up to a day, fading by ``popular_half_life_days``: logarithms, the greatest 1."""
    rows = reader.events(*window(day, settings.history.lookback_days), ["item_id", "event_type", "day"])
    rows = rows.filter(pc.is_in(rows["event_type"], value_set=pa.array(POSITIVE_EVENT_TYPES)))
    place = np.asarray(pc.fill_null(pc.index_in(rows["item_id"], value_set=pa.array(item_ids, pa.string())), -1).to_numpy())
    age = (np.datetime64(day) - rows["day"].to_numpy().astype("datetime64[D]")).astype(np.float64)
    counts = np.zeros(len(item_ids))
    np.add.at(counts, place[place >= 0], np.exp2(-age[place >= 0] / settings.lists.popular_half_life_days))
    return np.asarray(np.log1p(counts) / max(float(np.log1p(counts).max(initial=0.0)), 1e-12), np.float64)


def naming(goods: Goods, word: str, words: SearchWords) -> NDArray[np.bool_]:
    """Return (items,) whether an item's text names a folded word without denying it."""
    return np.array([names(text, word, words) for text in goods.claims], np.bool_)


def wish_for(goods: Goods, text: str, words: SearchWords) -> Wish:
    """Read a text, with the words that no item holds as the word of the catalogue that lies one slip away, if there is one."""
    wish = read_wish(text, words)
    meant = {term: nearest(goods.index.spelling, term) for term, run in wish.shown.items() if not RUN.match(run)}
    slips = {term: other for term, other in meant.items() if other != term}
    if not slips:
        return wish

    def mend(some: str) -> str:
        return WORD.sub(lambda run: slips.get(stem(run[0]), run[0]), some)

    shown = {slips.get(term, term): slips.get(term, run) for term, run in wish.shown.items()}
    return replace(wish, rest=mend(wish.rest), named=mend(wish.named), shown=shown)
