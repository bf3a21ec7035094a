"""The learner: items and users become vectors, and their product ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support

Matrix = NDArray[np.float32] | sp.csr_matrix


@dataclass(frozen=True)
class ItemSpace:
    """Items as a learner sees them on a day.

    Attributes
    ----------
    vectors
        (items, d) float32, dense or sparse.
    bias
        (items,) float32.
    beside
        What else a learner needs that scores by itself; None for those whose score is u·e_i + b_i.
    """

    vectors: Matrix
    bias: NDArray[np.float32]
    beside: Any = None


class Learner(Protocol):
    """The seam: learners are interchangeable behind it, so that new and old users take one way.

    A learner's own parameters are fixed once it is trained; what is known of the items is computed anew each day. A
    learner whose score is not u·e_i + b_i has a method ``score(space, users) -> (users, items)`` besides.
    """

    @property
    def name(self) -> str:
        """Short name, as reports and tables show it."""

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items of a day."""

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Turn supports into user vectors, (users, d); a batched function, one row a user, whatever the batch."""


USERS_A_BLOCK = 64


def score_users(learner: Learner, space: ItemSpace, support: Support) -> NDArray[np.float32]:
    """Adapt to supports and return (users, items): how well each item fits each user, by the learner's own rule."""
    users = learner.adapt(space, support)
    own = getattr(learner, "score", None)
    return np.asarray(own(space, users) if own else score(space, users), dtype=np.float32)


def score(space: ItemSpace, users: Matrix) -> NDArray[np.float32]:
    """Return (users, items): u·e_i + b_i.

    A user's scores are the same bits whoever else stands in the batch: sparse products go row by row, and dense ones
    in blocks of a fixed number of users, since the last bit of a matrix product depends on its shape.
    """
    vectors = space.vectors
    if sp.issparse(users) and sp.issparse(vectors):
        # columns that most items fill are faster as a dense product; which ones they are depends on the items alone
        full = np.bincount(vectors.indices, minlength=vectors.shape[1]) > 0.5 * vectors.shape[0]
        product = _dense_product(users[:, full].toarray(), vectors[:, full].toarray())
        product += (users[:, ~full] @ vectors[:, ~full].T).toarray()
    elif sp.issparse(users) or sp.issparse(vectors):
        product = np.asarray(users @ vectors.T)
    else:
        product = _dense_product(users, vectors)
    return np.asarray(product + space.bias[None, :], dtype=np.float32)


def _dense_product(users: NDArray[np.float32], items: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (users, items) products, a fixed number of users at a time."""
    out = np.zeros((len(users), len(items)), np.float32)
    block = np.zeros((USERS_A_BLOCK, users.shape[1]), np.float32)
    for start in range(0, len(users) if users.shape[1] else 0, USERS_A_BLOCK):
        some = users[start : start + USERS_A_BLOCK]
        block[: len(some)] = some
        out[start : start + len(some)] = (block @ items.T)[: len(some)]
    return out
