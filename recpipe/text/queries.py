"""The one form of a query, and what is no query: a text that holds an address or a number of a person."""

from __future__ import annotations

import re
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


PERSONAL: Final = re.compile(r"\S@\S|\d(?:[ ./()-]{0,2}\d){6,}")
"""An e-mail address, or seven digits and more with at most two signs between them: telephones, cards, orders."""


def is_personal(text: str) -> bool:
    """Whether a text may hold more of a person than a wish: an address, a long number, or a letter's length.

    >>> [is_personal(text) for text in ("ann@example.org order", "0151 234 5678", "mug under 1,000")]
    [True, True, False]
    """
    return len(text) > MOST_LETTERS or PERSONAL.search(text) is not None
