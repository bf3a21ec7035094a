"""Evidence of one item for another, of several kinds, and of a support for its candidates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence
from recpipe.dataset.support import ranges
from recpipe.evidence.ease_weights import ease_weights
from recpipe.evidence.knn import greatest, interactions, similar_items
from recpipe.evidence.text_neighbours import weigh_words
from recpipe.evidence.trends import SEASONS_AHEAD, faded_counts, faded_users, season_counts

CHANNELS = ("knn", "even_knn", "ease", "rare_ease", "words", "meaning", "smooth_in", "smooth_out", "category")
"""Kinds of evidence that one item gives for another, in the order of `Pairs.value`."""
GREATEST = ("knn", "ease", "words", "meaning")
"""Kinds of which the support's strongest voice is looked at too, beside the mean."""
TRENDS = ("14 days", "30 days", "90 days", "365 days", "users of 90 days", "users of 365 days", "season")
"""What is known of an item's sales; see `trends`."""
SETTLED = TRENDS.index("users of 365 days")
"""The trend that a user with a support is shown: the others let a model memorise what sold then."""
RECENT = [TRENDS.index(name) for name in ("14 days", "30 days", "90 days")]
"""Trends that count for such a user, too, in a weighted sum that fades by halves in `FADE_DAYS` the list lies ahead."""
FADE_DAYS = 14.0

SETTINGS: Mapping[str, Any] = {
    "neighbours": 60,  # kept of each kind, for each item
    "popular": 200,  # items that are candidates for everybody
    "user_power": 0.5,
    "knn_shrinkage": 0.5,  # in units of the mean self-similarity, as for the next one
    "even_shrinkage": 0.15,
    "ease_strength": 2000.0,
    "text_neighbours": 30,
    "newest": 50,  # items of a support that speak
}
CELLS_A_BLOCK = 4_000_000


@dataclass(frozen=True)
class Pairs:
    """What each item says for others, in the layout of a CSR matrix.

    Attributes
    ----------
    indptr, item
        (items + 1,) int64, (pairs,) int32: entries indptr[j] to indptr[j + 1] are the items that item j speaks for.
    value
        (pairs, kinds) float32, kinds as in `CHANNELS`.
    trend
        (items, trends) float32: log(1 + count), see `trends`.
    season
        (weeks ahead, items) float32: the last column of ``trend`` for lists that are made so many weeks later.
    popular
        (popular,) int32: candidates for everybody.
    log_price
        (items,) float32, the mean of all where the price is unknown.
    used
        (features,) float32: 1, or 0 for features that a learner does without.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]
    value: NDArray[np.float32]
    trend: NDArray[np.float32]
    season: NDArray[np.float32]
    popular: NDArray[np.int32]
    log_price: NDArray[np.float32]
    used: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.indptr) - 1


@dataclass(frozen=True)
class Candidates:
    """Items that something speaks for, user by user.

    Attributes
    ----------
    indptr, item
        (users + 1,) int64, (candidates,) int32, sorted by item within a user.
    seen
        (candidates, features) float32, as `features` gives them.
    k
        (users,) items that count in the support.
    """

    indptr: NDArray[np.int64]
    item: NDArray[np.int32]
    seen: NDArray[np.float32]
    k: NDArray[np.int64]


def features() -> list[str]:
    """Return the names of the columns of `Candidates.seen`."""
    evidence = [*CHANNELS, *(f"greatest {name}" for name in GREATEST)]
    return [*evidence, *(f"log {name}" for name in evidence), "price", f"sales of {TRENDS[SETTLED]}"]


def speak(evidence: Evidence, settings: Mapping[str, Any]) -> Pairs:
    """Compute what each item says for others as of an instant; nothing in it is learned.

    Linear algebra runs on one thread: the last bits of an inverse depend on how many there are.
    """
    if not len(evidence.catalogue):
        return _nothing(settings)
    with threadpool_limits(limits=1):
        return _speak(evidence, settings)


def _nothing(settings: Mapping[str, Any]) -> Pairs:
    """Return what a shop without items says, before its first delivery."""
    none, season = np.zeros(0, np.int32), np.zeros((SEASONS_AHEAD, 0), np.float32)
    value, trend = np.zeros((0, len(CHANNELS)), np.float32), np.zeros((0, len(TRENDS)), np.float32)
    return Pairs(np.zeros(1, np.int64), none, value, trend, season, none, np.zeros(0, np.float32), used(settings))


def _speak(evidence: Evidence, settings: Mapping[str, Any]) -> Pairs:
    catalogue, met = evidence.catalogue, interactions(evidence.history, len(evidence.catalogue))
    like, words, meaning = _alike_in_text(catalogue, settings["neighbours"], settings["text_neighbours"])
    kinds = {**_sold_together(met, settings), **_ease_kinds(met, like, settings)}
    kinds["words"], kinds["meaning"] = words.copy(), meaning.copy()
    pattern = _union([kinds[name] for name in CHANNELS if name in kinds], len(catalogue))
    kinds["category"] = _same_category(catalogue, pattern)
    value = np.stack([_values_at(kinds[name], pattern) for name in CHANNELS], axis=1)
    trend, season = trends(evidence)
    mixed = trend[:, : TRENDS.index("season")].sum(1)
    popular = np.sort(np.lexsort((np.arange(len(mixed)), -mixed))[: settings["popular"]]).astype(np.int32)
    pairs = (pattern.indptr.astype(np.int64), pattern.indices.astype(np.int32), value)
    return Pairs(*pairs, trend, season, popular, _log_price(catalogue), used(settings))


def used(settings: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return (features,) 1, or 0 for what the settings take away.

    ``closed_forms_alone`` leaves the means of closed forms and the item's sales; ``withhold`` with ``sales`` takes all that
    counts an item's own sales.
    """
    taken: list[str] = []
    if settings.get("closed_forms_alone"):
        taken += [*(f"greatest {name}" for name in GREATEST), "category", "price"]
    if "sales" in settings.get("withhold", ()):
        taken += ["rare_ease", features()[-1]]
    return np.array([name.removeprefix("log ") not in taken for name in features()], np.float32)


