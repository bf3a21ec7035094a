"""What a training run goes on from: the champion, a version, a model folder, or a version of another registered model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from recpipe.config import Settings
from recpipe.errors import BadSetting, MissingModel
from recpipe.registry.folder import CONFIG
from recpipe.registry.serving import champion, fetch, fetch_named

CHAMPION: Final = "champion"
NAMED: Final = re.compile(r"models:/(?P<name>[^/\s]+)/(?P<version>[0-9]+)")
OPTION: Final = re.compile(r"[^\s\x00-\x1f-][^\x00-\x1f]*")
"""What may stand behind `--from`: no option by itself, no control characters."""


@dataclass(frozen=True)
class Named:
    """Where a run begins.

    Attributes
    ----------
    text
        ``champion``, a version's number, a model folder, or ``models:/NAME/VERSION``.
    other_shop
        Whether the model is another shop's: a folder or a registered model that is not this shop's own.
    """

    text: str
    other_shop: bool


def name_start(settings: Settings, text: str) -> Named | None:
    """Say what a start is from how it is written; None for an empty text. The registry is not asked.

    Raises
    ------
    BadSetting
        If the text is none of the four, or a folder without a model.
    """
    if not text:
        return None
    if text == CHAMPION or text.isdecimal():
        return Named(text, False)
    if text.startswith("models:"):
        found = NAMED.fullmatch(text)
        if found is None:
            raise BadSetting(f"Training cannot start from '{text}': a registered version is written models:/NAME/VERSION.")
        return Named(text, found["name"] != settings.registered_model)
    if not OPTION.fullmatch(text) or not (Path(text) / CONFIG).is_file():
        raise BadSetting(
            f"Training cannot start from {text!r}: it is neither 'champion', a version's number, models:/NAME/VERSION, nor a model "
            f"folder (one with a {CONFIG} in it)."
        )
    return Named(text, True)


def folder_of(settings: Settings, text: str) -> Path:
    """Return the local model folder that a start leads to; the registry is asked for all but folders.

    Raises
    ------
    MissingModel
        If the registry has no such version, or no promoted one.
    """
    if text == CHAMPION:
        return Path(fetch(settings, champion(settings)))
    if text.isdecimal():
        return Path(fetch(settings, text))
    if found := NAMED.fullmatch(text):
        if found["name"] == settings.registered_model:
            return Path(fetch(settings, found["version"]))
        return Path(fetch_named(settings, found["name"], found["version"]))
    if text.startswith("models:"):
        raise MissingModel(f"'{text}' is no registered version: write models:/NAME/VERSION.")
    return Path(text)
