"""The choice whether a shop's learner looks at the vectors of its fine-tuned encoder: where they pay on later weeks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.episodes import Episodes
from recpipe.training.networks.candidate_softmax import Items, closed_forms_of, fit_stack
from recpipe.training.quality import Window, measure_in

TUNED: Final = "tuned"
"""The kind of evidence that is chosen."""


def gain_of_tuned(
    lessons: Sequence[tuple[Episodes, Items]],
    windows: Sequence[Window],
    views: Sequence[Any],
    settings: Mapping[str, Any],
    rates: tuple[int, int, float],
    seed: int,
    metric_k: int,
) -> NDArray[np.float64]:
    """Return (users,) nDCG with the fine-tuned vectors less nDCG without, of the stack of closed forms.

    The stack is linear and fitted twice on the same batches, so that the difference is that of the evidence.

    Parameters
    ----------
    lessons
        Episodes and evidence of the instants that are learned from.
    windows, views
        Later weeks to look at, and the evidence in each.
    settings
        Of the network, the kind among them.
    rates
        Updates, episodes each, learning rate.
    seed, metric_k
        Of the batches; cut-off of nDCG.
    """
    found = []
    for unused in ((), (TUNED,)):
        held = {**settings, "unused": unused}
        stack = fit_stack(lessons, held, seed, *rates)
        parts = []
        for window, view in zip(windows, views, strict=True):
            space = stack.place(closed_forms_of(view, held))
            parts.append(measure_in(stack, space, window.evidence.catalogue.available, window.episodes, metric_k).ndcg)
        found.append(np.concatenate(parts))
    return np.asarray(found[0] - found[1], np.float64)


def pays(gain: NDArray[np.float64]) -> bool:
    """Return whether a gain is more than one standard error above nothing: less is as likely to be lost again."""
    return len(gain) > 1 and float(gain.mean()) > float(gain.std(ddof=1)) / len(gain) ** 0.5


def without_tuned(settings: Mapping[str, Any], facts: Mapping[str, Any]) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Return the kinds of a learner that does without, and the facts of its input: its nights need no such encoder."""
    kinds = tuple(name for name in settings["kinds"] if name != TUNED)
    return kinds, {name: value for name, value in facts.items() if name != "tuned_encoder"}
