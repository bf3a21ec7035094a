"""Carts of completejourney with one line held out: hit@10 over the full catalogue, ours against what is simpler.

``python -m benchmarks.complements FOLDER [PYTHON]``: FOLDER holds completejourney's events.parquet and items.parquet, PYTHON
is the interpreter of an environment that has `implicit`, whose ALS and BPR are left out otherwise. What is learned is learned
on orders before `CUT`; the carts are orders after it. Every learner ranks every item that was ever bought, the cart's
own left out; recpipe leaves out substitutes besides.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.metrics.intervals import ends, sum_draws
from recpipe.models.item_knn import ItemKNN
from recpipe.tables.baskets import co_purchase as learn
from recpipe.tables.baskets.baskets import LEARN_DAYS, learned_weights

CUT = np.datetime64("2017-12-01")
CARTS, K, SEED, DRAWS = 3000, 10, 7, 2000
BLOCK = 100

Hits = NDArray[np.bool_]


def main() -> None:
    """Measure, and print one line a learner."""
    folder, python = Path(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else ""
    orders, leaf, users = read(folder)
    before = orders.take(np.flatnonzero(orders.day < CUT))
    carts, truth = learn.hold_out(orders.take(np.flatnonzero(orders.day >= CUT)), SEED)
    some = np.sort(np.random.default_rng(SEED).choice(len(carts), CARTS, replace=False))
    carts, truth = carts.take(some), truth[some]
    print(f"{len(before):,} orders before {CUT}, {len(carts):,} carts after it, {orders.items:,} items", flush=True)
    hits = peers(before, carts, truth, users)
    report(hits)
    if python:
        hits |= implicit(python, before, carts, truth, users)
        report(hits)
    hits |= ours(before, leaf, carts, truth, users)
    report(hits)
    mine = [name for name in hits if name.startswith("recpipe")]
    for name, peer in ((name, peer) for name in mine for peer in hits if peer not in mine):
        low, high = ratio_interval(hits[name], hits[peer], carts.user)
        ratio = hits[name].mean() / max(hits[peer].mean(), 1e-9)
        print(f"{name}: {ratio:.2f} times {peer}, 95 % interval {low:.2f} to {high:.2f}", flush=True)


def report(hits: dict[str, Hits]) -> None:
    """Print hit@10 of all that were measured so far."""
    print("; ".join(f"{name} {found.mean():.4f}" for name, found in hits.items()), flush=True)


def read(folder: Path) -> tuple[learn.Orders, NDArray[np.int64], int]:
    """Return the orders of the items that were ever bought, the class of each, and how many users there are."""
    lines = pq.read_table(folder / "events.parquet", columns=["user_id", "item_id", "ts", "order_id"]).to_pandas()
    items = pq.read_table(folder / "items.parquet", columns=["item_id", "category_path"]).to_pandas()
    items = items[items["item_id"].isin(lines["item_id"])].sort_values("item_id")
    lines = lines[lines["item_id"].isin(items["item_id"])]
    codes, _ = pd.factorize(lines["order_id"])
    user, names = pd.factorize(lines["user_id"])
    item = np.searchsorted(items["item_id"].to_numpy(), lines["item_id"].to_numpy())
    day = lines["ts"].to_numpy().astype("datetime64[D]")
    leaf, _ = pd.factorize(items["category_path"])
    return learn.orders_of(codes, user, item, day, len(items)), leaf.astype(np.int64), len(names)


def ours(
    before: learn.Orders, leaf: NDArray[np.int64], carts: learn.Orders, truth: NDArray[np.int64], users: int
) -> dict[str, Hits]:
    """Return the hits of the task's own functions, with the user's orders known and without."""
    day = CUT - np.timedelta64(1, "D")
    world = learn.world_of(before, leaf, day, users)
    weights = learned_weights(before, leaf, day, users, SEED)
    hits = {}
    for name, some, own in (
        ("recpipe", carts, weights.named),
        ("recpipe, nobody named", replace(carts, user=np.full(len(carts), -1)), weights.nobody),
    ):
        print(name, dict(zip(learn.KINDS + learn.FIXED, own.round(2).tolist(), strict=True)), f"learned on {LEARN_DAYS} days")
        found = learn.candidates_of(world, some)
        chosen, _ = learn.best(found, learn.score(world, some, own, found, learn.pair_scores(world.pairs, own)), K)
        hits[name] = (chosen == truth[:, None]).any(1)
    return hits


def peers(before: learn.Orders, carts: learn.Orders, truth: NDArray[np.int64], users: int) -> dict[str, Hits]:
    """Return the hits of popularity, item kNN on orders, and association rules."""
    bought = before.matrix.astype(np.float32)
    count = np.asarray(bought.sum(0)).ravel()
    age = (CUT - before.day) / np.timedelta64(1, "D")
    recent = np.asarray(bought.T @ np.exp2(-age / ItemKNN.half_life_days))
    share = np.log1p(recent) / np.log1p(recent).max()
    similar, tie = item_knn(bought), ItemKNN.popularity_weight * share
    both = sp.csr_matrix(bought.T @ bought)
    both.data[both.data < learn.LEAST_TOGETHER] = 0
    both.setdiag(0)
    confidence = sp.csr_matrix(sp.diags(1 / np.maximum(count, 1)) @ both)
    held, size, named = carts.matrix, np.diff(carts.indptr), carts.user
    whose = sp.csr_matrix((np.ones(len(before)), (before.user, np.arange(len(before)))), shape=(users, len(before)))
    habit = sp.csr_matrix(whose @ before.matrix)
    scores = {
        "popularity": lambda rows: np.broadcast_to(recent, (len(rows), len(recent))),
        "item kNN": lambda rows: np.asarray((sp.diags(1 / size[rows]) @ held[rows] @ similar.T).toarray()) + tie,
        "rules (mean confidence)": lambda rows: np.asarray((held[rows] @ confidence).toarray()) + 1e-9 * recent,
        "own most frequent": lambda rows: np.asarray(habit[named[rows]].toarray()) + 1e-9 * recent,
    }
    return {name: hits_of(score, carts, truth) for name, score in scores.items()}


def item_knn(bought: sp.csr_matrix) -> sp.csr_matrix:
    """Return (items, items) as `ItemKNN` has them with an order for a user, without ever making a row dense.

    `recpipe.evidence.knn.similar_items` sorts whole rows, which takes half an hour for so many items.
    """
    lengths = np.maximum(np.diff(bought.indptr), 1)
    scaled = sp.csr_matrix(sp.diags(lengths ** (-ItemKNN.user_power / 2)) @ bought)
    both = sp.csr_matrix(scaled.T @ scaled)
    own = both.diagonal()
    both.setdiag(0)
    both.eliminate_zeros()
    row = np.repeat(np.arange(both.shape[0]), np.diff(both.indptr))
    power = ItemKNN.candidate_power
    value = both.data / (own[row] ** power * own[both.indices] ** (1 - power) + ItemKNN.shrinkage)
    order = np.lexsort((both.indices, -value, row))
    place = np.arange(len(order)) - both.indptr[row[order]]
    keep = order[place < ItemKNN.neighbours]
    return sp.csr_matrix((value[keep], (row[keep], both.indices[keep])), shape=both.shape)


def hits_of(score: Callable[[NDArray[np.int64]], Any], carts: learn.Orders, truth: NDArray[np.int64]) -> Hits:
    """Return (carts,) whether the line held out is among the first ten of a scorer."""
    found = []
    for start in range(0, len(carts), BLOCK):
        rows = np.arange(start, min(start + BLOCK, len(carts)))
        values = np.array(score(rows), np.float64)
        values[carts.matrix[rows].nonzero()] = -np.inf
        own = values[np.arange(len(rows)), truth[rows]][:, None]
        ahead = (values > own).sum(1) + ((values == own) & (np.arange(carts.items) < truth[rows][:, None])).sum(1)
        found.append((ahead < K) & (own[:, 0] > -np.inf))
    return np.concatenate(found)


def implicit(python: str, before: learn.Orders, carts: learn.Orders, truth: NDArray[np.int64], users: int) -> dict[str, Hits]:
    """Return the hits of ALS and BPR of `implicit`, which runs in an environment of its own."""
    whose = sp.csr_matrix((np.ones(len(before)), (before.user, np.arange(len(before)))), shape=(users, len(before)))
    with tempfile.TemporaryDirectory() as folder:
        for name, matrix in (("orders", before.matrix), ("users", whose @ before.matrix), ("carts", carts.matrix)):
            sp.save_npz(Path(folder) / f"{name}.npz", sp.csr_matrix(matrix, dtype=np.float32))
        np.save(Path(folder) / "user.npy", carts.user)
        subprocess.run([python, str(Path(__file__).with_name("complements_peer.py")), folder, str(K)], check=True)
        lists = np.load(Path(folder) / "lists.npz")
        return {name: (lists[name] == truth[:, None]).any(1) for name in lists.files}


def ratio_interval(ours: Hits, peer: Hits, users: NDArray[np.int64]) -> tuple[float, float]:
    """Return the interval of the ratio of two hit rates on the same carts, by draws of users."""
    _, user = np.unique(users, return_inverse=True)
    sums = np.stack([np.bincount(user, hits) for hits in (ours, peer)], axis=1)
    drawn = sum_draws(sums, DRAWS, np.random.default_rng(SEED))
    return ends(drawn[:, 0] / np.maximum(drawn[:, 1], 1))


if __name__ == "__main__":
    main()
