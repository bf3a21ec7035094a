"""recpipe's ranking beside the sparse prototype, a dense product with its best 20, and implicit: same users, same items.

    python -m benchmarks.scale.compare HOME MODEL_FOLDER full|fast

Says whether prototype and recpipe give the same lists and the same reasons. Needs the packages of ``requirements.txt``.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from benchmarks.scale import sparse_pairs
from benchmarks.scale.generate import DAYS, FIRST
from benchmarks.scale.metering import guard_memory, metered, say
from benchmarks.scale.prototype import Sparse, causes
from benchmarks.scale.stages import Shop
from recpipe.config.settings import load_settings
from recpipe.dataset.support import take
from recpipe.evidence.gathering import gather
from recpipe.evidence.item_features import Pairs
from recpipe.evidence.knn import interactions
from recpipe.models.base import ItemSpace
from recpipe.models.pair_network import knowledge, width_of
from recpipe.tables.recommendations import night as nights
from recpipe.tables.recommendations.night import Night

K = 20
DIMENSIONS = 128
REASONS_AT_ONCE = 2000
USERS_AT_ONCE = 512
Rows = NDArray[np.intp]


@dataclass
class Case:
    """A night whose items are placed, and the blocks of users on which everything is measured."""

    night: Night
    blocks: list[Rows]

    @property
    def mine(self) -> Rows:
        """Users of the blocks whom the model ranks."""
        some = np.concatenate(self.blocks)
        return some[self.night.users.support.k[some] > 0]

    @cached_property
    def weights(self) -> sp.csr_matrix:
        """Users × items: the support of each user as the model weighs it."""
        night = self.night
        adapted = sp.csr_matrix(night.learner.adapt(night.space, night.users.support))
        return sp.csr_matrix(adapted[:, : len(night.known.evidence.catalogue)])

    @cached_property
    def tool(self) -> Sparse:
        """The prototype on the night's evidence."""
        return Sparse(self.night.learner, self.night.space.beside, self.night.space.bias)

    def lists(self, first: int, last: int, scratch: Any) -> NDArray[np.int64]:
        """Return the prototype's lists of users ``first`` to ``last``, without the last."""
        users = self.night.users
        starts = np.searchsorted(users.met[:, 0], np.arange(len(users) + 1)).astype(np.int64)
        met = starts, users.met[:, 1].copy()
        known = knowledge(np.diff(self.weights.indptr))
        available = self.night.known.evidence.catalogue.available
        return self.tool.lists(self.weights, known, met, available, K, (first, last), scratch)[0]


# --- evidence


def with_evidence(night: Night, pairs: Pairs) -> None:
    """Let a night rank by these pairs; what its reasons are read from is computed some items at a time."""
    learner: Any = night.learner
    items = len(pairs)
    with metered(f"vectors of reasons, {REASONS_AT_ONCE} items at a time", items=items):
        parts = [_brought(learner, pairs, rows) for rows in _runs(items, REASONS_AT_ONCE)]
    gain, item, by = (np.concatenate(each) for each in zip(*parts, strict=True))
    vectors = sp.csr_matrix((gain, (item, by)), shape=(items, width_of(pairs)), dtype=np.float32)
    placed: ItemSpace = learner.place(pairs)
    night.__dict__["space"] = ItemSpace(vectors, placed.bias, placed.beside)


def _runs(count: int, size: int) -> Iterator[Rows]:
    for start in range(0, count, size):
        yield np.arange(start, min(start + size, count))


def _brought(learner: Any, pairs: Pairs, rows: Rows) -> tuple[NDArray[np.float32], NDArray[np.int32], Rows]:
    """Return what some items, each alone, bring to others: gains, the others, and who brings them."""
    eye = sp.csr_matrix((np.ones(len(rows), np.float32), (np.arange(len(rows)), rows)), shape=(len(rows), len(pairs)))
    alone = gather(pairs, eye)
    owner = np.repeat(np.arange(len(rows)), np.diff(alone.indptr))
    gain = learner._judge(alone.seen, alone.k[owner])
    silent = np.zeros_like(alone.seen)
    silent[:, -1] = alone.seen[:, -1]
    gain -= learner._judge(silent, np.ones(len(silent), np.int64))
    spoken = (alone.seen[:, : pairs.value.shape[1]] != 0).any(1) & (gain > 0)
    return gain[spoken], alone.item[spoken], rows[owner[spoken]]


# --- ranking


