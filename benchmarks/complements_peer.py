"""The part of `benchmarks.complements` that runs where `implicit` is installed, without recpipe."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
from implicit.bpr import BayesianPersonalizedRanking


def main() -> None:
    """Write the lists of ALS on orders (folded in from the cart), and of ALS and BPR on users, as lists.npz."""
    folder, k = Path(sys.argv[1]), int(sys.argv[2])
    orders, users, carts = (sp.load_npz(folder / f"{name}.npz") for name in ("orders", "users", "carts"))
    user = np.load(folder / "user.npy")
    als = AlternatingLeastSquares(factors=64, iterations=10, random_state=1, num_threads=1)
    als.fit(orders, show_progress=False)
    folded, _ = als.recommend(np.arange(carts.shape[0]), carts, N=k, filter_already_liked_items=True, recalculate_user=True)
    lists = {"ALS, orders": folded}
    print("ALS of orders is done", flush=True)
    for name, model in (
        ("ALS, users", AlternatingLeastSquares(factors=64, iterations=10, random_state=1, num_threads=1)),
        ("BPR, users", BayesianPersonalizedRanking(factors=64, iterations=50, random_state=1, num_threads=1)),
    ):
        model.fit(users, show_progress=False)
        # the cart's items are what may not be listed; what the user bought before may
        lists[name], _ = model.recommend(user, carts, N=k, filter_already_liked_items=True)
        print(name, "is done", flush=True)
    np.savez(folder / "lists.npz", **lists)


if __name__ == "__main__":
    main()
