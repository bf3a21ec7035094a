"""A made-up shop in memory, large enough to time and the same in every run."""

from __future__ import annotations

import numpy as np

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.support import Support

NOW = np.datetime64("2011-09-01", "us")


def evidence(items: int = 5_000, users: int = 4_000, events: int = 200_000, width: int = 384) -> Evidence:
    """Return a shop whose items sell by a power law."""
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((items, width)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = np.array([f"{i:06d}" for i in range(items)], dtype=object)
    catalogue = Catalogue(
        ids, list(ids), vectors, np.full(items, "2010-01-01", "datetime64[D]"), np.ones(items, bool),
        np.ones(items, np.float32), [()] * items,
    )  # fmt: skip
    user = np.sort(rng.integers(0, users, events)).astype(np.int32)
    item = np.minimum(rng.zipf(1.3, events) - 1, items - 1).astype(np.int32)
    ts = NOW - rng.integers(0, 300 * 86_400, events).astype("timedelta64[s]")
    order = np.lexsort((ts, user))
    names = np.array([f"{u:07d}" for u in range(users)], dtype=object)
    history = History(names, user, item[order], ts[order], np.ones(events, np.float32), np.zeros(events, bool))
    return Evidence(catalogue, history, item, ts, NOW)


def support(users: int, k: int, items: int) -> Support:
    """Return supports of k distinct items each."""
    rng = np.random.default_rng(1)
    # one item of each of k equal parts of the catalogue: distinct without a loop
    part = items // k
    chosen = (rng.integers(0, part, (users, k)) + part * np.arange(k)).astype(np.int32)
    entries = users * k
    return Support(
        np.arange(0, entries + 1, k, dtype=np.int64), chosen.ravel(), np.ones(entries, np.float32),
        rng.uniform(0.2, 1, entries).astype(np.float32), rng.uniform(0, 90, entries).astype(np.float32),
    )  # fmt: skip
