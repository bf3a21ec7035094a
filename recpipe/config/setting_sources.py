"""The sources of settings: ``recpipe.toml``, an environment file and the environment, the later the stronger."""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from pydantic import create_model
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, DotEnvSettingsSource, EnvSettingsSource, SettingsConfigDict, SettingsError

from recpipe.errors import BadSetting
from recpipe.printable import NAME, printable

TOML: Final = "recpipe.toml"
"""The file of settings that is looked for in the working folder, unless ``RECPIPE_CONFIG_FILE`` names another."""
ENV_FILE: Final = ".recpipe/recpipe.env"
ENVIRONMENT: Final = "environment"
OPENLY_TYPED_SECRETS: Final = frozenset({"storage_options"})
"""Settings that may hold credentials and are no `SecretStr`, since Delta takes them as texts."""


@dataclass(frozen=True)
class Given:
    """The value of a setting as a source has it, not checked yet.

    Attributes
    ----------
    value
        A text, or what JSON or TOML holds.
    source
        The file's name, or ``environment``; empty for an argument.
    name
        How the source calls it, such as ``lists.top_k``.
    """

    value: Any
    source: str = ""
    name: str = ""

    @property
    def place(self) -> str:
        """Where a person finds it, behind the name of its variable; nothing for the environment."""
        return f" ({self.name} in {self.source})" if self.source not in ("", ENVIRONMENT) else ""


@dataclass(frozen=True)
class Known:
    """What settings there are.

    Attributes
    ----------
    fields
        Every setting by name.
    parts
        The part that each is in, by the setting's name.
    """

    fields: Mapping[str, FieldInfo]
    parts: Mapping[str, str]

    @cached_property
    def flat(self) -> type[BaseSettings]:
        """A class of all settings side by side, as the environment names them; it only serves to read texts."""
        return create_model("Flat", __base__=_Flat, **{name: (field.annotation, None) for name, field in self.fields.items()})  # type: ignore[call-overload,no-any-return]  # fields made at run time


class _Flat(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="RECPIPE_", extra="forbid", defer_build=True)


def is_secret(name: str, field: FieldInfo) -> bool:
    """Whether a setting is printed nowhere, and kept out of ``recpipe.toml``, which is meant to be shared."""
    return "SecretStr" in str(field.annotation) or name in OPENLY_TYPED_SECRETS


def given_settings(known: Known, env_file: str = ENV_FILE) -> dict[str, Given]:
    """Return what the sources say, by the setting's name; what a source alone has that is no setting is there, too.

    Raises
    ------
    BadSetting
        If a file cannot be read or holds what does not belong there, or a value is no JSON where it has to be.
    """
    return {**_of_toml(known), **_of_env_file(known.flat, env_file), **_of_environment(known.flat)}


def _of_environment(flat: type[BaseSettings]) -> dict[str, Given]:
    return {name: Given(value, ENVIRONMENT, _variable(name)) for name, value in _decoded(EnvSettingsSource(flat)).items()}


def _of_env_file(flat: type[BaseSettings], default: str) -> dict[str, Given]:
    file = os.environ.get("RECPIPE_ENV_FILE", default)
    if not file:
        return {}
    try:
        source = DotEnvSettingsSource(flat, env_file=file)
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(
            f"The file of settings {printable(file)} cannot be read ({type(error).__name__}): mend it, or RECPIPE_ENV_FILE."
        ) from None
    shown, read = printable(file), {}
    for name, value in _decoded(source).items():
        # a name that is no setting comes back whole, as the file has it
        variable = _variable(name) if name in flat.model_fields else printable(name.upper(), NAME)
        read[name] = Given(value, shown, variable)
    return read


def _decoded(source: EnvSettingsSource) -> dict[str, Any]:
    """Return what a source has, with lists and dictionaries read from JSON."""
    try:
        return source()
    except SettingsError as error:
        name = re.search(r'field "(\w+)"', str(error))
        raise BadSetting(
            f"{_variable(name[1]) if name else 'A setting'} is no JSON, in which lists and dictionaries are written, such as "
            f'["a", "b"] or {{"a": "b"}}. Mend it in the environment.'
        ) from None


def _of_toml(known: Known) -> dict[str, Given]:
    """Return what ``recpipe.toml`` says: a table for each part, in it the settings by name."""
    named = os.environ.get("RECPIPE_CONFIG_FILE")
    file = Path(TOML if named is None else named)
    if named == "" or (named is None and not file.is_file()):
        return {}
    shown = printable(str(file))
    try:
        tables = tomllib.loads(file.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise BadSetting(f"The file of settings {shown} is no TOML: {printable(str(error))}. Mend it there.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSetting(
            f"The file of settings {shown} cannot be read ({type(error).__name__}): mend it, or RECPIPE_CONFIG_FILE."
        ) from None
    if wrong := list(_misplaced(tables, known)):
        raise BadSetting(f"The file of settings {shown} is wrong. {'; '.join(wrong)}. Mend it there.")
    return {name: Given(value, shown, f"{part}.{name}") for part, table in tables.items() for name, value in table.items()}


def _misplaced(tables: Mapping[str, Any], known: Known) -> Iterator[str]:
    """Yield a sentence for each key that has no place in ``recpipe.toml``."""
    parts = sorted(set(known.parts.values()))
    for part, table in tables.items():
        if part in known.parts:
            yield f"{part}: it belongs under [{known.parts[part]}]"
        elif part not in parts:
            yield f"[{printable(part, NAME)}]: there is no such part{_meant(part, parts)}"
        elif not isinstance(table, Mapping):
            yield f"{part}: it is a part, and so a table, [{part}]"
        else:
            for name in table:
                yield from _unwanted(part, name, known)


def _unwanted(part: str, name: str, known: Known) -> Iterator[str]:
    key = f"{part}.{printable(name, NAME)}"
    if name not in known.parts:
        yield f"{key}: there is no such setting{_meant(name, known.parts)}"
    elif known.parts[name] != part:
        yield f"{key}: it belongs under [{known.parts[name]}]"
    elif is_secret(name, known.fields[name]):
        yield f"{key}: secrets do not belong into this file; set {_variable(name)} in the environment"


def unknown(name: str, given: Given, known: Known) -> str:
    """Return the sentence for a name that is no setting."""
    plain = name.lower().removeprefix("recpipe_")
    where = f" in {given.source}" if given.source else ""
    return f"{given.name or printable(_variable(name), NAME)}{where}: there is no such setting{_meant(plain, known.parts, _variable)}"


def _meant(name: str, names: Mapping[str, str] | list[str], shown: Any = str) -> str:
    near = difflib.get_close_matches(name, list(names), 1)
    return f" (did you mean {shown(near[0])}?)" if near else ""


def _variable(name: str) -> str:
    return f"RECPIPE_{name.upper()}"
