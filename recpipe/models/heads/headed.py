"""Learners that share their items and differ in their head: how a support becomes a place among the items."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.arrays import NUMPY, Array, Arrays, Entries
from recpipe.models.base import ItemSpace, Matrix
from recpipe.models.representation import (
    FACTOR_SETTINGS,
    SETTINGS,
    Numbers,
    Represented,
    View,
    counting,
    item_bias,
    places,
    scale_of,
    start_of,
    trend_of,
)

USERS_A_BLOCK = 256
"""Users that a head sees at once, always: the last bit of a matrix product depends on its shape."""


@dataclass(frozen=True, eq=False)
class Headed(Represented):
    r"""A learner with a head: how a support becomes a place among the items.

    The score of user u and item i is :math:`b_i + v_u x_i + f_i δ(k) + κ(k) Σ_j a_j s_{ji}`: what everybody starts from;
    what the head makes of the support; trends of sales, for those of whom something is known; and item-kNN similarities
    s, with the head's weights a. Without support only b is left.

    Numbers of every learner with a head:

    own, met
        A and B, (text dimensions, p).
    gate, factor
        (2,) a and b; (3,) those of the factors and the logarithm of their scale.
    start, bias
        (p,); (features,): what everybody starts from, on the text places and on the features; it makes the item bias.
    temperature, neighbour
        (2,) each: the head's scale, and κ, that of item-kNN similarities, :math:`\exp(τ_0 + τ_1 \log(1 + k))`.
    trend
        (2, features) δ: weights of the features where there is a support, beside those of ``bias``.

    Parameters
    ----------
    head
        Which kind; also the learner's name.
    numbers
        What was learned, by name: those above and the head's own.
    settings
        What is not learned.
    """

    MATRICES: ClassVar[tuple[str, ...]] = ("own", "met", "start")
    head: str
    numbers: Numbers
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Short name, as reports and tables show it."""
        return self.head

    @classmethod
    def made(cls, name: str, numbers: Numbers, settings: Mapping[str, Any]) -> Headed:
        """Return the learner of a name with these numbers."""
        return cls(name, numbers, settings)

    @classmethod
    def usual_settings(cls, name: str) -> Mapping[str, Any]:
        """Return what is not learned, of the items and of the head."""
        return {**SETTINGS, **FACTOR_SETTINGS, **cls.own_settings(name)}

    @classmethod
    def start(cls, name: str, view: View, width: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return what all learners with a head start from, and what this one does."""
        shared = start_of(view, width)
        return {**shared, **cls.own_start(name, len(shared["start"]), len(shared["bias"]), seed)}

    @classmethod
    @abstractmethod
    def own_settings(cls, head: str) -> Mapping[str, Any]:
        """Return what is not learned of a head of this kind, beside the settings of the items."""

    @classmethod
    @abstractmethod
    def own_start(cls, head: str, width: int, features: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return what the head's numbers are before training, shared ones anew among them.

        Parameters
        ----------
        head
            The kind.
        width, features
            Dimensions of the text places, and features of an item.
        seed
            Of what is drawn.
        """

    @staticmethod
    @abstractmethod
    def adapted(
        numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Return (users, d) and (users, features) the two parts of v, zeros without entries; (entries,) weights a of similarities.

        Parameters
        ----------
        numbers, settings
            What is learned and what is not.
        x
            (items, D) the rows of all items.
        entries
            What counts in the supports; where lists are made, always of `USERS_A_BLOCK` users.
        """

    @staticmethod
    def turned(numbers: Numbers, z: Array, xp: Arrays) -> Array:
        """Return (items, d): what the head makes of z before anybody is adapted; as given, z itself."""
        return z

    @classmethod
    def represented(cls, numbers: Numbers, view: View, xp: Arrays) -> tuple[Array, Array]:
        """Return (items, d + features) rows x and (items,) bias."""
        z = xp.rounded(places(numbers, view, xp))
        return xp.concat([cls.turned(numbers, z, xp), view.features]), item_bias(numbers, z, view.features, xp)

    @classmethod
    def vectors(
        cls, numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Return (users, d + features) vectors, (entries,) weights of similarities, and (users,) their scale."""
        at_places, at_features, weight = cls.adapted(numbers, settings, x, entries, xp)
        trend = xp.cast(trend_of(numbers, entries.size), x)
        full = xp.concat([at_places, at_features + trend])
        return full, weight, xp.cast(scale_of(numbers["neighbour"], entries.size, xp), x)

    def place(self, view: View) -> ItemSpace:
        """Place items that were looked at before, in single precision from sums in double precision."""
        exact = {name: NUMPY.double(held) for name, held in self.numbers.items()}
        rows, bias = self.represented(exact, view.with_each(NUMPY.double), NUMPY)
        full = _full_rows(rows.astype(np.float32))
        return ItemSpace(sp.csr_matrix(sp.hstack([full, view.similar], format="csr")), bias.astype(np.float32))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, d + features + items) sparse user vectors; zeros where nothing counts."""
        known = counting(support, self.settings["weight_power"])
        placed = sp.csr_matrix(space.vectors)
        x = placed[:, : placed.shape[1] - len(space.bias)].toarray()
        full, near = np.zeros((len(known), x.shape[1]), np.float32), np.zeros(len(known.item), np.float32)
        for start in range(0, len(known), USERS_A_BLOCK):
            block, users = _block(known, start), slice(start, min(start + USERS_A_BLOCK, len(known)))
            found, weight, scale = self.vectors(self.numbers, self.settings, x, block, NUMPY)
            full[users] = found[: users.stop - start]
            near[known.indptr[start] : known.indptr[users.stop]] = weight * scale[block.owner]
        beside = sp.csr_matrix((near, known.item, known.indptr), shape=(len(known), len(space.bias)))
        return sp.csr_matrix(sp.hstack([_full_rows(full), beside], format="csr"), dtype=np.float32)


def _block(known: Entries, start: int) -> Entries:
    """Return `USERS_A_BLOCK` users from one on; users without entries fill the last block."""
    stop = min(start + USERS_A_BLOCK, len(known))
    own = slice(known.indptr[start], known.indptr[stop])
    more = (0, USERS_A_BLOCK - (stop - start))
    indptr = np.pad(known.indptr[start : stop + 1] - own.start, more, mode="edge")
    size = np.pad(known.size[start:stop], more)
    return Entries(indptr, known.item[own], known.owner[own] - start, known.weight[own], known.age[own], size)


def _full_rows(rows: NDArray[np.float32]) -> sp.csr_matrix:
    """Return all entries of rows, zeros included, as a sparse matrix."""
    count, width = rows.shape
    indptr = np.arange(count + 1, dtype=np.int64) * width
    return sp.csr_matrix((rows.ravel(), np.tile(np.arange(width, dtype=np.int32), count), indptr), shape=rows.shape)
