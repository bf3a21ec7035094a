"""The layout of evidence: which kinds a model looks at, and the columns that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.catalogue import Catalogue
from recpipe.errors import BadSetting

FORMER: Final = ("knn", "even_knn", "ease", "rare_ease", "words", "meaning", "smooth_in", "smooth_out", "category")
"""Kinds of evidence that one item gives for another, of models whose settings name none."""
KINDS: Final = (*FORMER, "met_next", "bm25", "brand", "tuned")
"""All kinds there are."""
USUAL: Final = KINDS
"""Kinds of a model unless told otherwise; one that a catalogue cannot give is left out, and `tuned` where it does not pay
(`recpipe.training.closed_forms.kind_choice`)."""
USUAL_RECENT: Final = ("knn", "even_knn", "ease", "met_next")
"""Kinds of which a mean is looked at, too, in which the newest moment of a support counts most."""
GREATEST: Final = ("knn", "ease", "words", "meaning", "tuned")
"""Kinds of which the support's strongest voice is looked at too, beside the mean."""
PLAIN: Final = ("category", "brand", "price")
"""What a stack of closed forms does without, beside the strongest voices."""
TRENDS: Final = ("14 days", "30 days", "90 days", "365 days", "users of 90 days", "users of 365 days", "season")
"""What is known of an item's sales; see `recpipe.evidence.item_features.trends`."""
SETTLED: Final = TRENDS.index("users of 365 days")
"""The trend that a user with a support is shown: the others let a model memorise what sold then."""


@dataclass(frozen=True)
class Layout:
    """Columns of the evidence of a support.

    Attributes
    ----------
    kinds
        Kinds of evidence, in the order of `recpipe.evidence.item_features.Pairs.value`; a weighted mean each.
    greatest
        Those of which the strongest voice is a column, too.
    recent
        Those of which a mean is a column, too, in which the newest items of the support count most.
    """

    kinds: tuple[str, ...]
    greatest: tuple[str, ...] = ()
    recent: tuple[str, ...] = ()

    @property
    def evidence(self) -> list[str]:
        """Columns of evidence, each of which is seen twice: as it is, and as a logarithm."""
        return [*self.kinds, *(f"greatest {name}" for name in self.greatest), *(f"recent {name}" for name in self.recent)]

    @property
    def features(self) -> list[str]:
        """Columns of `recpipe.evidence.gathering.Candidates.seen`."""
        return [*self.evidence, *(f"log {name}" for name in self.evidence), "price", f"sales of {TRENDS[SETTLED]}"]

    def places(self, names: Sequence[str]) -> NDArray[np.int32]:
        """Return the places of some kinds among `kinds`."""
        return np.array([self.kinds.index(name) for name in names], np.int32)


def layout_of(settings: Mapping[str, Any]) -> Layout:
    """Return the layout of a model's settings; those of earlier versions name no kinds and mean `FORMER`.

    Raises
    ------
    BadSetting
        If a kind is unknown.
    """
    kinds = tuple(settings.get("kinds", FORMER))
    if unknown := sorted(set(kinds) - set(KINDS)):
        raise BadSetting(f"There is no evidence of the kind {', '.join(unknown)}; there is {', '.join(KINDS)}.")
    recent = tuple(name for name in settings.get("recent", ()) if name in kinds)
    return Layout(kinds, tuple(name for name in GREATEST if name in kinds), recent)


def kinds_given(kinds: Sequence[str], catalogue: Catalogue) -> tuple[str, ...]:
    """Return the kinds that a catalogue can give, in their order."""
    missing = set()
    if not any(catalogue.brands or ()):
        missing.add("brand")
    if catalogue.tuned is None:
        missing.add("tuned")
    return tuple(name for name in kinds if name not in missing)


def used(settings: Mapping[str, Any]) -> NDArray[np.float32]:
    """Return (features,) 1, or 0 for what the settings take away.

    ``closed_forms_alone`` leaves the means of closed forms and the item's sales; ``withhold`` with ``sales`` takes all that
    counts an item's own sales; ``unused`` takes all columns of the kinds that it names.
    """
    layout, taken = layout_of(settings), list[str]()
    taken += [form + name for name in settings.get("unused", ()) for form in ("", "greatest ", "recent ")]
    if settings.get("closed_forms_alone"):
        taken += [*(f"greatest {name}" for name in layout.greatest), *PLAIN]
    if "sales" in settings.get("withhold", ()):
        taken += ["rare_ease", layout.features[-1]]
    return np.array([name.removeprefix("log ") not in taken for name in layout.features], np.float32)
