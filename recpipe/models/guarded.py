"""A taught learner beside the blend of closed forms: who serves, and with which share, is fixed for each size of the support."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support
from recpipe.evidence.item_features import Pairs
from recpipe.models.base import ItemSpace, Learner, Matrix, score
from recpipe.models.blend import Blend, counted, size_of
from recpipe.models.pair_network import width_of

FUSED = 5.0
"""Ranks that are added before the reciprocal is taken: few, for the first ten of a list decide."""


@dataclass(frozen=True)
class Guarded:
    r"""A taught learner that leaves to the blend what it is not clearly better at.

    Where both have a share their ranks are fused (Cormack et al. 2009, "Reciprocal rank fusion"), so that neither's scale
    matters:

    .. math:: s_i = \frac{q}{5 + r_i} + \frac{1 - q}{5 + r'_i}

    Else the scores are those of the one that serves. Reasons are what either says.

    Parameters
    ----------
    network
        The taught learner; its name is that of the whole, and in a model folder it is the model.
    blend
        The closed forms.
    shares
        (sizes,) the network's share q for each of `recpipe.models.blend.SIZES`.
    """

    network: Learner
    blend: Blend
    shares: Sequence[float]

    @property
    def name(self) -> str:
        """The taught learner's."""
        return self.network.name

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day: vectors of the network, a column for its share, vectors of the blend."""
        return self.join(self.network.items(evidence), self.blend.items(evidence))

    def join(self, taught: ItemSpace, closed: ItemSpace) -> ItemSpace:
        """Lay both spaces side by side."""
        nothing = sp.csr_matrix(np.zeros((len(taught.bias), 1), np.float32))
        vectors = sp.hstack([sp.csr_matrix(taught.vectors), nothing, sp.csr_matrix(closed.vectors)], format="csr")
        return ItemSpace(sp.csr_matrix(vectors, dtype=np.float32), taught.bias, taught.beside)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, width of the space) sparse user vectors, the network's share between both."""
        taught, closed = self._apart(space)
        share = np.asarray(self.shares, np.float32)[size_of(counted(support))][:, None]
        found = [self.network.adapt(taught, support), share, self.blend.adapt(closed, support)]
        return sp.csr_matrix(sp.hstack([sp.csr_matrix(one) for one in found], format="csr"), dtype=np.float32)

    def score(self, space: ItemSpace, users: Matrix) -> NDArray[np.float32]:
        """Return (users, items) scores; a row does not depend on who else stands in the batch."""
        taught, closed = self._apart(space)
        every, width = sp.csr_matrix(users), taught.vectors.shape[1]
        share = every[:, width].toarray().ravel()
        out = np.zeros((len(share), len(space.bias)), np.float32)
        mine, theirs = np.flatnonzero(share > 0), np.flatnonzero(share < 1)
        out[mine] = self._taught_scores(taught, every[mine, :width])
        scores = score(closed, every[theirs, width + 1 :])
        both = share[theirs] > 0
        out[theirs[~both]] = scores[~both]
        out[theirs[both]] = fused(out[theirs[both]], scores[both], share[theirs[both]])
        return out

    def scores_of(self, space: ItemSpace, support: Support, shares: Sequence[float]) -> Iterator[NDArray[np.float32]]:
        """Yield the (users, items) scores of the same users at each of some shares of the network."""
        taught, closed = self._apart(space)
        mine = self._taught_scores(taught, self.network.adapt(taught, support))
        theirs = score(closed, self.blend.adapt(closed, support))
        for share in shares:
            pure = theirs if share == 0 else mine
            yield fused(mine, theirs, np.full(len(support), share, np.float32)) if 0 < share < 1 else pure

    def _taught_scores(self, space: ItemSpace, users: Any) -> NDArray[np.float32]:
        own = getattr(self.network, "score", None)
        if own:
            return np.asarray(own(space, users), np.float32)
        return score(space, users.toarray() if isinstance(users, sp.csr_matrix) else users)

    def _apart(self, space: ItemSpace) -> tuple[ItemSpace, ItemSpace]:
        """Undo `join`. Evidence of pairs has a vector a pair of items; others say by the blend how wide they are."""
        vectors, items = sp.csr_matrix(space.vectors), len(space.bias)
        pairs = isinstance(space.beside, Pairs)
        width = width_of(space.beside) if isinstance(space.beside, Pairs) else vectors.shape[1] - 1 - self.blend.width(items)
        taught = vectors[:, :width]
        blend = ItemSpace(sp.csr_matrix(vectors[:, width + 1 :]), np.zeros(items, np.float32))
        return ItemSpace(taught if pairs else taught.toarray(), space.bias, space.beside), blend


def taught_of(learner: Learner) -> Learner:
    """Return the taught learner of one that stands beside a blend, or the learner itself."""
    return learner.network if isinstance(learner, Guarded) else learner


def fused(one: NDArray[np.float32], other: NDArray[np.float32], share: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (users, items) reciprocal ranks of two scores, weighed by the share of the first."""
    weight = np.asarray(share, np.float64)[:, None]
    return np.asarray(weight / (FUSED + ranks(one)) + (1 - weight) / (FUSED + ranks(other)), np.float32)


def ranks(scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (users, items) 1 for the greatest score, 2 for the next; of equal ones the first item comes first."""
    order = np.argsort(-scores, axis=1, kind="stable")
    out = np.empty_like(order)
    np.put_along_axis(out, order, np.arange(1, scores.shape[1] + 1)[None, :], axis=1)
    return out