def measure(case: Case, turns: int) -> None:
    """Rank the same users by recpipe, by the prototype, and by a dense product, in turn."""
    import torch

    night, scratch = case.night, case.tool.scratch()
    users, many = len(night.users), min(len(night.users), 20_000)
    case.lists(int(case.mine[0]), int(case.mine[0]) + 1, scratch)  # numba compiles
    torch.set_num_threads(2)
    left, right = torch.randn(users, DIMENSIONS), torch.randn(len(night.known.evidence.catalogue), DIMENSIONS)
    some = min(users, 8192)
    for _ in range(turns):
        with metered("recpipe: rank, by model and fallback", users=sum(map(len, case.blocks))):
            for rows in case.blocks:
                nights._rows(night, rows, nights._lists(night, rows))
        with metered("sparse prototype, 1 thread", users=many):
            scratch[-1][:] = 0
            case.lists(0, many, scratch)
        say(candidates_a_user=round(float(scratch[-1][0]) / many))
        with metered(f"dense product of {DIMENSIONS} dimensions and its best {K}, 2 threads", users=some):
            for start in range(0, some, USERS_AT_ONCE):
                torch.topk(left[start : start + USERS_AT_ONCE] @ right.T, K)


def compare_lists(case: Case, blocks: int = 3) -> None:
    """Say how many lists and reasons of some blocks are the same."""
    night, scratch = case.night, case.tool.scratch()
    lists = reasons = users = 0
    for rows in case.blocks[:blocks]:
        mine = rows[night.users.support.k[rows] > 0]
        found = nights._by_model(night, mine)
        for user, item, because in zip(mine.tolist(), found.item, found.because, strict=True):
            lists += int(np.array_equal(item, case.lists(user, user + 1, scratch)[0]))
            reasons += int((reasons_of(case, user, item[None]) == because).all(1).sum())
            users += 1
    say(lists_the_same=lists, of_lists=users, reasons_the_same=reasons, of_reasons=users * K)


def reasons_of(case: Case, user: int, lists: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the prototype's reasons of one user's list: (K, 2) items of the support, −1 for none."""
    night = case.night
    support, vectors = take(night.users.support, np.array([user])), sp.csr_matrix(night.space.vectors)
    vectors.sort_indices()
    share = (support.label * support.weight).astype(np.float32)
    out = np.full((1, K, 2), -1, np.int64)
    stamp, place = np.full(len(night.alike), -1, np.int64), np.zeros(len(night.alike), np.int64)
    sides = support.indptr, support.item, share, vectors.indptr.astype(np.int64), vectors.indices, vectors.data
    causes(0, 1, lists, *sides, night.alike, stamp, place, out)
    found: NDArray[np.int64] = out[0]
    return found


def beside_implicit(met: sp.csr_matrix) -> None:
    """Measure implicit's item kNN and ALS on the same events."""
    from implicit.als import AlternatingLeastSquares
    from implicit.nearest_neighbours import BM25Recommender

    users = min(met.shape[0], 8192)
    for name, model in (
        ("BM25", BM25Recommender(K=60, num_threads=2)),
        ("ALS, one iteration", AlternatingLeastSquares(factors=DIMENSIONS, iterations=1, num_threads=2, random_state=0)),
    ):
        with metered(f"implicit {name}: fit", users=met.shape[0]):
            model.fit(met, show_progress=False)
        with metered(f"implicit {name}: recommend", users=users):
            for rows in _runs(users, 1024):
                model.recommend(rows, met[rows], N=K)


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.compare", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("model", help="folder of a stack")
    parser.add_argument("way", choices=("full", "fast"), help="whether recpipe's own evidence is built, too")
    parser.add_argument("--blocks", type=int, default=12)
    parser.add_argument("--turns", type=int, default=2)
    asked = parser.parse_args()
    guard_memory(12_000)
    shop = Shop(load_settings(home=asked.home, first_day=FIRST), asked.model, DAYS, asked.blocks)
    with metered("open the night"):
        night: Night = shop.opened.state
    evidence = night.known.evidence
    learner: Any = night.learner
    with_evidence(night, sparse_pairs.build(evidence, learner.settings, asked.way == "full"))
    with metered("alike, fallback, category"):
        _ = night.alike, night.fallback, night.category, night.new
    case = Case(night, night.blocks[:: max(1, len(night.blocks) // asked.blocks)][: asked.blocks])
    measure(case, asked.turns)
    compare_lists(case)
    beside_implicit(sp.csr_matrix(interactions(evidence.history, len(evidence.catalogue))))


if __name__ == "__main__":
    main()
