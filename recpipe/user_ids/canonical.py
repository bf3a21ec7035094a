"""Ids: one canonical text for each, wherever it comes from and whoever asks.

Two systems of a shop write one id in many ways: with blanks around it, with a byte order mark or a zero-width sign that
nobody sees, composed or decomposed, as the number 12345 or, out of a table with gaps, as the text ``12345.0``. All of these
are the same id here. Ingestion, keys of user ids, erasures and look-ups ask this module alone.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_ODD: Final = r"[^\x21-\x7e]|^-?[0-9]+\.0$"
"""What the canonical form of an id may differ in: everything but plain signs of ASCII, and whole numbers with .0 (RE2)."""
_PLAIN_SIGNS: Final = np.array([0x20 < sign < 0x7F and chr(sign) not in ".+" for sign in range(256)])
_WHOLE: Final = re.compile(r"(-?[0-9]+)\.0")
_SCIENTIFIC: Final = r"^\s*-?[0-9](\.[0-9]+)?[eE]\+[0-9]{2,3}\s*$"
"""Numbers that a spreadsheet or a statistics program has rounded: which id it was, nobody can tell (RE2)."""
_SEEN_AS_NOTHING: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0")
"""Letters and marks by their category, but without a shape: joiners and fillers of scripts."""
_VARIANTS: Final = re.compile("[\u180b-\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def canonical(value: str | int) -> str:
    r"""Return an id as the tables have it; empty where nothing is left of it.

    Examples
    --------
    >>> canonical(12345), canonical(" 12345\ufeff"), canonical("12345.0"), canonical("Zoe\u0308")
    ('12345', '12345', '12345', 'Zoë')
    """
    text = "".join(_shown(sign) for sign in _VARIANTS.sub("", str(value))).strip()
    if not text.isascii():
        text = unicodedata.normalize("NFC", text)
    whole = _WHOLE.fullmatch(text)
    return whole[1] if whole else text


def _shown(sign: str) -> str:
    """Return a sign as a reader sees it: blanks of all widths are one blank, and what has no width is nothing."""
    if " " < sign < "\x7f":
        return sign
    if sign.isspace() and sign not in "\x1c\x1d\x1e\x1f":
        return " "
    return "" if unicodedata.category(sign) in ("Cc", "Cf") or sign in _SEEN_AS_NOTHING else sign


def canonical_ids(ids: pa.Array) -> pa.Array:
    """Return ids as the tables have them, as `canonical` does one by one; null where nothing is left.

    Parameters
    ----------
    ids
        (n,) text or whole numbers.
    """
    texts = pc.cast(ids, pa.string())
    if pa.types.is_integer(ids.type) or _all_plain(texts):
        return texts
    odd = pc.fill_null(pc.or_(pc.match_substring_regex(texts, _ODD), pc.equal(texts, "")), False)
    if not pc.any(odd).as_py():
        return texts
    coded = texts.filter(odd).dictionary_encode()
    mended = pa.array([canonical(text) or None for text in coded.dictionary.to_pylist()], pa.string())
    return pc.replace_with_mask(texts, odd, mended.take(coded.indices))


def _all_plain(texts: pa.Array) -> bool:
    """Whether all ids are letters, digits and signs of ASCII that no rule speaks of: then each is what it is."""
    if not len(texts):
        return True
    _, offsets, data = texts.buffers()
    ends = np.frombuffer(offsets, np.int32)[texts.offset : texts.offset + len(texts) + 1]
    if int((ends[1:] == ends[:-1]).sum()) > texts.null_count:  # empty ids
        return False
    signs = np.frombuffer(data, np.uint8)[ends[0] : ends[-1]] if data is not None else np.empty(0, np.uint8)
    return bool(_PLAIN_SIGNS[signs].all())


def rounded(ids: pa.Array) -> NDArray[np.bool_]:
    """Return (n,) whether an id is a number that was rounded before it came, such as ``1.23457e+12``."""
    if _all_plain(ids):
        return np.zeros(len(ids), dtype=np.bool_)
    found = pc.match_substring_regex(ids, _SCIENTIFIC)
    return np.asarray(pc.fill_null(found, False).to_numpy(zero_copy_only=False), dtype=np.bool_)


def without_nobody(ids: pa.Array, names: frozenset[str]) -> pa.Array:
    """Return canonical ids with null in the place of names for nobody.

    Parameters
    ----------
    ids
        (n,) text.
    names
        The names, in small letters.
    """
    if not names:
        return ids
    lower = pc.ascii_lower if all(name.isascii() for name in names) else pc.utf8_lower
    nobody = pc.is_in(lower(ids), pa.array(sorted(names), pa.string()))
    if not pc.any(nobody).as_py():
        return ids
    return pc.if_else(pc.and_(nobody, pc.is_valid(ids)), pa.scalar(None, pa.string()), ids)