def trends(evidence: Evidence) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return (items, trends) log(1 + n): events, and distinct users, fading by halves in so many days, and the coming season.

    The season is what sold a year ago in the weeks that follow now. Users are counted beside events, because one wholesale
    customer's many orders say little of what the next customer takes.

    The second result, (weeks ahead, items), is the last column for lists made later than the evidence ends.
    """
    faded = [faded_counts(evidence, days) for days in (14.0, 30.0, 90.0, 365.0)]
    faded += [faded_users(evidence, days) for days in (90.0, 365.0)]
    logs = np.log1p([season_counts(evidence, 7 * week) for week in range(SEASONS_AHEAD)]).astype(np.float32)
    return np.column_stack([np.log1p(np.stack(faded, axis=1)), logs[0]]).astype(np.float32), logs


def gather(pairs: Pairs, weights: sp.csr_matrix) -> Candidates:
    """Collect what supports say for the items they speak for, and what sells.

    A value is the weighted mean, or the greatest, over the support; it is divided by its standard deviation over the
    catalogue, so that kinds of evidence can be compared between users.

    Parameters
    ----------
    weights
        (users, items): weights of the supports, rows of sum 1 or empty.
    """
    users, items = weights.shape
    entry_user = np.repeat(np.arange(users), np.diff(weights.indptr))
    rows, bounds = ranges(pairs.indptr, weights.indices)
    spoken = np.repeat(entry_user, np.diff(bounds)) * items + pairs.item[rows]
    everybody = (np.arange(users)[:, None] * items + pairs.popular[None, :]).ravel()
    key = np.concatenate([spoken, everybody])
    # sorting numbers is several times as fast as sorting places: place and key share a number
    key, order = np.divmod(np.sort(key * max(len(key), 1) + np.arange(len(key))), max(len(key), 1))
    start = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.zeros(0, np.intp)
    share = np.repeat(weights.data, np.diff(bounds)).astype(np.float32)
    none = np.zeros((len(everybody), len(CHANNELS)), np.float32)
    said = pairs.value[rows]
    mean = np.add.reduceat(np.concatenate([said * share[:, None], none])[order], start, axis=0)
    strongest = [CHANNELS.index(name) for name in GREATEST]
    most = np.maximum.reduceat(np.concatenate([said[:, strongest], none[:, strongest]])[order], start, axis=0)
    found, item = key[start] // items, (key[start] % items).astype(np.int32)
    indptr = np.searchsorted(found, np.arange(users + 1)).astype(np.int64)
    k = np.diff(weights.indptr).astype(np.int64)
    scaled = _scaled(np.column_stack([mean, most]), indptr, items)
    own = np.asarray(weights @ pairs.log_price)
    beside = np.column_stack([-np.abs(pairs.log_price[item] - own[found]) * (k[found] > 0), pairs.trend[item, SETTLED]])
    seen = np.column_stack([scaled / 5, np.sign(scaled) * np.log1p(np.abs(scaled)), beside]).astype(np.float32)
    seen *= pairs.used
    return Candidates(indptr, item, seen, k)


def _scaled(values: NDArray[np.float32], indptr: NDArray[np.int64], items: int) -> NDArray[np.float32]:
    """Divide by the standard deviation over the catalogue, in which all but the candidates are zero; at most 30."""
    filled = np.flatnonzero(np.diff(indptr))
    total, squares = np.zeros((2, len(indptr) - 1, values.shape[1]))
    total[filled] = np.add.reduceat(values, indptr[filled], axis=0, dtype=np.float64)
    squares[filled] = np.add.reduceat(values.astype(np.float64) ** 2, indptr[filled], axis=0)
    spread = np.sqrt(np.maximum(squares / items - (total / items) ** 2, 0))
    scale = np.divide(1.0, spread, out=np.zeros_like(spread), where=spread > 1e-9)
    scaled: NDArray[np.float32] = np.clip(values * np.repeat(scale, np.diff(indptr), axis=0), -30, 30).astype(np.float32)
    return scaled


def _sold_together(met: sp.csr_matrix, settings: Mapping[str, Any]) -> dict[str, sp.csr_matrix]:
    """Return rows of support items, columns of candidates: damped similarity that favours the popular, and the even one."""
    lengths = np.maximum(np.diff(met.indptr), 1).astype(np.float32)
    own = np.asarray((sp.diags(lengths ** -settings["user_power"]) @ met.multiply(met)).sum(0)).ravel()
    unit = float(own[own > 0].mean()) if (own > 0).any() else 1.0
    found = {}
    for name, shrinkage, power in (("knn", "knn_shrinkage", 0.3), ("even_knn", "even_shrinkage", 0.5)):
        similar = similar_items(
            met,
            neighbours=settings["neighbours"],
            shrinkage=settings[shrinkage] * unit,
            user_power=settings["user_power"],
            candidate_power=1 - power,
        )
        found[name] = similar
    return found


def _alike_in_text(
    catalogue: Catalogue, neighbours: int, text_neighbours: int
) -> tuple[sp.csr_matrix, sp.csr_matrix, sp.csr_matrix]:
    """Return items of like words (few, for spreading), of like words, and of like meaning.

    The last answer is kept: training looks at one catalogue at many instants, and texts are most of what there is to compute.
    """
    last = _LAST.get("catalogue")
    if last and last[0] is catalogue.texts and last[1] is catalogue.vectors and last[2] == (neighbours, text_neighbours):
        return last[3], last[4], last[5]
    words = weigh_words(catalogue.texts)
    like, alike, meaning = _alike(words, text_neighbours), _alike(words, neighbours), _alike(catalogue.vectors, neighbours)
    _LAST["catalogue"] = (catalogue.texts, catalogue.vectors, (neighbours, text_neighbours), like, alike, meaning)
    return like, alike, meaning


_LAST: dict[str, tuple[Any, ...]] = {}
"""Texts and vectors of a catalogue (held, so that they can be told by identity), how many neighbours, and what was found."""


def _ease_kinds(met: sp.csr_matrix, like: sp.csr_matrix, settings: Mapping[str, Any]) -> dict[str, sp.csr_matrix]:
    """Return EASE, EASE that favours rare candidates, and EASE spread over items of like words on either side."""
    taken, weights = ease_weights(met, settings["ease_strength"])
    items, keep = met.shape[1], settings["neighbours"]
    users = np.asarray((met > 0).sum(0)).ravel()[taken]
    sums = np.asarray(like.sum(1)).ravel()
    like = sp.csr_matrix(sp.diags(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0).astype(np.float32)) @ like)
    everyone = np.arange(items)
    return {
        "ease": _sparse(weights, taken, taken, items, keep),
        "rare_ease": _sparse(weights / (users + 5.0)[None, :] ** 0.3, taken, taken, items, keep),
        "smooth_in": _blocks(lambda rows: like[rows][:, taken] @ weights, everyone, taken, items, keep),
        "smooth_out": _sparse_rows(weights, like[:, taken], taken, items, keep),
    }


def _sparse_rows(
    weights: NDArray[np.float32], like: sp.csr_matrix, taken: NDArray[np.intp], items: int, keep: int
) -> sp.csr_matrix:
    """Return what each item that takes part says for any item through the items of like words."""
    spread, position = sp.csr_matrix(like.T), np.arange(len(taken))
    found = _blocks(lambda rows: weights[np.searchsorted(taken, rows)] @ spread, taken, np.arange(items), items, keep)
    lifted = sp.csr_matrix((np.ones(len(taken), np.float32), (taken, position)), shape=(items, max(len(taken), 1)))
    return sp.csr_matrix(lifted[:, : found.shape[0]] @ found)


def _sparse(dense: NDArray[np.float32], row: NDArray[np.intp], column: NDArray[np.intp], items: int, keep: int) -> sp.csr_matrix:
    """Return (items, items) with the greatest positive values of each row of a dense part."""
    place, value, count = greatest(np.asarray(dense, np.float32), keep)
    shape = (items, items)
    return sp.csr_matrix((value, (np.repeat(row, count), column[place])), shape=shape, dtype=np.float32)


def _blocks(product: Any, rows: NDArray[np.intp], column: NDArray[np.intp], items: int, keep: int) -> sp.csr_matrix:
    """Do as `_sparse`, for a product that is computed some rows at a time."""
    size = max(1, CELLS_A_BLOCK // max(items, 1))
    parts = []
    for start in range(0, len(rows), size):
        some = rows[start : start + size]
        dense = np.asarray(product(some), np.float32)
        dense[some[:, None] == column[None, :]] = 0  # no item speaks for itself
        place, value, count = greatest(dense, keep)
        indptr = np.r_[0, np.cumsum(count)]
        parts.append(sp.csr_matrix((value, column[place], indptr), shape=(len(some), items)))
    return sp.csr_matrix(sp.vstack(parts, format="csr")) if parts else sp.csr_matrix(np.zeros((0, items), np.float32))


def _alike(vectors: NDArray[np.float32] | sp.csr_matrix, keep: int) -> sp.csr_matrix:
    """Return the greatest inner products of each row, above what any two rows have in common on average."""
    items = vectors.shape[0]
    mean = vectors @ np.asarray(vectors.mean(0)).ravel()

    def product(rows: NDArray[np.intp]) -> NDArray[np.float32]:
        found = vectors[rows] @ vectors.T
        dense = found.toarray() if sp.issparse(found) else found
        return np.asarray(dense - mean[rows][:, None], np.float32)

    return _blocks(product, np.arange(items), np.arange(items), items, keep)


def _union(kinds: list[sp.csr_matrix], items: int) -> sp.csr_matrix:
    """Return the pairs of which any kind of evidence speaks, in order."""
    key = np.sort(np.concatenate([_keys(kind) for kind in kinds]))
    row, column = np.divmod(key[np.r_[True, key[1:] != key[:-1]][: len(key)]], items)
    return sp.csr_matrix(
        (np.ones(len(row), np.float32), column, np.searchsorted(row, np.arange(items + 1))), shape=(items, items)
    )


def _keys(matrix: sp.csr_matrix) -> NDArray[np.int64]:
    return np.repeat(np.arange(matrix.shape[0], dtype=np.int64), np.diff(matrix.indptr)) * matrix.shape[1] + matrix.indices


def _values_at(kind: sp.csr_matrix, pattern: sp.csr_matrix) -> NDArray[np.float32]:
    """Return (pairs,) the values of one kind at the pairs of all."""
    kind.sort_indices()
    wanted, known = _keys(pattern), _keys(kind)
    place = np.searchsorted(known, wanted)
    hit = (
        (place < len(known)) & (known[np.minimum(place, len(known) - 1)] == wanted) if len(known) else np.zeros(len(wanted), bool)
    )
    out = np.zeros(len(wanted), np.float32)
    out[hit] = kind.data[place[hit]]
    return out


def _same_category(catalogue: Catalogue, pattern: sp.csr_matrix) -> sp.csr_matrix:
    """Return, for each pair, the share of the category path that the two have in common, root first; 0 without path."""
    depth = max((len(path) for path in catalogue.categories), default=0)
    row = np.repeat(np.arange(len(catalogue)), np.diff(pattern.indptr))
    common = np.zeros(pattern.nnz, np.float32)
    for level in range(1, depth + 1):
        names = {path: code for code, path in enumerate(sorted({path[:level] for path in catalogue.categories}))}
        code = np.array([names[path[:level]] if len(path) >= level else -1 for path in catalogue.categories])
        common += (code[row] == code[pattern.indices]) & (code[row] >= 0)
    return sp.csr_matrix((common / max(depth, 1), pattern.indices, pattern.indptr), shape=pattern.shape)


def _log_price(catalogue: Catalogue) -> NDArray[np.float32]:
    known = np.isfinite(catalogue.price) & (catalogue.price > 0)
    logs = np.log(np.where(known, catalogue.price, 1.0))
    return np.where(known, logs, logs[known].mean() if known.any() else 0.0).astype(np.float32)
