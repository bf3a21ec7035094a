"""ALS (Hu, Koren and Volinsky 2008) and BM25 item neighbours of the package implicit, tuned before the cutoff."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender
from protocol import LENGTH, Make, arguments, choose_setting, cut_earlier, read_log, serve, write_notes

ALS = [
    {"factors": factors, "regularization": regularization, "alpha": alpha, "iterations": 15}
    for factors, regularization, alpha in itertools.product((32, 64, 128), (0.1, 10.0), (1.0, 10.0))
]
BM25 = [{"K": k, "K1": k1, "B": b} for k, k1, b in itertools.product((50, 200), (0.1, 1.2, 10.0), (0.2, 0.75))]


def matrix(events: pd.DataFrame) -> tuple[sp.csr_matrix, pd.Index]:
    """Return (users, items) ones where a user met an item, and the item ids of the columns."""
    pairs = events.drop_duplicates(["user_id", "item_id"])
    user, item = pd.factorize(pairs.user_id)[0], pd.Categorical(pairs.item_id)
    ones = np.ones(len(pairs), np.float32)
    return sp.csr_matrix((ones, (user, item.codes)), shape=(user.max() + 1, len(item.categories))), item.categories


def maker(events: pd.DataFrame, setting: Mapping[str, Any], *, kind: str, seed: int, threads: int) -> Make:
    """Fit a model and return how it serves users whom it has never seen: by their own row of the matrix alone."""
    seen, ids = matrix(events)
    if kind == "als":
        model = AlternatingLeastSquares(**setting, random_state=seed, num_threads=threads, use_gpu=False)
    else:
        model = BM25Recommender(**setting, num_threads=threads)
    model.fit(seen, show_progress=False)
    return lambda supports: recommend(model, ids, supports, kind)


def recommend(model: Any, ids: pd.Index, supports: list[list[str]], kind: str) -> list[list[str]]:
    """Fold users in and return their lists; items that the model gives no say about are left out."""
    column = [[place for place in ids.get_indexer(pd.Index(support)) if place >= 0] for support in supports]
    indptr = np.cumsum([0, *map(len, column)])
    flat = np.array([place for row in column for place in row], np.int32)
    rows = sp.csr_matrix((np.ones(len(flat), np.float32), flat, indptr), shape=(len(supports), len(ids)))
    rows.sort_indices()
    places, scores = model.recommend(
        np.arange(len(supports)), rows, N=LENGTH, recalculate_user=kind == "als", filter_already_liked_items=True
    )
    says = (places >= 0) & np.isfinite(scores) & (scores > np.finfo(np.float32).min) & ((scores > 0) | (kind == "als"))
    says &= np.diff(indptr)[:, None] > 0
    return [list(ids[place[good]]) for place, good in zip(places, says, strict=True)]


def main() -> None:
    """Tune, fit and serve both models."""
    given = arguments(__doc__)
    log = read_log(given.split)
    earlier = cut_earlier(log, given.seed)

    for kind, settings in (("als", ALS), ("bm25", BM25)):
        fit = partial(maker, kind=kind, seed=given.seed, threads=given.threads)
        began = time.monotonic()
        tried = settings[:1] if given.quick else settings
        print(f"{kind}: {len(tried)} settings", flush=True)
        setting, reached = choose_setting(earlier, tried, fit)
        tuned = time.monotonic()
        make = fit(log.events, setting)
        notes = {"setting": setting, "ndcg_before_cutoff": reached, "tuning_seconds": round(tuned - began, 1),
                 "training_seconds": round(time.monotonic() - tuned, 1)}  # fmt: skip
        out = given.out_dir / f"implicit_{kind}.parquet"
        write_notes(out, {**notes, **serve(log, make, out)})


if __name__ == "__main__":
    main()
