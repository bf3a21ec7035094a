"""The kinds of evidence of items for items: each is computed as of an instant, and nothing in it is learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence
from recpipe.evidence.bm25_neighbours import bm25_neighbours
from recpipe.evidence.ease_weights import ease_weights
from recpipe.evidence.knn import interactions, similar_items
from recpipe.evidence.pair_patterns import Vectors, alike, greatest_of, in_blocks, rows_of, union, values_at
from recpipe.evidence.sequences import met_next
from recpipe.evidence.text_neighbours import weigh_words

TOWARDS_POPULAR = 0.3
"""The power of a candidate's count where popular candidates are favoured; 0.5 is the cosine."""


def evidence_of_kinds(
    evidence: Evidence, kinds: Sequence[str], settings: Mapping[str, Any]
) -> tuple[sp.csr_matrix, NDArray[np.float32]]:
    """Return the pairs of which any kind speaks, as a pattern, and (pairs, kinds) what each says of them.

    A kind that the catalogue cannot give says nothing: a model may come from a shop that has more.
    """
    catalogue = evidence.catalogue
    found = {**_behaviour(evidence, kinds, settings), **_texts(catalogue, kinds, settings)}
    spoken = {name: found[name] for name in kinds if name in found}
    pattern = union(list(spoken.values()), len(catalogue))
    columns = [_column(name, spoken, pattern, catalogue, settings) for name in kinds]
    return pattern, np.stack(columns, axis=1) if columns else np.zeros((pattern.nnz, 0), np.float32)


def _column(
    name: str, spoken: Mapping[str, sp.csr_matrix], pattern: sp.csr_matrix, catalogue: Catalogue, settings: Mapping[str, Any]
) -> NDArray[np.float32]:
    """Return (pairs,) what one kind says."""
    if name == "category":
        return same_category(catalogue, pattern)
    if name == "brand":
        return same_brand(catalogue, pattern)
    if name not in spoken:
        return np.zeros(pattern.nnz, np.float32)
    if name in settings.get("whole", ()):
        return _products_at(_vectors(catalogue)[name], pattern)
    return values_at(spoken[name], pattern)


def _behaviour(evidence: Evidence, kinds: Sequence[str], settings: Mapping[str, Any]) -> dict[str, sp.csr_matrix]:
    """Return what is read from who met what, rows of support items and columns of candidates."""
    items = len(evidence.catalogue)
    met = interactions(evidence.history, items)
    found = _sold_together(met, settings)
    if {"ease", "rare_ease", "smooth_in", "smooth_out"} & set(kinds):
        found |= _ease_kinds(met, _like_words(evidence.catalogue, settings), settings)
    if "bm25" in kinds:
        found["bm25"] = bm25_neighbours(met, settings["neighbours"])
    if "met_next" in kinds:
        found["met_next"] = met_next(
            evidence.history,
            items,
            neighbours=settings["neighbours"],
            shrinkage=settings["knn_shrinkage"],
            user_power=settings["user_power"],
            power=TOWARDS_POPULAR,
        )
    return found


def _sold_together(met: sp.csr_matrix, settings: Mapping[str, Any]) -> dict[str, sp.csr_matrix]:
    """Return rows of support items, columns of candidates: damped similarity that favours the popular, and the even one."""
    lengths = np.maximum(np.diff(met.indptr), 1).astype(np.float32)
    own = np.asarray((sp.diags(lengths ** -settings["user_power"]) @ met.multiply(met)).sum(0)).ravel()
    unit = float(own[own > 0].mean()) if (own > 0).any() else 1.0
    found = {}
    for name, shrinkage, power in (("knn", "knn_shrinkage", TOWARDS_POPULAR), ("even_knn", "even_shrinkage", 0.5)):
        found[name] = similar_items(
            met,
            neighbours=settings["neighbours"],
            shrinkage=settings[shrinkage] * unit,
            user_power=settings["user_power"],
            candidate_power=1 - power,
        )
    return found


# --- texts


def _vectors(catalogue: Catalogue) -> dict[str, Vectors]:
    """Return vectors of the texts, by kind."""
    last = _WEIGHED.get("words")
    if not last or last[0] is not catalogue.texts:
        _WEIGHED["words"] = last = (catalogue.texts, weigh_words(catalogue.texts))
    found: dict[str, Vectors] = {"words": last[1], "meaning": catalogue.vectors}
    return found if catalogue.tuned is None else {**found, "tuned": catalogue.tuned}


def _texts(catalogue: Catalogue, kinds: Sequence[str], settings: Mapping[str, Any]) -> dict[str, sp.csr_matrix]:
    """Return items whose texts are alike, by kind.

    The last answer is kept: training looks at one catalogue at many instants, and texts are most of what there is to compute.
    """
    vectors = _vectors(catalogue)
    return {name: _alike_in(name, vectors[name], catalogue, settings["neighbours"]) for name in kinds if name in vectors}


