"""The best closed form on a window: the bar for what is trained, and the first champion.

Their few numbers are chosen on windows before those that they are measured on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import choose
from recpipe.evidence.trends import knows_season, log_popularity
from recpipe.metrics.ndcg import ndcg
from recpipe.models.base import Learner, score_users
from recpipe.models.blend import Blend, place_briefly
from recpipe.models.ease import EASE
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import CountryPopularity, Popularity, SeasonPopularity, UserPopularity
from recpipe.models.text_prototype import TextPrototype
from recpipe.training.closed_forms.blending import fit_blend
from recpipe.training.networks.network import Placed
from recpipe.training.quality import USERS_A_BLOCK, Quality, Window, hits_of, measure, measure_in

POPULARITIES: tuple[Learner, ...] = tuple(Popularity(half_life) for half_life in (7.0, 14.0, 30.0, 90.0, 365.0))
EVERYBODY: tuple[Learner, ...] = (*POPULARITIES, UserPopularity(90.0), UserPopularity(365.0))
"""What can be shown to somebody of whom nothing is known."""
BESIDE: tuple[Learner, ...] = (Popularity(14.0), Popularity(90.0), UserPopularity(365.0))
"""What a blend knows of sales beside what served newcomers best."""
ITEM_KNNS: tuple[ItemKNN, ...] = (
    ItemKNN(),
    ItemKNN(neighbours=200, shrinkage=10.0, candidate_power=0.5, popularity_weight=0.02),
    ItemKNN(neighbours=200, shrinkage=0.5, candidate_power=0.5, popularity_weight=0.001),
)
EASES: tuple[EASE, ...] = (EASE(200.0), EASE(2000.0))
TEXTS: tuple[TextPrototype, ...] = (TextPrototype(),)
POPULARITY_WEIGHTS = (1e-5, 1e-3, 0.01, 0.03, 0.1, 0.5)
"""Tried beside each form: a tie-breaker on a shop whose similarities are small is all there is to another one's."""
COUNTRIES: tuple[Learner, ...] = (CountryPopularity(),)
"""Asked where countries are known: without them they are popularity."""
TUNED_ON, LEAST_EPISODES = 3, 300
"""Windows that numbers are chosen on, newest first: as many as give so many episodes, and at most so many."""
MOST = 800
"""Episodes of such a window that numbers are chosen on; of more, evenly spread ones."""


def measure_windows(learner: Learner, windows: Sequence[Window], k: int) -> Quality:
    """Measure a learner on several windows, users one after the other."""
    parts = [measure(learner, window.evidence, window.episodes, k) for window in windows]
    return Quality(np.concatenate([part.ndcg for part in parts]), np.concatenate([part.recall for part in parts]))


def measure_views(learner: Placed, views: Sequence[Any], windows: Sequence[Window], metric_k: int) -> Quality:
    """Measure a learner on windows whose items were looked at before, users one after the other."""
    parts = [measure_in(learner, learner.place(view), window.evidence.catalogue.available, window.episodes, metric_k)
             for view, window in zip(views, windows, strict=True)]  # fmt: skip
    return Quality(np.concatenate([part.ndcg for part in parts]), np.concatenate([part.recall for part in parts]))


def measure_closed_forms(
    windows: Sequence[Window], k: int = 10, past: Sequence[Window] = (), seed: int = 0
) -> dict[str, tuple[Learner, Quality]]:
    """Return the best closed form of each kind with its quality, by name.

    Parameters
    ----------
    windows
        Users and evidence before them; every form is measured on all.
    k
        Cut-off of nDCG.
    past
        Earlier windows, newest first, on which the numbers of each form are chosen; those of ``windows`` if there are none.
    seed
        Of what is drawn for the blend.
    """
    before = past or windows
    forms = choose_forms(before, k, seed)
    return {learner.name: (learner, measure_windows(learner, windows, k)) for learner in forms}


def choose_forms(before: Sequence[Window], k: int, seed: int) -> list[Learner]:
    """Return one closed form of each kind, its numbers chosen on some windows, and their blend."""
    some = tuning_windows(before)
    everybody = EVERYBODY + _knowing(before)
    first = best_for_nobody(everybody, before, k)
    paired = [best_beside_popularity(kind, some, k) for kind in (EASES, ITEM_KNNS, TEXTS)]
    popular = [learner for learner in everybody if learner is first or learner in (*BESIDE, *_knowing(before))]
    weights = [0.0] * len(paired) + [float(learner is first) for learner in popular]
    blend = fit_blend(some, [*paired, *popular], seed, k, weights)
    by_name: dict[str, list[Learner]] = {}
    for learner in everybody:
        by_name.setdefault(learner.name, []).append(learner)
    alone = [max(kind, key=lambda one: _mean(one, some, k)) if len(kind) > 1 else kind[0] for kind in by_name.values()]
    return [*alone, *reversed(paired), blend]


