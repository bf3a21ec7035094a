"""The blend of closed forms: their scores on one scale, weighed by how much is known of the user."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support
from recpipe.evidence.trends import SEASONS_AHEAD
from recpipe.models.base import ItemSpace, Learner, Matrix, score
from recpipe.models.ease import EASE
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import CountryPopularity, Popularity, SeasonPopularity, UserPopularity
from recpipe.models.text_prototype import TextPrototype

SIZES = ((0, 0), (1, 1), (2, 3), (4, 7), (8, 1_000_000))
"""Items in a support whose users share a row of weights."""
KINDS: Mapping[str, Any] = {
    kind.name: kind for kind in (EASE, ItemKNN, TextPrototype, Popularity, UserPopularity, SeasonPopularity, CountryPopularity)
}
"""What can be a part."""
SPOKEN = 500
"""Items that each item speaks for in a part; the first fifty of a list never lie as deep as that."""
PROBES = 256
"""Items whose scores, each alone a support, say how large the numbers of a part are."""

Part = Mapping[str, Any]
"""``learner``, its name, and ``parameters``; ``width``, the dimensions of texts, where it is about them."""


@dataclass(frozen=True)
class Blend:
    r"""Closed forms, each divided by the usual spread of its scores, in a weighted sum.

    .. math:: s_i = \sum_p \frac{w_{b(k), p}}{σ_p} (u_p \cdot e_{p,i} + b_{p,i})

    The spread :math:`σ_p` is the mean, over supports of one item, of the standard deviation over the catalogue. It is one
    number a day and a part: what is said of an item that hardly anybody met stays small beside what everybody buys.

    Parameters
    ----------
    parts
        Closed forms of `KINDS`, as `part_of` writes them.
    weights
        (sizes, parts): a row for each of `SIZES`.
    """

    name: ClassVar[str] = "blend"
    parts: Sequence[Part]
    weights: Sequence[Sequence[float]]

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: the vectors of all parts side by side, each followed by its bias; sparse."""
        return self.place(self.look(evidence))

    def look(self, evidence: Evidence) -> list[ItemSpace]:
        """Place the items of a day for each part."""
        return [place_part(learner, evidence) for learner in self.learners()]

    def place(self, view: Sequence[ItemSpace]) -> ItemSpace:
        """Lay the spaces of the parts side by side."""
        blocks = [sp.csr_matrix(block) for space in view for block in (space.vectors, space.bias[:, None])]
        vectors = sp.csr_matrix(sp.hstack(blocks, format="csr"), dtype=np.float32)
        return ItemSpace(vectors, np.zeros(vectors.shape[0], np.float32))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, width of the space) sparse user vectors."""
        weights, size = np.asarray(self.weights, np.float32), size_of(counted(support))
        blocks, one = [], sp.csr_matrix(np.ones((len(support), 1), np.float32))
        for place, (learner, own) in enumerate(zip(self.learners(), self._apart(space), strict=True)):
            wide = sp.hstack([sp.csr_matrix(learner.adapt(own, support)), one], format="csr")
            blocks.append(sp.csr_matrix(sp.diags(weights[size, place]) @ wide))
        return sp.csr_matrix(sp.hstack(blocks, format="csr"), dtype=np.float32)

    def learners(self) -> list[Learner]:
        """Return the closed forms."""
        return [KINDS[part["learner"]](**part["parameters"]) for part in self.parts]

    def width(self, items: int) -> int:
        """Return the columns of a space of so many items, if no part counts by country."""
        return sum(_width(part, items) for part in self.parts)

    def without_countries(self) -> Blend:
        """Return the blend without the part that has a column for each country, whose number is that of the day."""
        kept = [place for place, part in enumerate(self.parts) if part["learner"] != CountryPopularity.name]
        rows = [np.array(row)[kept] for row in self.weights]
        return Blend([self.parts[place] for place in kept], [_of_sum_one(row) for row in rows])

    def _apart(self, space: ItemSpace) -> list[ItemSpace]:
        """Undo `place`. How many countries there are is what the other parts leave."""
        items, total = sp.csr_matrix(space.vectors).shape
        widths = [_width(part, items) for part in self.parts]
        widths = [total - sum(widths) if width == 0 else width for width in widths]
        ends, columns = np.cumsum(widths), sp.csc_matrix(space.vectors)
        own = []
        for part, start, stop in zip(self.parts, ends - widths, ends, strict=True):
            vectors = sp.csr_matrix(columns[:, start : stop - 1])
            dense = part["learner"] != EASE.name and part["learner"] != ItemKNN.name
            bias = columns[:, stop - 1 : stop].toarray().ravel()
            own.append(ItemSpace(vectors.toarray() if dense else vectors, bias))
        return own


def part_of(learner: Learner, width: int = 0) -> Part:
    """Return a closed form as a part of a blend; without popularity of its own where it has evidence beside it."""
    held = {field.name: getattr(learner, field.name) for field in fields(learner)}  # type: ignore[arg-type]
    if "popularity_weight" in held:
        held["popularity_weight"] = 0.0
    return {"learner": learner.name, "parameters": held, **({"width": width} if learner.name == TextPrototype.name else {})}


def place_part(learner: Learner, evidence: Evidence) -> ItemSpace:
    """Place the items of a day in units of the spread of scores, each speaking for the `SPOKEN` items that it says most of."""
    space = place_briefly(learner, evidence)
    unit = np.float32(1 / (_spread(learner, space) or 1.0))
    return ItemSpace(space.vectors * unit, space.bias * unit)


def place_briefly(learner: Learner, evidence: Evidence) -> ItemSpace:
    """Place the items of a day in the form's own units, each speaking for the `SPOKEN` items that it says most of."""
    return learner.brief(evidence, SPOKEN) if isinstance(learner, EASE) else learner.items(evidence)


def _spread(learner: Learner, space: ItemSpace) -> float:
    """Return the mean over single items of the standard deviation of scores, 0 where none says anything."""
    rows = np.unique(np.linspace(0, len(space.bias) - 1, PROBES).astype(np.int32))
    ones = np.ones(len(rows), np.float32)
    alone = Support(np.arange(len(rows) + 1), rows, ones, ones, np.zeros_like(ones))
    found = score(space, learner.adapt(space, alone)).std(axis=1, dtype=np.float64)
    return float(found[found > 0].mean()) if (found > 0).any() else 0.0


def counted(support: Support) -> NDArray[np.int64]:
    """Return (users,) items of a support that count: what was sent back does not."""
    user = np.repeat(np.arange(len(support)), support.k)
    return np.bincount(user[support.label > 0], minlength=len(support)).astype(np.int64)


def size_of(k: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the row of `SIZES` for supports of so many items."""
    return np.searchsorted([low for low, _ in SIZES], k, side="right") - 1


def _of_sum_one(row: NDArray[np.float64]) -> list[float]:
    """Return weights of sum 1; the last part's, which is what is popular, where none is left."""
    left = row if row.sum() > 0 else np.eye(len(row))[-1]
    return [float(weight) for weight in left / left.sum()]


def _width(part: Part, items: int) -> int:
    """Return the columns of a part and its bias; 0 where they are one a country."""
    own = {Popularity.name: 1, UserPopularity.name: 1, SeasonPopularity.name: SEASONS_AHEAD, CountryPopularity.name: -1}
    name = str(part["learner"])
    return 1 + (own[name] if name in own else int(part.get("width", items)))
