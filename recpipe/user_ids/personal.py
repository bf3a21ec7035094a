"""Texts that hold a person's address or number."""

from __future__ import annotations

import re
from typing import Final

from recpipe.text.queries import MOST_LETTERS

PERSONAL: Final = re.compile(r"\S@\S|\d(?:[ ./()-]{0,2}\d){6,}")
"""An e-mail address, or seven digits and more with at most two signs between them: telephones, cards, orders."""


def is_personal(text: str) -> bool:
    """Whether a text may hold more of a person than a wish: an address, a long number, or a letter's length.

    >>> [is_personal(text) for text in ("ann@example.org order", "0151 234 5678", "mug under 1,000")]
    [True, True, False]
    """
    return len(text) > MOST_LETTERS or PERSONAL.search(text) is not None
