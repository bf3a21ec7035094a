"""The sparse prototype at 100,000 items with made-up evidence, beside a dense product: the size that no shop here has.

    python -m benchmarks.scale.made_up_pairs MODEL_FOLDER [--support 35] [--partners 200]

Items lie in 500 clusters, popular ones are partners of many. Needs the packages of ``requirements.txt``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from benchmarks.scale.metering import metered, say
from benchmarks.scale.prototype import Sparse
from recpipe.evidence.item_features import Pairs
from recpipe.evidence.layout import TRENDS, layout_of, used
from recpipe.evidence.trends import SEASONS_AHEAD
from recpipe.models.io import load
from recpipe.models.pair_network import knowledge

ITEMS, USERS, CLUSTERS, K = 100_000, 6_000, 500, 20
DIMENSIONS, PRODUCT_USERS, BLOCK = 128, 2_048, 256
SPOKEN: Final = 0.35
"""Share of the pairs of which a channel speaks."""


class Catalogue:
    """Items of Zipf popularity in clusters, and draws from them."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.rng = rng
        self.weight = rng.permutation((np.arange(ITEMS) + 5.0) ** -0.9)
        self.cluster = np.sort(rng.integers(0, CLUSTERS, ITEMS))
        self._ends = np.r_[0, np.cumsum(self.weight)]

    def draw(self, cluster: NDArray[np.int64]) -> NDArray[np.int64]:
        """Draw an item in each of some clusters, by popularity."""
        low = self._ends[np.searchsorted(self.cluster, cluster)]
        high = self._ends[np.searchsorted(self.cluster, cluster, side="right")]
        return self._at(low + self.rng.random(cluster.shape) * (high - low))

    def draw_anywhere(self, shape: tuple[int, int]) -> NDArray[np.int64]:
        """Draw items of all clusters, by popularity."""
        return self._at(self.rng.random(shape) * self._ends[-1])

    def _at(self, place: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip(np.searchsorted(self._ends, place, side="right") - 1, 0, ITEMS - 1)


def make_pairs(catalogue: Catalogue, partners: int, settings: dict[str, Any]) -> Pairs:
    """Return evidence of so many partners an item, two thirds of them in its own cluster."""
    rng = catalogue.rng
    near = catalogue.draw(np.repeat(catalogue.cluster[:, None], partners, axis=1))
    near[:, : partners // 3] = catalogue.draw_anywhere((ITEMS, partners // 3))
    near = np.sort(near, 1).astype(np.int32)
    kept = np.ones(near.shape, bool)
    kept[:, 1:] = near[:, 1:] != near[:, :-1]
    item: NDArray[np.int32] = near[kept].astype(np.int32)
    value = rng.random((len(item), len(layout_of(settings).kinds)), np.float32)
    value[rng.random(value.shape) >= SPOKEN] = 0
    trend = np.repeat(np.log1p(catalogue.weight * 1000)[:, None], len(TRENDS), axis=1).astype(np.float32)
    popular = np.sort(np.argsort(-catalogue.weight)[:200]).astype(np.int32)
    season, price = np.zeros((SEASONS_AHEAD, ITEMS), np.float32), np.zeros(ITEMS, np.float32)
    indptr = np.r_[0, np.cumsum(kept.sum(1))].astype(np.int64)
    return Pairs(indptr, item, value, trend, season, popular, price, used(settings))


def make_supports(catalogue: Catalogue, size: int) -> sp.csr_matrix:
    """Return users × items: supports of so many items, of three clusters each."""
    rng = catalogue.rng
    liked = rng.integers(0, CLUSTERS, (USERS, 3))
    item = catalogue.draw(liked[np.arange(USERS)[:, None], rng.integers(0, 3, (USERS, size))])
    entries = np.full(USERS * size, 1.0 / size, np.float32), item.ravel(), np.arange(0, USERS * size + 1, size)
    found = sp.csr_matrix(entries, shape=(USERS, ITEMS))
    found.sum_duplicates()
    return found


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.made_up_pairs", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("model", type=Path, help="folder of a stack")
    parser.add_argument("--support", type=int, default=35, help="items of each user that speak")
    parser.add_argument("--partners", type=int, default=200, help="partners of each item")
    asked = parser.parse_args()
    learner: Any = load(asked.model)
    catalogue = Catalogue(np.random.default_rng(0))
    pairs = make_pairs(catalogue, asked.partners, learner.settings)
    space = SimpleNamespace(beside=pairs, bias=(pairs.trend @ learner.trend).astype(np.float32))
    tool, weights = Sparse(learner, space.beside, space.bias), make_supports(catalogue, asked.support)
    say(
        pairs=len(pairs.item),
        mb_of_pairs=round((pairs.item.nbytes + tool.value.nbytes) / 1e6),
        support=round(weights.nnz / USERS, 1),
    )
    measure(tool, weights)


def measure(tool: Sparse, weights: sp.csr_matrix, turns: int = 2) -> None:
    """Measure the prototype and a dense product in turn."""
    import torch

    torch.set_num_threads(2)
    left, right = torch.randn(PRODUCT_USERS, DIMENSIONS), torch.randn(ITEMS, DIMENSIONS)
    known, met, scratch = knowledge(np.diff(weights.indptr)), (weights.indptr.astype(np.int64), weights.indices), tool.scratch()
    everything = np.ones(ITEMS, bool)
    tool.lists(weights, known, met, everything, K, (0, 1), scratch)  # numba compiles
    for _ in range(turns):
        for part in scratch[1:3]:
            part[:] = -1
        scratch[-1][:] = 0
        with metered("sparse prototype, 1 thread", users=USERS):
            tool.lists(weights, known, met, everything, K, (0, USERS), scratch)
        say(candidates_a_user=round(float(scratch[-1][0]) / USERS))
        with metered("dense product and its best, 2 threads", users=PRODUCT_USERS):
            for start in range(0, PRODUCT_USERS, BLOCK):
                torch.topk(left[start : start + BLOCK] @ right.T, K)


if __name__ == "__main__":
    main()
