"""The stack of closed forms, and the network over the same evidence, as they are used: arrays, no torch.

Both weigh what a support says for an item by several kinds of evidence (`recpipe.evidence.item_features`); how, was learned on episodes
of earlier cut-offs (`recpipe.models.torch_forms.pair_network`). The stack is the linear case: weights that depend on k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, newest, support_weights
from recpipe.evidence.item_features import CHANNELS, FADE_DAYS, RECENT, SETTINGS, Pairs, gather, speak
from recpipe.models.base import ItemSpace, Matrix

STACK, NETWORK = "stack", "pair_network"
ROWS_AT_ONCE = 4096


@dataclass(frozen=True, eq=False)
class PairNetwork:
    r"""Evidence of pairs, weighed by how much is known of the user.

    The score of a candidate with evidence x (`recpipe.evidence.item_features.features`), of a user with k items, is

    .. math:: (W_0 + κ W_1) x + v^T relu(H relu(G [x, κ] + g) + h) + 2^{-a / 14} r^T s, \quad κ = \log(1 + k) / 2.4 - 0.6

    where s are recent sales of the item (`recpipe.evidence.item_features.RECENT`), and a the days that the list lies ahead of the evidence:
    what sold last week says much of this week and nothing of next season. Without support it is :math:`β` times the item's trends. The stack has no hidden layer.

    Parameters
    ----------
    kind
        ``pair_network`` or ``stack``.
    weights
        (2, features) W.
    trend
        (trends,) β.
    recent
        (recent trends,) r.
    first, first_bias, second, second_bias, last
        G, g, H, h, v; of width 0 in the stack.
    settings
        What is not learned; see `recpipe.evidence.item_features.SETTINGS`.
    """

    weights: NDArray[np.float32]
    trend: NDArray[np.float32]
    recent: NDArray[np.float32]
    first: NDArray[np.float32]
    first_bias: NDArray[np.float32]
    second: NDArray[np.float32]
    second_bias: NDArray[np.float32]
    last: NDArray[np.float32]
    kind: str = NETWORK
    settings: Mapping[str, Any] = field(default_factory=lambda: dict(SETTINGS))

    @property
    def name(self) -> str:
        """``pair_network`` or ``stack``."""
        return self.kind

    def items(self, evidence: Evidence) -> ItemSpace:
        """Let the items of a day speak for each other.

        The vectors are what reasons are read from: column j holds how much item j alone, as a whole support, raises the
        score of each item above that of an item that nothing but its sales speaks for.
        """
        pairs = self.look(evidence)
        return replace(self.place(pairs), vectors=self._brought(pairs))

    def look(self, evidence: Evidence) -> Pairs:
        """Compute what the network sees of the items; nothing in it is learned."""
        return look(evidence, self.settings)

    def place(self, pairs: Pairs) -> ItemSpace:
        """Place items that were looked at before, to be scored: without the vectors that reasons are read from."""
        nowhere = (np.zeros(0, np.intp), np.zeros(0, np.intp))
        none = sp.csr_matrix((np.zeros(0, np.float32), nowhere), shape=(len(pairs), len(pairs) + 1))
        return ItemSpace(none, pairs.trend @ self.trend, pairs)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, items + 1) sparse: weights of the supports, of sum 1 or none, and the weeks the list lies ahead."""
        weights = support_weights(newest(support, self.settings["newest"]), len(space.bias))
        ahead = np.zeros(len(support), np.float32) if support.ahead_days is None else support.ahead_days / np.float32(7)
        return sp.csr_matrix(sp.hstack([weights, sp.csr_matrix(ahead[:, None])], format="csr"), dtype=np.float32)

    def score(self, space: ItemSpace, users: Matrix) -> NDArray[np.float32]:
        """Return (users, items) scores; a row does not depend on who else stands in the batch."""
        pairs, items = pairs_of(space), len(space.bias)
        every = sp.csr_matrix(users)
        ahead = every[:, items].toarray().ravel()
        weights = sp.csr_matrix(every[:, :items])
        found = gather(pairs, weights)
        row = np.repeat(np.arange(len(found.k)), np.diff(found.indptr))
        judged = self._judge(found.seen, found.k[row])
        sold = pairs.trend[:, RECENT].astype(np.float64) @ self.recent
        judged += (sold[found.item] * fresh(ahead * 7)[row]).astype(np.float32)
        # what nothing speaks for comes after all that something speaks for, in the order of sales, and no further below:
        # rankings tell scores apart in steps of the greatest
        lowest = np.zeros(len(found.k), np.float32)
        np.minimum.at(lowest, row, judged)
        out: NDArray[np.float32] = (space.bias - space.bias.max(initial=0))[None, :] + (lowest - 1)[:, None]
        out[row, found.item] = judged
        for user in np.flatnonzero(found.k == 0):
            out[user] = space.bias + self.trend[-1] * (pairs.season[week_of(pairs, ahead[user])] - pairs.season[0])
        return out

    def _judge(self, seen: NDArray[np.float32], k: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (candidates,) scores; rows in blocks of one size, for the last bit of a product depends on its shape."""
        out = np.zeros(len(seen), np.float32)
        block = np.zeros((ROWS_AT_ONCE, seen.shape[1] + 1))
        for start in range(0, len(seen), ROWS_AT_ONCE):
            some = slice(start, min(start + ROWS_AT_ONCE, len(seen)))
            rows = some.stop - start
            block[:rows, :-1] = seen[some]
            block[:rows, -1] = knowledge(k[some])
            out[some] = self._forward(block)[:rows]
        return out

    def _forward(self, block: NDArray[np.float64]) -> NDArray[np.float64]:
        x, known = block[:, :-1], block[:, -1]
        linear = x @ self.weights.T.astype(np.float64)
        total = linear[:, 0] + known * linear[:, 1]
        if self.last.size:
            hidden = np.maximum(block @ self.first + self.first_bias, 0)
            hidden = np.maximum(hidden @ self.second + self.second_bias, 0)
            total += hidden @ self.last
        return np.asarray(total)

    def _brought(self, pairs: Pairs) -> sp.csr_matrix:
        """Return (items, items): what item j alone brings to item i, from j's own row of the evidence."""
        items = len(pairs)
        alone = gather(pairs, sp.csr_matrix(sp.identity(items, dtype=np.float32, format="csr")))
        gain = self._judge(alone.seen, alone.k[np.repeat(np.arange(items), np.diff(alone.indptr))])
        silent = np.zeros_like(alone.seen)
        silent[:, -1] = alone.seen[:, -1]
        gain -= self._judge(silent, np.ones(len(silent), np.int64))
        spoken = (alone.seen[:, : len(CHANNELS)] != 0).any(1) & (gain > 0)
        row = np.repeat(np.arange(items), np.diff(alone.indptr))[spoken]
        brought = sp.csr_matrix((gain[spoken], (alone.item[spoken], row)), shape=(items, items + 1))
        return sp.csr_matrix(brought, dtype=np.float32)


def look(evidence: Evidence, settings: Mapping[str, Any]) -> Pairs:
    """Compute what the network sees of the items; the same for training and for use."""
    pairs = speak(evidence, settings)
    return without_sales(pairs) if "sales" in settings.get("withhold", ()) else pairs


def without_sales(pairs: Pairs) -> Pairs:
    """Return the evidence with all that counts an item's own sales withheld: nobody is shown what sells."""
    return replace(pairs, trend=np.zeros_like(pairs.trend), season=np.zeros_like(pairs.season), popular=pairs.popular[:0])


def pairs_of(space: ItemSpace) -> Pairs:
    """Return the evidence of a space that a `PairNetwork` made."""
    if not isinstance(space.beside, Pairs):
        raise TypeError("this space was made by another learner")
    return space.beside


def knowledge(k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return κ, about −0.3 for one item and 0.4 for ten."""
    return np.asarray(np.log1p(k) / 2.4 - 0.6, dtype=np.float64)


def fresh(ahead_days: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much recent sales count for lists that lie so many days ahead, 1 for none."""
    return np.asarray(np.exp2(-ahead_days.astype(np.float64) / FADE_DAYS))


def week_of(pairs: Pairs, ahead: float) -> int:
    """Return the row of ``pairs.season`` for a list that lies so many weeks ahead."""
    return int(np.clip(round(float(ahead)), 0, len(pairs.season) - 1))
