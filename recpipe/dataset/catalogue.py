"""The catalogue of a day, as arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Catalogue:
    """The items that exist on a day; row i of every array is the same item. Rows are sorted by item id.

    Attributes
    ----------
    item_ids
        (items,) text, sorted.
    texts
        (items,) title, category and brand, as the encoder reads them.
    vectors
        (items, text dimensions) float32, unit length: what the encoder makes of the texts.
    first_day
        (items,) datetime64[D]: the day the item was first delivered.
    available
        (items,) bool.
    price
        (items,) float32, the shop's currency; NaN if unknown.
    categories
        (items,) path in the category tree, root first; empty if unknown.
    brands
        (items,) brand as delivered, empty if unknown; None where nobody asked for them.
    tuned
        (items, tuned dimensions) float32, unit length: what the encoder that was fine-tuned on the shop's own episodes
        makes of the texts; None where there is no such encoder.
    """

    item_ids: NDArray[np.object_]
    texts: list[str]
    vectors: NDArray[np.float32]
    first_day: NDArray[np.datetime64]
    available: NDArray[np.bool_]
    price: NDArray[np.float32]
    categories: list[tuple[str, ...]]
    brands: list[str] | None = None
    tuned: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.item_ids)
