"""Groups of items as of a day: by category, brand, newness, popularity, price. For whoever has to say who is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.dataset.history import Evidence
from recpipe.lake.reader import Reader

NO_GROUP: Final = -1
END_SHARES: Final = 5
"""The head and the tail each have one in so many of all sales (Abdollahpouri et al. 2021, "User-centered evaluation of popularity bias in
recommender systems", whose head are the best-selling items that make the first 20 % of all ratings, and whose tail make the last)."""
LEVELS = " > "


@dataclass(frozen=True)
class ItemGroups:
    """One way to split the catalogue.

    Attributes
    ----------
    kind
        Such as ``brand``.
    names
        Of the groups, in a fixed order.
    code
        (items,) place in ``names``; `NO_GROUP` for items of which it is not known.
    """

    kind: str
    names: tuple[str, ...]
    code: NDArray[np.int64]

    @property
    def in_order(self) -> bool:
        """Whether the order of the names means something."""
        return self.kind != "brand" and not self.kind.startswith("category:")

    def members(self, name: str) -> NDArray[np.bool_]:
        """Return (items,) whether an item is in the group of a name; nobody is where there is no such group."""
        return self.code == self.names.index(name) if name in self.names else np.zeros(len(self.code), np.bool_)


def item_groups(
    kind: str, evidence: Evidence, categories: Sequence[tuple[str, ...]], settings: Settings, reader: Reader, day: date
) -> ItemGroups:
    """Split the catalogue of a day.

    Parameters
    ----------
    kind
        ``category:LEVEL``: the path down to a level (0 is the root; paths that end above it count as they are). ``brand``: as
        last delivered. ``newness``: *new* if first delivered within ``settings.fairness.new_item_days`` days, the day itself
        included, else *old*. ``popularity``: *head* are the best sellers that together have the first fifth of the events that
        the night reads, *tail* the items that have the last fifth or were never met, *middle* the others. ``price``: *low*,
        *middle*, *high*, a third each of the items that can be bought and have a price; equal prices are in one group.
    evidence
        As of the day.
    categories
        (items,) path of each, as delivered or as the shop's own tree has it (`recpipe.rules`).
    settings
        Days in which an item is new.
    reader
        Asked for brands, which the catalogue does not hold.
    day
        The day.
    """
    catalogue = evidence.catalogue
    if kind == "newness":
        age = (np.datetime64(day) - catalogue.first_day).astype("timedelta64[D]").astype(np.int64)
        return ItemGroups(kind, ("new", "old"), (age >= settings.fairness.new_item_days).astype(np.int64))
    if kind == "popularity":
        return ItemGroups(kind, ("head", "middle", "tail"), _by_sales(sales_of(evidence)))
    if kind == "price":
        return ItemGroups(kind, ("low", "middle", "high"), _thirds(catalogue.price, catalogue.available))
    if kind == "brand":
        return _named(kind, _brands(reader, catalogue.item_ids, day))
    level = int(kind.removeprefix("category:"))
    return _named(kind, [LEVELS.join(path[: level + 1]) for path in categories])


def sales_of(evidence: Evidence) -> NDArray[np.int64]:
    """Return (items,) positive events of anybody in what the night reads."""
    return np.bincount(evidence.popularity_item, minlength=len(evidence.catalogue)).astype(np.int64)


def _named(kind: str, values: Sequence[str]) -> ItemGroups:
    names = tuple(sorted({value for value in values if value}))
    place = {name: code for code, name in enumerate(names)}
    return ItemGroups(kind, names, np.array([place.get(value, NO_GROUP) for value in values], np.int64))


def _by_sales(sales: NDArray[np.int64]) -> NDArray[np.int64]:
    order = np.lexsort((np.arange(len(sales)), -sales))
    sold = np.cumsum(sales[order])
    total = int(sales.sum())
    code = np.ones(len(sales), np.int64)
    code[order[END_SHARES * (sold - sales[order]) >= (END_SHARES - 1) * total]] = 2  # all that comes after four fifths
    code[order[END_SHARES * sold <= total]] = 0
    code[order[:1]] = 0  # one item may have more than a fifth
    code[sales == 0] = 2
    return code


def _thirds(price: NDArray[np.float32], available: NDArray[np.bool_]) -> NDArray[np.int64]:
    known = np.isfinite(price)
    on_sale = np.sort(price[known & available])
    code = np.full(len(price), NO_GROUP, np.int64)
    if len(on_sale):
        below = np.searchsorted(on_sale, price[known], side="left")
        code[known] = np.minimum(3 * below // len(on_sale), 2)
    return code


def _brands(reader: Reader, item_ids: NDArray[np.object_], day: date) -> list[str]:
    rows = reader.as_of("items", day, ["day", "item_id", "brand"])
    place = pc.index_in(pa.array(item_ids, pa.string()), value_set=rows["item_id"].combine_chunks())
    return [brand or "" for brand in rows["brand"].take(place).to_pylist()]
