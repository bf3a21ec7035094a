"""The summary of a run's learners: means with intervals, by metric and size of the support."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.intervals import ends, mean_draws
from recpipe.training.quality import Quality

BUCKETS = ((0, 0), (1, 5), (6, 10), (11, 50), (51, 1_000_000))
"""Users are shown apart by the items in their support."""
DRAWS = 1000


def summarise(measured: Mapping[str, Quality], k: NDArray[np.int64], metric_k: int, seed: int) -> dict[str, Any]:
    """Return means with user-bootstrap intervals, by learner, metric and size of the support."""
    buckets = {"all": np.ones(len(k), bool)}
    buckets.update({bucket_name(low, high): (k >= low) & (k <= high) for low, high in BUCKETS})
    out: dict[str, Any] = {}
    for name, quality in measured.items():
        for metric, values in ((f"ndcg@{metric_k}", quality.ndcg), (f"recall@{metric_k}", quality.recall)):
            for bucket, rows in buckets.items():
                if rows.any():
                    low, high = ends(mean_draws(values[rows], DRAWS, np.random.default_rng(seed)))
                    entry = {"mean": float(values[rows].mean()), "low": low, "high": high, "users": int(rows.sum())}
                    out.setdefault(name, {}).setdefault(metric, {})[bucket] = entry
    return out


def bucket_name(low: int, high: int) -> str:
    """Return how a range of support sizes is shown."""
    return f"k={low}" if low == high else f"k={low}-{high}" if high < BUCKETS[-1][1] else f"k>={low}"
