"""The masks of free texts: mail addresses, and the writer's own id."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from recpipe.printable import NAME, named, printable
from recpipe.user_ids.keys import has_key

if TYPE_CHECKING:
    from recpipe.config.place_settings import PrivacySettings

MAIL: Final = "[mail]"
USER: Final = "[user]"
_ENDS: Final = r"\s@%<>,;:'\x22()\[\]{}|=&?/\\"
MAIL_PATTERN: Final = rf"[^{_ENDS}]+\s?(@|%40)\s?[^{_ENDS}]+\.\pL[\pL\pN]+"
"""Anything like a mail address, also as addresses of pages write it (%40); of Arrow's regular expressions (RE2)."""
LONG_ID: Final = 9
"""Characters from which an id is masked inside of words, too: nothing else in a text is like it by chance."""
LEAST_DIGITS: Final = 4
"""Digits of an id below which a number in a text is no id: "5 candles" is no user."""
COLUMNS_SHOWN: Final = 40
"""Columns of a file that a sentence names."""
_WORD: Final = re.compile(r"[^\W\d]{1,40}")
_SIGNS: Final = re.compile("@|%40")
_EACH: Final = re.compile(rf"[^{_ENDS}]++(?P<rest>\s?(?:@|%40)\s?[^{_ENDS}]+\.[^\W\d_][^\W_]+)?")
"""A word, and what makes it a mail address: each word is walked through once, whatever follows it."""


class _Folding(dict[int, str]):
    """The one small letter of each letter: a text that is folded has the length that it had."""

    def __missing__(self, code: int) -> str:
        letter = chr(code)
        great = letter.upper()
        self[code] = (great if len(great) == 1 else letter).lower()[:1]
        return self[code]


_FOLDING: Final = _Folding()


def masked(texts: pa.Array, owners: Sequence[pa.Array]) -> pa.Array:
    """Return texts without mail addresses, and each without the ids of its own row.

    Parameters
    ----------
    texts
        (n,) text.
    owners
        Arrays (n,) of raw ids of the rows, such as user and person; null for nobody.
    """
    texts = without_mails(texts)
    for ids in owners:
        at = np.flatnonzero(_held(texts, ids))
        if not len(at):
            continue
        values = texts.to_pylist()
        for row in at.tolist():
            values[row] = without_id(values[row], ids[row].as_py())
        texts = pa.array(values, pa.string())
    return texts


def masked_text(text: str, owners: Sequence[str]) -> str:
    """Return one text as `masked` does.

    Examples
    --------
    >>> masked_text("I am Kunde-7, write to anna@shop.example", ["Kunde-7"])
    'I am [user], write to [mail]'
    """
    if _SIGNS.search(text):
        text = _EACH.sub(lambda found: MAIL if found["rest"] else found[0], text)
    for user_id in owners:
        text = without_id(text, user_id)
    return text


def without_mails(texts: pa.Array) -> pa.Array:
    """Return texts with `MAIL` in the place of every mail address."""
    return pc.replace_substring_regex(texts, MAIL_PATTERN, MAIL)


def without_id(text: str, user_id: str) -> str:
    """Return a text with `USER` in the place of an id, whatever the case of its letters."""
    if not is_telling(user_id):
        return text
    within, parts, kept, start = len(user_id) >= LONG_ID, list[str](), 0, 0
    folded, wanted = _folded(text), _folded(user_id)
    while (start := folded.find(wanted, start)) >= 0:
        end = start + len(wanted)
        if within or not (_in_word(text[start - 1 : start]) or _in_word(text[end : end + 1])):
            parts += (text[kept:start], USER)
            kept = start = end
        else:
            start += 1
    return "".join((*parts, text[kept:]))


def _folded(text: str) -> str:
    return text.lower() if text.isascii() else text.translate(_FOLDING)


def _in_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def is_telling(user_id: str) -> bool:
    """Whether a word of a text that is the same as an id can be taken for it: not where it is a letter or a small number."""
    return len(user_id) >= LEAST_DIGITS if user_id.isdigit() else len(user_id) > 1


def _held(texts: pa.Array, ids: pa.Array) -> NDArray[np.bool_]:
    """Return which texts hold the id of their row, as a word or within one."""
    found = np.zeros(len(texts), dtype=np.bool_)
    rows = np.flatnonzero(pc.and_(pc.is_valid(texts), pc.is_valid(ids)).to_numpy(zero_copy_only=False))
    some = pa.array(rows)
    pairs = zip(texts.take(some).to_pylist(), ids.take(some).to_pylist(), strict=True)
    found[rows] = [_folded(user_id) in _folded(text) for text, user_id in pairs]
    return found


# --- messages -----------------------------------------------------------------------------------------------------------


def shown_columns(privacy: PrivacySettings, names: Sequence[str]) -> str:
    """Return the columns of the shop's file for a message; with a key of user ids only names that are words.

    A file that was written without a header has its first row's values for names.
    """
    keyed = has_key(privacy)
    shown = [
        named(name) if not keyed or _WORD.fullmatch(name) else f"[column {place}]"
        for place, name in enumerate(names[:COLUMNS_SHOWN], 1)
    ]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def shown_value(privacy: PrivacySettings, value: object) -> str:
    """Return a value of one of the shop's files for a message; with a key of user ids it is kept back."""
    return (
        "another text (kept back)"
        if has_key(privacy)
        else named(str(value))
        if isinstance(value, str)
        else printable(repr(value), NAME)
    )
