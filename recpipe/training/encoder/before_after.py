"""The gain of fine-tuning: text prototypes by the frozen and by the taught vectors, on a window that taught nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.metrics.intervals import ends, mean_draws
from recpipe.models.text_prototype import TextPrototype
from recpipe.training.model_selection import Window
from recpipe.training.quality import measure

POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Weights of popularity beside cosines that are tried on the last window, for the frozen and the tuned vectors alike."""
DRAWS = 1000


def measure_text_prototype(
    window: Window, vectors: NDArray[np.float32], against: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return nDCG@10 and recall@10 of text prototypes on a window, with the best of some weights of popularity.

    Parameters
    ----------
    vectors
        (items, d) unit vectors of the catalogue.
    against
        The answer for other vectors on the same window: then with ``gain``, each one's best weight, and
        ``gain_by_weight``, the same weight for both, as mean difference and 95 % interval over users.

    Returns
    -------
    dict
        Also ``mean_cosine`` of pairs of items: vectors that fell together tell nothing apart. ``per_user`` holds
        (users,) nDCG by weight.
    """
    evidence = with_vectors(window.evidence, vectors)
    found = {w: measure(TextPrototype(popularity_weight=w), evidence, window.episodes) for w in POPULARITY_WEIGHTS}
    weight = max(found, key=lambda w: (float(found[w].ndcg.mean()), -w))
    per_user = {str(w): quality.ndcg for w, quality in found.items()}
    out: dict[str, Any] = {
        "ndcg": float(found[weight].ndcg.mean()),
        "recall": float(found[weight].recall.mean()),
        "popularity_weight": weight,
        "ndcg_by_weight": {w: float(ndcg.mean()) for w, ndcg in per_user.items()},
        "mean_cosine": _mean_cosine(vectors),
        "users": len(window.episodes),
        "per_user": per_user,
    }
    if against is not None:
        old = against["per_user"]
        out["gain"] = _gain(per_user[str(weight)], old[str(against["popularity_weight"])])
        out["gain_by_weight"] = {w: _gain(per_user[w], old[w]) for w in per_user}
    return out


def _gain(new: NDArray[np.float64], old: NDArray[np.float64]) -> dict[str, float]:
    low, high = ends(mean_draws(new - old, DRAWS, np.random.default_rng(0)))
    return {"mean": float((new - old).mean()), "low": low, "high": high}


def _mean_cosine(vectors: NDArray[np.float32]) -> float:
    """Return the mean cosine of two different items' vectors."""
    total, items = vectors.sum(0, dtype=np.float64), len(vectors)
    return float((total @ total - items) / max(items * (items - 1), 1))


def table(summary: Mapping[str, Any]) -> str:
    """Return before and after as lines for people."""
    before, after = summary["before"], summary["after"]
    gain = after["gain"]
    lines = [f"{'text prototype':<16}{'nDCG@10':>9}{'recall@10':>11}{'popularity':>12}"]
    for name, found in (("before", before), ("after", after)):
        lines.append(f"{name:<16}{found['ndcg']:>9.4f}{found['recall']:>11.4f}{found['popularity_weight']:>12}")
    lines.append(f"gain {gain['mean']:+.4f} ({gain['low']:+.4f} to {gain['high']:+.4f}), {after['users']} users")
    alone = after["gain_by_weight"]["0.0"]
    lines.append(
        f"without popularity {before['ndcg_by_weight']['0.0']:.4f} to {after['ndcg_by_weight']['0.0']:.4f}, "
        f"gain {alone['mean']:+.4f} ({alone['low']:+.4f} to {alone['high']:+.4f}); "
        f"mean cosine of two items {before['mean_cosine']:.3f} to {after['mean_cosine']:.3f}"
    )
    return "\n".join(lines)


def with_vectors(evidence: Evidence, vectors: NDArray[np.float32]) -> Evidence:
    """Return evidence whose catalogue has other vectors."""
    return replace(evidence, catalogue=replace(evidence.catalogue, vectors=vectors))
