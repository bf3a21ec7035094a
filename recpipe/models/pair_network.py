"""The stack of closed forms, and the network over the same evidence.

Both weigh what a support says for an item by several kinds of evidence (`recpipe.evidence.item_features`); how, is learned on episodes of
earlier cut-offs. The stack is the linear case: weights that depend on k.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, newest, support_weights
from recpipe.evidence.gathering import Candidates, gather
from recpipe.evidence.item_features import FADE_DAYS, RECENT, SETTINGS, Pairs, speak
from recpipe.evidence.layout import TRENDS, layout_of
from recpipe.models.arrays import NUMPY, Array, Arrays, normal_numbers
from recpipe.models.base import ItemSpace, Matrix

STACK, NETWORK = "stack", "pair_network"
ROWS_AT_ONCE = 4096
HIDDEN = 32
START: Mapping[str, float] = {"log knn": 1.0, "log ease": 0.3, "log words": 0.3}
"""Weights before training: what every shop has in common."""
START_SALES, START_TREND = 0.3, {"90 days": 0.5, "users of 365 days": 0.5}


@dataclass(frozen=True, eq=False)
class PairNetwork:
    r"""Evidence of pairs, weighed by how much is known of the user.

    The score of a candidate with evidence x (`recpipe.evidence.layout.Layout.features`), of a user with k items, is

    .. math:: (W_0 + κ W_1) x + v^T relu(H relu(G [x, κ] + g) + h) + 2^{-a / 14} r^T s, \quad κ = \log(1 + k) / 2.4 - 0.6

    where s are recent sales of the item (`recpipe.evidence.item_features.RECENT`), and a the days that the list lies ahead of the evidence:
    what sold last week says much of this week and nothing of next season. Without support it is :math:`β` times the item's
    trends. The stack has no hidden layer.

    Parameters
    ----------
    weights
        (2, features) W.
    trend
        (trends,) β.
    recent
        (recent trends,) r.
    first, first_bias, second, second_bias, last
        G, g, H, h, v; of width 0 in the stack.
    kind
        ``pair_network`` or ``stack``.
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

    @property
    def numbers(self) -> Mapping[str, Array]:
        """What was learned, by name."""
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in ("kind", "settings")}

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
        none = sp.csr_matrix((np.zeros(0, np.float32), nowhere), shape=(len(pairs), width_of(pairs)))
        return ItemSpace(none, popularity(self.numbers, pairs.trend), pairs)

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, items + 1) sparse: weights of the supports, of sum 1 or none, and the weeks the list lies ahead.

        Where means are looked at in which the newest items count most, their weights stand between the two: (users,
        2 items + 1).
        """
        parts = list(weights_of(support, self.settings, len(space.bias)))
        ahead = np.zeros(len(support), np.float32) if support.ahead_days is None else support.ahead_days / np.float32(7)
        given = [*parts[: 2 if len(pairs_of(space).recent) else 1], sp.csr_matrix(ahead[:, None])]
        return sp.csr_matrix(sp.hstack(given, format="csr"), dtype=np.float32)

    def score(self, space: ItemSpace, users: Matrix) -> NDArray[np.float32]:
        """Return (users, items) scores; a row does not depend on who else stands in the batch."""
        pairs, items = pairs_of(space), len(space.bias)
        every = sp.csr_matrix(users)
        ahead = every[:, -1].toarray().ravel()
        latest = sp.csr_matrix(every[:, items:-1]) if len(pairs.recent) else None
        found = gather(pairs, sp.csr_matrix(every[:, :items]), latest)
        row = np.repeat(np.arange(len(found.k)), np.diff(found.indptr))
        judged = self._judge(found.seen, found.k[row])
        sold = recent_sales(_exact(self.numbers), pairs.trend.astype(np.float64))
        judged += (sold[found.item] * fresh(ahead * 7)[row]).astype(np.float32)
        # what nothing speaks for comes after all that something speaks for, in the order of sales, and no further below:
        # rankings tell scores apart in steps of the greatest
        lowest = np.zeros(len(found.k), np.float32)
        np.minimum.at(lowest, row, judged)
        out: NDArray[np.float32] = (space.bias - space.bias.max(initial=0))[None, :] + (lowest - 1)[:, None]
        out[row, found.item] = judged
        nobody = np.flatnonzero(found.k == 0)
        week = weeks_of(pairs, ahead[nobody])
        for one in np.unique(week):
            out[nobody[week == one]] = popularity(self.numbers, trend_of(pairs, one))
        return out

    def _judge(self, seen: NDArray[np.float32], k: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return (candidates,) scores; rows in blocks of one size, for the last bit of a product depends on its shape."""
        out, exact = np.zeros(len(seen), np.float32), _exact(self.numbers)
        block = np.zeros((ROWS_AT_ONCE, seen.shape[1] + 1))
        for start in range(0, len(seen), ROWS_AT_ONCE):
            some = slice(start, min(start + ROWS_AT_ONCE, len(seen)))
            rows = some.stop - start
            block[:rows, :-1] = seen[some]
            block[:rows, -1] = knowledge(k[some])
            out[some] = judged_by(exact, block[:, :-1], block[:, -1], NUMPY)[:rows]
        return out

    def _brought(self, pairs: Pairs) -> sp.csr_matrix:
        """Return (items, items): what item j alone brings to item i, from j's own row of the evidence."""
        items = len(pairs)
        alone = gather(pairs, sp.csr_matrix(sp.identity(items, dtype=np.float32, format="csr")))
        gain = self._judge(alone.seen, alone.k[np.repeat(np.arange(items), np.diff(alone.indptr))])
        silent = np.zeros_like(alone.seen)
        silent[:, -1] = alone.seen[:, -1]
        gain -= self._judge(silent, np.ones(len(silent), np.int64))
        spoken = (alone.seen[:, : pairs.value.shape[1]] != 0).any(1) & (gain > 0)
        row = np.repeat(np.arange(items), np.diff(alone.indptr))[spoken]
        brought = sp.csr_matrix((gain[spoken], (alone.item[spoken], row)), shape=(items, width_of(pairs)))
        return sp.csr_matrix(brought, dtype=np.float32)


