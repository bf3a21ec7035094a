"""The gain of fine-tuning: text prototypes by the frozen and by the taught vectors, on a window that taught nothing.

Two measures: `measure_encoder`, of text alone, by what is known of a user and for items that nobody had met, each number with its
interval over persons; and `measure_text_prototype`, of all users at some weights of popularity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes, choose
from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support
from recpipe.metrics.intervals import ends, mean_draws
from recpipe.models.text_prototype import TextPrototype
from recpipe.training.model_selection import Window
from recpipe.training.quality import Quality, measure

POPULARITY_WEIGHTS = (0.0, 0.1, 0.2, 0.5, 1.0, 2.0)
"""Weights of popularity beside cosines that are tried on the last window, for the frozen and the tuned vectors alike."""
DRAWS = 1000
SIZES = (1, 3, 5)
"""Items of support at which users are measured."""
CUT = 10
METRICS = ("ndcg", "recall", "precision", "f1")


def measure_encoder(window: Window, vectors: NDArray[np.float32], against: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return what text prototypes of an encoder reach on a window, without popularity, by what is known of a user.

    Parameters
    ----------
    vectors
        (items, d) unit vectors of the catalogue.
    against
        The answer for other vectors on the same window: then ``gain`` is there for each group, the mean difference in nDCG@10
        with its 95 % interval over users.

    Returns
    -------
    dict
        Groups ``all``, ``k1``, ``k3``, ``k5`` (users who have at least so many items, at their first ones) and ``never_sold``
        (queries and candidates are the items that nobody had met before the window). Each has ``users`` and, of ``ndcg``,
        ``recall``, ``precision`` and ``f1`` at 10, ``mean``, ``low`` and ``high`` (95 %, over users; None where there is nobody).
        ``per_user`` holds (users,) nDCG@10 by group, in the window's order.
    """
    evidence = with_vectors(window.evidence, vectors)
    groups = {"all": (evidence, window.episodes)}
    groups |= {f"k{size}": (evidence, at_first_items(window.episodes, size)) for size in SIZES}
    groups["never_sold"] = _never_sold(evidence, window.episodes)
    found: dict[str, Any] = {}
    per_user: dict[str, NDArray[np.float64]] = {}
    for name, (known, episodes) in groups.items():
        quality = measure(TextPrototype(popularity_weight=0.0), known, episodes, CUT)
        per_user[name] = quality.ndcg
        found[name] = _with_intervals(quality, np.diff(episodes.query_indptr))
        if against is not None:
            found[name]["gain"] = _gain(quality.ndcg, against["per_user"][name]) if len(episodes) else None
    return {**found, "per_user": per_user}


def at_first_items(episodes: Episodes, size: int) -> Episodes:
    """Return the users who have at least so many items, each at the first ones alone; what else is known stays seen."""
    some = choose(episodes, np.flatnonzero(episodes.support.k >= size))
    whole = some.support
    entry = (whole.indptr[:-1, None] + np.arange(size)).ravel()  # oldest first
    indptr = np.arange(len(some) + 1, dtype=np.int64) * size
    values = (whole.item[entry], whole.label[entry], whole.weight[entry], whole.age_days[entry])
    return replace(some, support=Support(indptr, *values, whole.ahead_days, whole.country))


def _never_sold(evidence: Evidence, episodes: Episodes) -> tuple[Evidence, Episodes]:
    """Return evidence whose candidates are items that nobody had met, and the users who then took one of them."""
    catalogue = evidence.catalogue
    fresh = catalogue.available.copy()
    fresh[evidence.history.item] = False
    fresh[evidence.popularity_item] = False
    held = fresh[episodes.query_item]
    ends_of_users = np.r_[0, np.cumsum(held)].astype(np.int64)[episodes.query_indptr]
    cut = replace(episodes, query_indptr=ends_of_users, query_item=episodes.query_item[held])
    return replace(evidence, catalogue=replace(catalogue, available=fresh)), choose(
        cut, np.flatnonzero(np.diff(ends_of_users) > 0)
    )


def _with_intervals(quality: Quality, taken: NDArray[np.int64]) -> dict[str, Any]:
    """Return metrics with their intervals: of hits among 10, over 10 (precision), over what was taken, and their harmonic mean."""
    hits = np.rint(quality.recall * np.minimum(taken, CUT))
    values = {
        "ndcg": quality.ndcg,
        "recall": quality.recall,
        "precision": hits / CUT,
        "f1": 2 * hits / (CUT + np.minimum(taken, CUT)),
    }
    return {**{name: _interval(values[name]) for name in METRICS}, "users": len(taken)}


def _interval(values: NDArray[np.float64]) -> dict[str, float | None]:
    if not len(values):
        return {"mean": None, "low": None, "high": None}
    low, high = ends(mean_draws(values, DRAWS, np.random.default_rng(0)))
    return {"mean": float(values.mean()), "low": low, "high": high}


def without_users(found: Mapping[str, Any]) -> dict[str, Any]:
    """Return what was measured without numbers of single users."""
    return {
        key: without_users(value) if isinstance(value, Mapping) else value for key, value in found.items() if key != "per_user"
    }


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
