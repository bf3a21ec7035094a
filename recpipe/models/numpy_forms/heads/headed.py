"""Learners that share their items and differ in their head: how a support becomes a place among the items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support
from recpipe.models.base import ItemSpace, Matrix
from recpipe.models.numpy_forms import body
from recpipe.models.numpy_forms.body import Numbers
from recpipe.models.numpy_forms.heads.head import Head, full_rows

USERS_A_BLOCK = 256
"""Users that a head sees at once, always: the last bit of a matrix product depends on its shape."""


def heads() -> Mapping[str, Head]:
    """Return every head, by the name of its learner."""
    from recpipe.models.numpy_forms.heads.attention import ATTENTION
    from recpipe.models.numpy_forms.heads.lstm import LSTM
    from recpipe.models.numpy_forms.heads.ridge import RIDGE
    from recpipe.models.numpy_forms.heads.steps import ANIL, MAML, PROTO_MAML

    return {"anil": ANIL, "maml": MAML, "proto_maml": PROTO_MAML, "ridge_head": RIDGE, "attention": ATTENTION, "lstm": LSTM}


@dataclass(frozen=True, eq=False)
class Headed:
    r"""A learner with a head.

    The score of user u and item i is :math:`b_i + v_u x_i + f_i δ(k) + κ(k) Σ_j a_j s_{ji}`: what everybody starts from;
    what the head makes of the support; trends of sales, for those of whom something is known; and item-kNN similarities
    s, with the head's weights a. Without support only b is left.

    Parameters
    ----------
    head
        One of `heads`; also the learner's name.
    numbers
        What was learned, by name: `recpipe.models.numpy_forms.body.LEARNED` and the head's own.
    settings
        What is not learned.
    """

    head: str
    numbers: Numbers
    settings: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Short name, as reports and tables show it."""
        return self.head

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: (items, d + features + items) sparse; the first d + features columns are full."""
        return self.place(self.look(evidence))

    def look(self, evidence: Evidence) -> body.View:
        """Compute what the learner sees of the items; nothing in it is learned."""
        return body.look(evidence, self.settings)

    def place(self, view: body.View) -> ItemSpace:
        """Place items that were looked at before."""
        z = body.place(self.numbers, view)
        bias = body.item_bias(self.numbers, z, view.features)
        full = np.hstack([heads()[self.head].place(self.numbers, z), view.features]).astype(np.float32)
        return ItemSpace(sp.csr_matrix(sp.hstack([full_rows(full), view.similar], format="csr")), bias)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, d + features + items) sparse user vectors; zeros where nothing counts."""
        known = body.counting(support, self.settings["weight_power"])
        size = np.log1p(known.k)
        vectors = sp.csr_matrix(space.vectors)
        items = vectors[:, : vectors.shape[1] - len(space.bias)].toarray()
        full, weights = self._in_blocks(items, known)
        features = self.numbers["trend"].shape[1]
        trend = self.numbers["trend"].astype(np.float64)
        full[:, -features:] += ((trend[0] + size[:, None] * trend[1]) * (size > 0)[:, None]).astype(np.float32)
        near = weights * np.repeat(body.scale_of(self.numbers["neighbour"], size), known.k)
        beside = sp.csr_matrix((near, known.item, known.indptr), shape=(len(known), len(space.bias)))
        return sp.csr_matrix(sp.hstack([full_rows(full), beside], format="csr"), dtype=np.float32)

    def _in_blocks(self, items: NDArray[np.float32], known: Support) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Let the head adapt a fixed number of users at a time; empty supports fill the last block."""
        head = heads()[self.head]
        full = np.zeros((len(known), items.shape[1]), np.float32)
        weights = np.zeros(len(known.item), np.float32)
        for start in range(0, len(known), USERS_A_BLOCK):
            some = known.users(start, min(start + USERS_A_BLOCK, len(known)))
            indptr = np.pad(some.indptr, (0, USERS_A_BLOCK - len(some)), mode="edge")
            block = Support(indptr, some.item, some.label, some.weight, some.age_days)
            found, near = head.adapt(self.numbers, self.settings, items, block)
            full[start : start + len(some)] = found[: len(some)]
            weights[known.indptr[start] : known.indptr[start + len(some)]] = near
        full[known.k == 0] = 0
        return full, weights