# --- formulas


def judged_by(numbers: Mapping[str, Array], seen: Array, known: Array, xp: Arrays) -> Array:
    """Return (candidates,) scores for what a support says, recent sales left out.

    Parameters
    ----------
    numbers
        As the parameters of `PairNetwork` are called.
    seen, known
        (candidates, features) evidence x; (candidates,) κ.
    """
    linear = seen @ numbers["weights"].T
    total = linear[:, 0] + known * linear[:, 1]
    if len(numbers["last"]):
        hidden = xp.relu(xp.concat([seen, known[:, None]]) @ numbers["first"] + numbers["first_bias"])
        hidden = xp.relu(hidden @ numbers["second"] + numbers["second_bias"])
        total = total + hidden @ numbers["last"]
    return total


def recent_sales(numbers: Mapping[str, Array], trend: Array) -> Array:
    """Return what an item's recent sales count for a list that lies no days ahead, from (items, trends)."""
    return trend[:, RECENT] @ numbers["recent"]


def popularity(numbers: Mapping[str, Array], trend: Array) -> Array:
    """Return the score for users without a support, from (items, trends)."""
    return trend @ numbers["trend"]


def knowledge(k: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return κ, about −0.3 for one item and 0.4 for ten."""
    return np.asarray(np.log1p(k) / 2.4 - 0.6, dtype=np.float64)


def fresh(ahead_days: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return how much recent sales count for lists that lie so many days ahead, 1 for none."""
    return np.asarray(np.exp2(-ahead_days.astype(np.float64) / FADE_DAYS))


# --- what is seen of the items


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


def width_of(pairs: Pairs) -> int:
    """Return the columns of what `PairNetwork.adapt` makes of supports."""
    return len(pairs) * (2 if len(pairs.recent) else 1) + 1


def candidates_of(pairs: Pairs, support: Support, settings: Mapping[str, Any]) -> Candidates:
    """Return what supports say for the items they speak for."""
    return gather(pairs, *weights_of(support, settings, len(pairs)))


def weights_of(support: Support, settings: Mapping[str, Any], items: int) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Return (users, items) weights of the newest entries of supports, of sum 1 or none, and the same where the newest count most."""
    some = newest(support, settings["newest"])
    fading = replace(some, weight=some.weight * moment_weights(some, settings.get("fade", 1.0)))
    return support_weights(some, items), support_weights(fading, items)


def moment_weights(support: Support, fade: float) -> NDArray[np.float32]:
    """Return (entries,) ``fade`` to the power of the later moments at which the user met an item; entries of one moment count alike."""
    later = np.zeros(len(support.item), np.int64)
    if len(later):
        owner = np.repeat(np.arange(len(support)), support.k)
        new = np.r_[False, (owner[1:] == owner[:-1]) & (support.age_days[1:] != support.age_days[:-1])]
        moment = np.cumsum(new)
        last = moment[np.maximum(support.indptr[1:] - 1, 0)]
        later = np.repeat(last, support.k) - moment
    return np.maximum(np.float64(fade) ** later, 1e-12).astype(np.float32)


def weeks_of(pairs: Pairs, ahead: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the rows of ``pairs.season`` for lists that lie so many weeks ahead."""
    return np.clip(np.round(ahead.astype(np.float64)), 0, len(pairs.season) - 1).astype(np.int64)


def trend_of(pairs: Pairs, week: int) -> NDArray[np.float32]:
    """Return (items, trends) as they are for lists that lie so many weeks ahead: with the season of that week."""
    return np.column_stack([pairs.trend[:, :-1], pairs.season[week]])


# --- before training


def start(hidden: int, seed: int, settings: Mapping[str, Any] = SETTINGS) -> dict[str, NDArray[np.float32]]:
    """Return the numbers every shop starts from, and hidden layers that say nothing yet."""
    rows, drawn = len(layout_of(settings).features) + 1, normal_numbers(seed)
    return {
        "weights": np.stack([start_weights(settings), np.zeros(rows - 1, np.float32)]),
        "trend": start_trend(),
        "recent": np.zeros(len(RECENT), np.float32),
        "first": np.float32((2.0 / rows) ** 0.5) * drawn(rows, hidden),
        "first_bias": np.zeros(hidden, np.float32),
        "second": np.float32((2.0 / max(hidden, 1)) ** 0.5) * drawn(hidden, hidden),
        "second_bias": np.zeros(hidden, np.float32),
        "last": np.zeros(hidden, np.float32),
    }


def start_weights(settings: Mapping[str, Any] = SETTINGS) -> NDArray[np.float32]:
    """Return (features,) the weights of what a support says."""
    names = layout_of(settings).features
    given = {**START, names[-1]: START_SALES}
    return np.array([given.get(name, 0.0) for name in names], np.float32)


def start_trend() -> NDArray[np.float32]:
    """Return (trends,) the weights of an item's sales for users without support."""
    return np.array([START_TREND.get(name, 0.0) for name in TRENDS], np.float32)


def _exact(numbers: Mapping[str, Array]) -> dict[str, Array]:
    """Return the numbers in double precision."""
    return {name: NUMPY.double(held) for name, held in numbers.items()}
