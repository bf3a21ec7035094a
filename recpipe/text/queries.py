"""The one form of a query."""

from __future__ import annotations

import unicodedata
from typing import Final

EDGE: Final = " \t.,;:!?…。，！？；：、'\"“”„‚‘’()[]{}"
MOST_LETTERS: Final = 200
"""A longer text is no search: it may hold anything, and is not listed."""


def normalise(text: str) -> str:
    """Return a text as it is listed: one case, one width of letters, single blanks, no signs at its ends.

    >>> normalise("  Tea  Cups, ")
    'tea cups'
    """
    return " ".join(unicodedata.normalize("NFKC", text).lower().split()).strip(EDGE)
