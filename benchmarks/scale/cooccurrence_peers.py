"""The best 60 partners of each item by orders in common: the sparse pass beside scipy, DuckDB, polars and sparse_dot_topn.

    python -m benchmarks.scale.cooccurrence_peers HOME [PEER...]

Peers: ``scipy``, ``duckdb``, ``sparse_dot_topn``, ``polars`` (much memory); all but polars by default.
Needs the packages of ``requirements.txt``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import scipy.sparse as sp

from benchmarks.scale import sparse_evidence
from benchmarks.scale.metering import metered, say
from recpipe.config.settings import load_settings
from recpipe.lake.lake import Lake

MOST_ITEMS: Final = 200
"""Users of more distinct items are left out: they would be most of the work."""
KEEP: Final = 60
USER_POWER: Final = 0.25


def read(home: Path) -> tuple[pa.Table, sp.csr_matrix]:
    """Return pairs of user and item with a weight, as a table and as a matrix."""
    reader = Lake.from_settings(load_settings(home=home)).reader()
    events = reader.read("events", columns=["user_id", "item_id", "event_type"]).drop_null()
    events = events.filter(pa.compute.not_equal(events["event_type"], "return"))
    user, item = (events[name].combine_chunks().dictionary_encode() for name in ("user_id", "item_id"))
    items = len(item.dictionary)
    pair = np.unique(user.indices.to_numpy().astype(np.int64) * items + item.indices.to_numpy())
    who, what = np.divmod(pair, items)
    count = np.bincount(who)
    some = count[who] <= MOST_ITEMS
    who, what = who[some].astype(np.int32), what[some].astype(np.int32)
    weight = (np.maximum(np.bincount(who), 1.0) ** -USER_POWER)[who].astype(np.float32)
    matrix = sp.csr_matrix((weight, (who, what)), shape=(int(who.max()) + 1, items))
    return pa.table({"u": who, "i": what, "w": weight}), matrix


def sparse(pairs: pa.Table, matrix: sp.csr_matrix) -> None:
    """Measure the sparse pass, for both kinds of damping at once."""
    columns = sp.csr_matrix(matrix.T)
    own = np.asarray(matrix.multiply(matrix).sum(0), np.float32).ravel()
    sides = columns.indptr, columns.indices, columns.data, matrix.indptr, matrix.indices, matrix.data
    rules = sparse_evidence.POWERS, np.array([1.0, 0.3], np.float32)
    few = sp.csr_matrix(matrix[:50])
    turned = sp.csr_matrix(few.T)
    warm = turned.indptr, turned.indices, turned.data, few.indptr, few.indices, few.data
    sparse_evidence.together(*warm, own, *rules, KEEP, 2)  # numba compiles
    with metered("sparse pass, both kinds, damped, 2 threads", pairs=pairs.num_rows):
        sparse_evidence.together(*sides, own, *rules, KEEP, 2)


def scipy(pairs: pa.Table, matrix: sp.csr_matrix) -> None:
    """Measure the whole product, of which nothing is cut."""
    with metered("scipy: the product alone", pairs=pairs.num_rows):
        product = sp.csr_matrix(matrix.T) @ matrix
    say(entries=product.nnz)


def sparse_dot_topn(pairs: pa.Table, matrix: sp.csr_matrix) -> None:
    """Measure the product cut to its best as it is made; it cannot damp by sums, so these are candidates alone."""
    from sparse_dot_topn import sp_matmul_topn

    turned = sp.csr_matrix(matrix.T)
    with metered("sparse_dot_topn: undamped, 2 threads", pairs=pairs.num_rows):
        sp_matmul_topn(turned, matrix, top_n=KEEP + 1, n_threads=2)


def duckdb(pairs: pa.Table, matrix: sp.csr_matrix) -> None:
    """Measure a self join with a window."""
    import duckdb as engine

    connection = engine.connect(config={"threads": 2, "memory_limit": "3GB"})
    connection.register("p", pairs)
    with metered("DuckDB: self join, sum, best of each, 2 threads", pairs=pairs.num_rows):
        connection.execute(
            "CREATE TABLE found AS SELECT i, j, c FROM (SELECT a.i AS i, b.i AS j, sum(a.w * b.w) AS c FROM p a JOIN p b "  # noqa: S608
            "ON a.u = b.u AND a.i <> b.i GROUP BY a.i, b.i) "
            f"QUALIFY row_number() OVER (PARTITION BY i ORDER BY c DESC) <= {KEEP}"
        )


def polars(pairs: pa.Table, matrix: sp.csr_matrix) -> None:
    """Measure a streamed self join."""
    import polars as pl

    frame = pl.LazyFrame(pl.from_arrow(pairs))
    joined = frame.join(frame, on="u").filter(pl.col("i") != pl.col("i_right"))
    summed = joined.group_by("i", "i_right").agg((pl.col("w") * pl.col("w_right")).sum().alias("c"))
    best = summed.group_by("i").agg(pl.col("i_right").top_k_by("c", KEEP), pl.col("c").top_k(KEEP))
    with metered("polars: streamed self join, sum, best of each", pairs=pairs.num_rows):
        best.collect(engine="streaming")


PEERS: Final[dict[str, Callable[[pa.Table, sp.csr_matrix], None]]] = {
    "scipy": scipy,
    "sparse_dot_topn": sparse_dot_topn,
    "duckdb": duckdb,
    "polars": polars,
}


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scale.cooccurrence_peers", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("home", type=Path)
    parser.add_argument("peers", nargs="*", help=", ".join(PEERS))
    asked = parser.parse_args()
    pairs, matrix = read(asked.home)
    adds = int((np.diff(matrix.indptr).astype(np.int64) ** 2).sum())
    say(pairs=pairs.num_rows, users=matrix.shape[0], items=matrix.shape[1], multiply_adds=adds)
    sparse(pairs, matrix)
    for name in asked.peers or ("scipy", "sparse_dot_topn", "duckdb"):
        PEERS[name](pairs, matrix)


if __name__ == "__main__":
    main()