def choose_form(name: str, windows: Sequence[Window], k: int, seed: int) -> Learner | None:
    """Return one closed form, its numbers chosen on some windows; None where there is nothing to choose."""
    beside: dict[str, Sequence[Any]] = {kind[0].name: kind for kind in (EASES, ITEM_KNNS, TEXTS)}
    alone = [learner for learner in EVERYBODY if learner.name == name]
    some = tuning_windows(windows)
    if not some:
        return None
    if name == Blend.name:
        return choose_forms(windows, k, seed)[-1]
    if name in beside:
        return best_beside_popularity(beside[name], some, k)  # type: ignore[no-any-return]
    return max(alone, key=lambda one: _mean(one, some, k)) if alone else None


def tuning_windows(windows: Sequence[Window]) -> list[Window]:
    """Return the newest windows that have episodes enough to choose numbers on, with no more than can be looked at."""
    found: list[Window] = []
    for window in windows[:TUNED_ON]:
        found.append(Window(window.evidence, _some(window)))
        if sum(len(one.episodes) for one in found) >= LEAST_EPISODES:
            break
    return found


def best_for_nobody(everybody: Sequence[Learner], windows: Sequence[Window], k: int) -> Learner:
    """Return what served users without a support best, on the mean over windows: what earlier newcomers took first.

    Windows without such users say nothing; of equally good forms the first counts.
    """
    newcomers = [Window(w.evidence, choose(w.episodes, np.flatnonzero(w.episodes.support.k == 0))) for w in windows]
    asked = [window for window in newcomers if len(window.episodes)]
    return max(everybody, key=lambda learner: _mean(learner, asked, k)) if asked else everybody[0]


def best_beside_popularity(forms: Sequence[Any], windows: Sequence[Window], k: int) -> Any:
    """Return the form, with the weight of popularity beside it, that served best."""
    tried = [(form, weight) for form in forms for weight in sorted({*POPULARITY_WEIGHTS, form.popularity_weight})]
    quality = np.concatenate([np.mean([_by_weight(form, window, k) for window in windows], axis=0) for form in forms])
    form, weight = tried[int(np.argmax(quality))]
    return replace(form, popularity_weight=weight)


def _by_weight(form: Any, window: Window, k: int) -> NDArray[np.float64]:
    """Return (weights,) mean nDCG of a form with each weight of popularity beside it."""
    space, episodes = place_briefly(replace(form, popularity_weight=0.0), window.evidence), window.episodes
    popular = log_popularity(window.evidence, form.half_life_days)
    weights = np.array(sorted({*POPULARITY_WEIGHTS, form.popularity_weight}), np.float32)
    total = np.zeros(len(weights))
    for start in range(0, len(episodes), USERS_A_BLOCK):
        stop = min(start + USERS_A_BLOCK, len(episodes))
        scores, taken = (
            score_users(form, space, episodes.support.users(start, stop)),
            np.diff(episodes.query_indptr[start : stop + 1]),
        )
        for place, weight in enumerate(weights):
            hit = hits_of(scores + weight * popular, window.evidence.catalogue.available, episodes, start, k)
            total[place] += ndcg(hit, taken, k).sum()
    return total / max(len(episodes), 1)


def _knowing(windows: Sequence[Window]) -> tuple[Learner, ...]:
    """Return what can be shown where the season or the countries are known."""
    season = any(knows_season(window.evidence) for window in windows)
    countries = [window.evidence.history.country for window in windows]
    known = any(codes is not None and (codes >= 0).any() for codes in countries)
    return (*((SeasonPopularity(),) if season else ()), *(COUNTRIES if known else ()))


def _some(window: Window) -> Any:
    count = len(window.episodes)
    rows = np.unique(np.linspace(0, count - 1, MOST).astype(np.intp)) if count > MOST else np.arange(count)
    return choose(window.episodes, rows)


def _mean(learner: Learner, windows: Sequence[Window], k: int) -> float:
    """Return the mean over windows of the mean nDCG."""
    return float(np.mean([measure(learner, w.evidence, w.episodes, k).ndcg.mean() for w in windows])) if windows else 0.0


def best_of(measured: Mapping[str, tuple[Learner, Quality]]) -> Learner:
    """Return the learner with the greatest mean nDCG; of equally good ones the first."""
    return max(measured.values(), key=lambda found: float(found[1].ndcg.mean()))[0]


def support_sizes(windows: Sequence[Window]) -> NDArray[np.int64]:
    """Return (users,) distinct items in the supports of all windows."""
    return np.concatenate([window.episodes.support.k for window in windows])
