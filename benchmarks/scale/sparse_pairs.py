"""The evidence of the pair network built without dense rows, beside recpipe's own parts of it on the same events.

Two ways: ``full`` builds recpipe's own parts too, and compares them; ``fast`` measures a sample of rows of what is dense in
them, and stands in for EASE spread over like items, so that shops of 50,000 items can be measured in minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import scipy.sparse as sp

from benchmarks.scale import sparse_evidence
from benchmarks.scale.metering import metered, say
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence
from recpipe.evidence import kinds as ours
from recpipe.evidence.ease_weights import ease_weights
from recpipe.evidence.item_features import Pairs, _log_price, trends
from recpipe.evidence.knn import greatest, interactions
from recpipe.evidence.layout import FORMER, TRENDS, used
from recpipe.evidence.pair_patterns import greatest_of, union, values_at
from recpipe.evidence.text_neighbours import weigh_words

SAMPLE = 400
BLOCK = 80
Kinds = dict[str, sp.csr_matrix]


def build(evidence: Evidence, settings: Mapping[str, Any], full: bool) -> Pairs:
    """Return the pairs of a night, each part measured."""
    catalogue = evidence.catalogue
    items = len(catalogue)
    met = interactions(evidence.history, items)
    say(multiply_adds=int((np.diff(met.indptr).astype(np.int64) ** 2).sum()), entries=int(met.nnz))
    warm_up(met, settings)
    with metered("sparse: both kinds of kNN in one pass, 2 threads", items=items):
        kinds = sparse_evidence.sold_together(met, settings)
    with metered("sparse: like words, 2 threads", items=items):
        kinds["words"] = sparse_evidence.like_words(catalogue.texts, settings["neighbours"])
    with metered("dense products: like meaning", items=items):
        kinds["meaning"] = sparse_evidence.like_meaning(catalogue.vectors, settings["neighbours"])
    if full:
        beside_ours(kinds, met, settings)
    else:
        sample_ours(catalogue, settings["neighbours"])
    kinds |= ease_of(met, kinds["words"], catalogue, settings, full)
    with metered("union, category, values"):
        pattern = union([kinds[name] for name in FORMER if name in kinds], items)
        said = {name: values_at(kind, pattern) for name, kind in kinds.items()} | {
            "category": ours.same_category(catalogue, pattern)
        }
        value = np.stack([said[name] for name in FORMER], axis=1)
    with metered("trends"):
        trend, season = trends(evidence)
    mixed = trend[:, : TRENDS.index("season")].sum(1)
    popular = np.sort(np.lexsort((np.arange(items), -mixed))[: settings["popular"]]).astype(np.int32)
    layout = pattern.indptr.astype(np.int64), pattern.indices.astype(np.int32)
    say(pairs=pattern.nnz, pairs_an_item=round(pattern.nnz / items, 1))
    return Pairs(*layout, value, trend, season, popular, _log_price(catalogue), used({**settings, "kinds": FORMER}))


def warm_up(met: sp.csr_matrix, settings: Mapping[str, Any]) -> None:
    """Let numba compile before anything is measured."""
    sparse_evidence.sold_together(met[:50, :200].tocsr(), settings)
    sparse_evidence.like_words(["a b", "a b", "b c"] * 5, 5)


def beside_ours(kinds: Kinds, met: sp.csr_matrix, settings: Mapping[str, Any]) -> None:
    """Measure recpipe's own kNN, and say how much of it the sparse pass has to the last five digits."""
    with metered("recpipe: both kinds of kNN, dense rows", items=met.shape[1]):
        theirs = ours._sold_together(met, settings)
    for name, own in theirs.items():
        other = (abs(own - kinds[name]) > 1e-5).sum()
        say(kind=name, share_of_pairs_that_agree=round(1 - other / own.nnz, 6))


def sample_ours(catalogue: Catalogue, keep: int) -> None:
    """Measure a sample of rows of what recpipe computes densely; the whole of it takes items over the rate."""
    vectors, words = catalogue.vectors, weigh_words(catalogue.texts)
    mean = vectors @ vectors.mean(0)
    with metered("recpipe: like meaning, a sample of rows", items=SAMPLE):
        for rows in _blocks(len(catalogue)):
            greatest(np.asarray(vectors[rows] @ vectors.T - mean[rows, None], np.float32), keep)
    with metered("recpipe: like words, a sample of rows", items=SAMPLE):
        for rows in _blocks(len(catalogue)):
            greatest(np.asarray((words[rows] @ words.T).toarray() - 0.01, np.float32), keep)


def _blocks(items: int) -> Iterator[slice]:
    for start in range(0, min(SAMPLE, items), BLOCK):
        yield slice(start, start + BLOCK)


def ease_of(met: sp.csr_matrix, words: sp.csr_matrix, catalogue: Catalogue, settings: Mapping[str, Any], full: bool) -> Kinds:
    """Return the kinds of EASE: recpipe's own, or with a sparse stand-in for those that are spread over like items."""
    items, keep = met.shape[1], settings["neighbours"]
    if full:
        like = ours._like_words(catalogue, settings)
        with metered("recpipe: EASE in four kinds", items=items):
            return dict(ours._ease_kinds(met, like, settings))
    with metered("recpipe: EASE's inverse", items=items):
        taken, weights = ease_weights(met, settings["ease_strength"])
    with metered("its best of each row, two kinds"):
        users = np.asarray((met > 0).sum(0)).ravel()[taken]
        found = {
            "ease": greatest_of(weights, taken, taken, items, keep),
            "rare_ease": greatest_of(weights / (users + 5.0)[None, :] ** 0.3, taken, taken, items, keep),
        }
    sums = np.maximum(np.asarray(words.sum(1)).ravel(), 1e-9)
    like = sp.csr_matrix(sp.diags(1 / sums) @ words).astype(np.float32)
    with metered("sparse stand-in: EASE's best spread over like words"):
        found["smooth_in"] = best_of_rows(sp.csr_matrix(like @ found["ease"]), keep)
        found["smooth_out"] = best_of_rows(sp.csr_matrix(found["ease"] @ like.T), keep)
    return found


def best_of_rows(matrix: sp.csr_matrix, keep: int) -> sp.csr_matrix:
    """Return a matrix with the greatest values of each row."""
    matrix.sort_indices()
    bar = np.zeros(matrix.shape[0], np.float32)
    for row in np.flatnonzero(np.diff(matrix.indptr) > keep):
        values = matrix.data[matrix.indptr[row] : matrix.indptr[row + 1]]
        bar[row] = np.partition(values, -keep)[-keep]
    matrix.data[matrix.data < np.repeat(bar, np.diff(matrix.indptr))] = 0
    matrix.eliminate_zeros()
    return matrix.astype(np.float32)
