"""Keys of user ids: with a key, ids are HMAC-SHA-256 from ingestion on, and only its holder can map them.

A user id becomes ``HMAC-SHA-256(key, id)`` in 64 hexadecimal digits, which any engine can compute. Other ids (sessions,
orders, events) and hashes of rows have keys of their own, made from the shop's one, so that the same text under two
kinds has nothing in common. Without a key everything passes as it is.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

import pyarrow as pa

from recpipe.errors import BadSetting
from recpipe.user_ids.canonical import canonical, canonical_ids

if TYPE_CHECKING:
    from recpipe.config.place_settings import PrivacySettings
    from recpipe.config.settings import Settings

Kind = Literal["session", "order", "event"]
"""Ids that are mapped beside those of users."""
What = Kind | Literal["row", "files"]
"""What else has a key of its own: whole rows (the quarantine's hash), and the shop's lists of users (the hash in a version)."""

LEAST_BYTES: Final = 32
OTHER_DIGITS: Final = 32
"""Hexadecimal digits of everything but users: 128 bits, so that no two of a shop's events meet by chance."""
FINGERPRINT_DIGITS: Final = 16
_HEX: Final = re.compile(r"[0-9a-fA-F]+")
_USER_KEY: Final = re.compile(r"[0-9a-f]{64}")


def has_key(privacy: PrivacySettings) -> bool:
    """Whether ids stand behind the door."""
    return bool(privacy.user_key.get_secret_value() or privacy.user_key_file)


def secret_of(privacy: PrivacySettings) -> bytes | None:
    """Return the shop's key; None where none is set. It never leaves memory: do not log, return or store it.

    Raises
    ------
    BadSetting
        If both settings are given, the file cannot be read, or what stands there is no key; the text holds nothing of it.
    """
    given, file = privacy.user_key.get_secret_value(), privacy.user_key_file
    if given and file:
        raise BadSetting("RECPIPE_USER_KEY and RECPIPE_USER_KEY_FILE are both set. Set one of them.")
    if file:
        return _from_file(Path(file))
    return _decoded(given, "RECPIPE_USER_KEY") if given else None


def _from_file(file: Path) -> bytes:
    try:
        return _read_once(file, file.stat().st_mtime_ns)
    except (OSError, UnicodeDecodeError):
        raise BadSetting(
            f"RECPIPE_USER_KEY_FILE: {file} cannot be read as text. Give recpipe the right to read it, and let it hold the key alone."
        ) from None


@lru_cache(maxsize=4)
def _read_once(file: Path, changed: int) -> bytes:
    return _decoded(file.read_text(encoding="ascii"), "RECPIPE_USER_KEY_FILE")


def _decoded(text: str, setting: str) -> bytes:
    """Read a key: digits of base 16 are hexadecimal, everything else is base64 (either alphabet, with or without its =)."""
    text = text.strip()
    try:
        if _HEX.fullmatch(text):
            secret = bytes.fromhex(text)
        else:
            plain = text.rstrip("=").replace("-", "+").replace("_", "/")
            secret = base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (ValueError, binascii.Error):
        secret = b""
    if len(secret) < LEAST_BYTES:
        raise BadSetting(
            f"{setting} holds no key: it has to be at least {LEAST_BYTES} bytes as hexadecimal digits or base64. "
            f'Make one: python -c "import secrets; print(secrets.token_hex({LEAST_BYTES}))", and keep it where it is not lost: '
            f"no id can be mapped without it."
        )
    return secret


def _secret_for(secret: bytes, label: str) -> bytes:
    # SHA-512, so that it can never be what some user's id is mapped to
    return hmac.digest(secret, f"recpipe {label}".encode(), "sha512")


def fingerprint(settings: Settings) -> str:
    """Return what a key is told by without showing it; empty where none is set."""
    secret = secret_of(settings.privacy)
    return "" if secret is None else _secret_for(secret, "fingerprint").hex()[:FINGERPRINT_DIGITS]


# --- users ----------------------------------------------------------------------------------------------------------


def user_key(settings: Settings, user_id: str | int) -> str:
    """Return what stands in the tables for one user."""
    secret, text = secret_of(settings.privacy), canonical(user_id)
    return text if secret is None else _digest(secret, text)


def user_keys(privacy: PrivacySettings, ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return what stands in the tables for some users.

    Parameters
    ----------
    privacy
        Hold the key, or none.
    ids
        (n,) raw ids, text or whole numbers; null for nobody.

    Returns
    -------
    pa.Array
        (n,) text: 64 hexadecimal digits each; null where the id is. Without a key the canonical ids.
    """
    secret = secret_of(privacy)
    texts = _canonical_texts(ids)
    return texts if secret is None else _mapped(secret, texts, None)


def typed_user(settings: Settings, typed: str) -> str:
    """Return the user whom a person means who typed a raw id, or what stands in the tables for it (64 digits of base 16)."""
    typed = canonical(typed)
    return typed if is_user_key(typed) else user_key(settings, typed)


def is_user_key(text: str) -> bool:
    """Whether a text has the form of a mapped user id: 64 digits of base 16, in small letters."""
    return _USER_KEY.fullmatch(canonical(text)) is not None


# --- everything else --------------------------------------------------------------------------------------------------


def other_keys(privacy: PrivacySettings, kind: Kind, ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return what stands in the tables for sessions, orders or events: 32 hexadecimal digits each, null where the id is.

    The same id of one kind is the same text wherever it stands, so that tables join; of another kind it is another one.
    """
    secret = secret_of(privacy)
    texts = _canonical_texts(ids)
    return texts if secret is None else _mapped(_secret_for(secret, kind), texts, OTHER_DIGITS)


def hashes(privacy: PrivacySettings, what: What, texts: Sequence[str]) -> list[str]:
    """Return a hash of each text, 64 hexadecimal digits: keyed with a key, so that nobody else can find the text by trying."""
    secret = secret_of(privacy)
    if secret is None:
        return [hashlib.sha256(text.encode()).hexdigest() for text in texts]
    own = _secret_for(secret, what)
    return [_digest(own, text) for text in texts]


def _canonical_texts(ids: pa.Array | pa.ChunkedArray) -> pa.Array:
    ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
    ids = ids.dictionary_decode() if pa.types.is_dictionary(ids.type) else ids
    return canonical_ids(ids)


def _mapped(secret: bytes, texts: pa.Array, digits: int | None) -> pa.Array:
    coded = texts.dictionary_encode()  # each id once: a day holds many events of one user
    mapped = [_digest(secret, text)[:digits] for text in coded.dictionary.to_pylist()]
    return pa.array(mapped, pa.string()).take(coded.indices)


def _digest(secret: bytes, text: str) -> str:
    return hmac.digest(secret, text.encode(), "sha256").hex()