def _like_words(catalogue: Catalogue, settings: Mapping[str, Any]) -> sp.csr_matrix:
    """Return the few items of the most like words, through which EASE spreads."""
    return _alike_in("like", _vectors(catalogue)["words"], catalogue, settings["text_neighbours"])


def _alike_in(name: str, vectors: Vectors, catalogue: Catalogue, keep: int) -> sp.csr_matrix:
    held = catalogue.texts if name in ("words", "like") else vectors
    last = _LAST.get(name)
    if not last or last[0] is not held or last[1] != keep:
        _LAST[name] = last = (held, keep, alike(vectors, keep))
    return last[2].copy()


_WEIGHED: dict[str, tuple[list[str], sp.csr_matrix]] = {}
_LAST: dict[str, tuple[Any, int, sp.csr_matrix]] = {}
"""By kind: texts or vectors of a catalogue (held, so that they can be told by identity), how many neighbours, what was found."""
PAIRS_AT_ONCE = 50_000


def _products_at(vectors: Vectors, pattern: sp.csr_matrix) -> NDArray[np.float32]:
    """Return (pairs,) inner products above what the row has with any item on average, and no less than 0."""
    mean = np.asarray(vectors @ np.asarray(vectors.mean(0)).ravel()).ravel()
    row, out = rows_of(pattern), np.zeros(pattern.nnz, np.float32)
    for start in range(0, pattern.nnz, PAIRS_AT_ONCE):
        some = slice(start, start + PAIRS_AT_ONCE)
        one, other = vectors[row[some]], vectors[pattern.indices[some]]
        both = one.multiply(other) if isinstance(one, sp.csr_matrix) else one * other
        out[some] = np.asarray(both.sum(axis=1)).ravel()
    return np.asarray(np.maximum(out - mean[row], 0), np.float32)


# --- EASE, and EASE through texts


def _ease_kinds(met: sp.csr_matrix, like: sp.csr_matrix, settings: Mapping[str, Any]) -> dict[str, sp.csr_matrix]:
    """Return EASE, EASE that favours rare candidates, and EASE spread over items of like words on either side."""
    taken, weights = ease_weights(met, settings["ease_strength"])
    items, keep = met.shape[1], settings["neighbours"]
    users = np.asarray((met > 0).sum(0)).ravel()[taken]
    sums = np.asarray(like.sum(1)).ravel()
    like = sp.csr_matrix(sp.diags(np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0).astype(np.float32)) @ like)
    everyone = np.arange(items)
    return {
        "ease": greatest_of(weights, taken, taken, items, keep),
        "rare_ease": greatest_of(weights / (users + 5.0)[None, :] ** 0.3, taken, taken, items, keep),
        "smooth_in": in_blocks(lambda rows: like[rows][:, taken] @ weights, everyone, taken, items, keep),
        "smooth_out": _spread(weights, like[:, taken], taken, items, keep),
    }


def _spread(weights: NDArray[np.float32], like: sp.csr_matrix, taken: NDArray[np.intp], items: int, keep: int) -> sp.csr_matrix:
    """Return what each item that takes part says for any item through the items of like words."""
    spread, position = sp.csr_matrix(like.T), np.arange(len(taken))
    found = in_blocks(lambda rows: weights[np.searchsorted(taken, rows)] @ spread, taken, np.arange(items), items, keep)
    lifted = sp.csr_matrix((np.ones(len(taken), np.float32), (taken, position)), shape=(items, max(len(taken), 1)))
    return sp.csr_matrix(lifted[:, : found.shape[0]] @ found)


# --- what two items share


def same_category(catalogue: Catalogue, pattern: sp.csr_matrix) -> NDArray[np.float32]:
    """Return, for each pair, the share of the category path that the two have in common, root first; 0 without path."""
    depth, row = max((len(path) for path in catalogue.categories), default=0), rows_of(pattern)
    common = np.zeros(pattern.nnz, np.float32)
    for level in range(1, depth + 1):
        names = {path: code for code, path in enumerate(sorted({path[:level] for path in catalogue.categories}))}
        code = np.array([names[path[:level]] if len(path) >= level else -1 for path in catalogue.categories])
        common += (code[row] == code[pattern.indices]) & (code[row] >= 0)
    return np.asarray(common / max(depth, 1), np.float32)


def same_brand(catalogue: Catalogue, pattern: sp.csr_matrix) -> NDArray[np.float32]:
    """Return, for each pair, 1 where the two are of one brand, in whatever case it is written; 0 where it is unknown."""
    named = [name.strip().casefold() for name in catalogue.brands or [""] * len(catalogue)]
    codes = {name: code for code, name in enumerate(sorted(set(named) - {""}))}
    code = np.array([codes.get(name, -1) for name in named], np.int64)
    row = rows_of(pattern)
    return np.asarray((code[row] == code[pattern.indices]) & (code[row] >= 0), np.float32)
