"""Options of a command, as settings hold them: words."""

from __future__ import annotations

import itertools
from collections.abc import Sequence


def option_of(words: Sequence[str], name: str) -> str:
    """Return the value that words give an option, ``--learner maml`` or ``--learner=maml``; of several the last, else empty.

    Examples
    --------
    >>> option_of(["--steps", "3", "--learner=maml"], "--learner")
    'maml'
    """
    apart = [(place, value) for place, (word, value) in enumerate(itertools.pairwise(words)) if word == name]
    joined = [(place, word.split("=", 1)[1]) for place, word in enumerate(words) if word.startswith(f"{name}=")]
    return max([*apart, *joined], default=(0, ""))[1]
