"""Every setting with its value, its source and its meaning, for people to read; no secret is among the values."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from recpipe.config.setting_sources import is_secret
from recpipe.config.settings import KNOWN, read_settings

HIDDEN: Final = "set, not shown"
DEFAULT: Final = "default"


@dataclass(frozen=True)
class Explained:
    """One setting.

    Attributes
    ----------
    part, name
        Its table and key in ``recpipe.toml``.
    variable
        Its name in the environment.
    value
        As the environment would hold it; `HIDDEN` in place of a secret.
    source
        ``default``, ``environment`` or the file that it is read from.
    meaning
        A sentence.
    """

    part: str
    name: str
    variable: str
    value: str
    source: str
    meaning: str


def explained() -> Iterator[Explained]:
    """Yield every setting, part by part.

    Raises
    ------
    BadSetting
        If a setting is wrong.
    """
    settings, given = read_settings()
    for name, value in settings.flat().items():
        field = KNOWN.fields[name]
        shown = _hidden(value) if is_secret(name, field) else _shown(value)
        source = given[name].source if name in given else DEFAULT
        yield Explained(KNOWN.parts[name], name, f"RECPIPE_{name.upper()}", shown, source, field.description or "")


def _hidden(value: Any) -> str:
    return HIDDEN if (value.get_secret_value() if isinstance(value, SecretStr) else value) else ""


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, str | Path | date):
        return _without_password(str(value))
    return json.dumps(value, ensure_ascii=False, default=str)


def _without_password(text: str) -> str:
    """Return an address without what a database or a store takes for a secret: the password, and options behind a question mark."""
    scheme, is_address, rest = text.partition("://")
    if not is_address:
        return text
    place, question, _ = rest.partition("?")
    authority, slash, path = place.partition("/")
    user, at, host = authority.rpartition("@")
    name, colon, _ = user.partition(":")
    return f"{scheme}://{name}{':…' if colon else ''}{at}{host}{slash}{path}{'?…' if question else ''}"
