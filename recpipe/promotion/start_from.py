"""The start of a training run: the champion, a version, a model folder, or a version of another registered model."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final

from recpipe.config.model_settings import PromotionSettings, option_of
from recpipe.config.settings import Settings
from recpipe.errors import BadSetting, MissingModel
from recpipe.registry.encoders import PLAIN, foreign_encoder
from recpipe.registry.model_folder import CONFIG
from recpipe.registry.serving import champion, fetch, fetch_named
from recpipe.registry.store import client
from recpipe.registry.versions import Version, all_versions, newest

log = logging.getLogger(__name__)

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


def name_start(promotion: PromotionSettings, text: str) -> Named | None:
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
        return Named(text, found["name"] != promotion.registered_model)
    if not OPTION.fullmatch(text) or not (Path(text) / CONFIG).is_file():
        raise BadSetting(
            f"Training cannot start from {text!r}: it is neither 'champion', a version's number, models:/NAME/VERSION, nor a model "
            f"folder (one with a {CONFIG} in it)."
        )
    return Named(text, True)


@dataclass(frozen=True)
class Begin:
    """Where a run begins, found.

    Attributes
    ----------
    folder
        The local model folder; None: the run starts afresh.
    said
        A sentence where that is not what the words of the start say, such as a champion that nothing is learned in; else empty.
    """

    folder: Path | None
    said: str = ""


def begin(settings: Settings, text: str, learner: str, before: date | None = None) -> Begin:
    """Find what a run goes on from.

    A champion may be a closed form, which has nothing to go on from. Then the run goes on from the newest version of its own
    learner and encoder, promoted ones first, and starts afresh where there is none; so does the first run of a shop.

    Parameters
    ----------
    settings
        Name the registry and the encoder.
    text
        As `name_start` takes it; empty: the run starts afresh.
    learner
        What the run trains.
    before
        Day that a version for the champion must be trained before, so that a week that is run again begins as it did; None: any.

    Raises
    ------
    MissingModel
        If the registry has no such version, or its files are lost.
    """
    if not text:
        return Begin(None)
    if text != CHAMPION:
        return Begin(folder_of(settings, text))
    known = [v for v in all_versions(client(settings), settings.promotion) if before is None or v.trained_until < before]
    serves = newest(v for v in known if v.promoted_on)
    if serves and serves.learner == learner and (folder := _usable(settings, serves)):
        return Begin(folder)
    why = f"the champion is version {serves.number} ({serves.learner})" if serves else "there is no champion yet"
    for version in _others(known, learner, serves):
        try:
            folder = _usable(settings, version)
        except MissingModel as error:  # its files are lost, and an older one will do
            log.warning("Version %s is passed over: %s", version.number, error)
            continue
        if folder:
            promoted = "promoted" if version.promoted_on else "not promoted"
            return Begin(folder, f"{why}, so training goes on from version {version.number}, the newest {learner} ({promoted}).")
    return Begin(None, f"{why}, and no version of {learner} with this encoder is registered, so training starts afresh.")


def wanted_learner(options: Sequence[str]) -> str:
    """Return the learner that options of `recpipe train` name, or its default."""
    from recpipe.training.config import Config, read_settings

    file = option_of(options, "--settings")
    named = read_settings(Path(file)) if file else {}
    return str(option_of(options, "--learner") or named.get("learner") or Config().learner)


def _others(known: list[Version], learner: str, serves: Version | None) -> Iterator[Version]:
    """Yield the versions of a learner: promoted ones before the others, each newest first; nothing that was withdrawn."""
    fit = [v for v in known if v.learner == learner and not v.withdrawn and v != serves]
    yield from sorted(fit, key=lambda v: (v.promoted_on is not None, v.rank), reverse=True)


def _usable(settings: Settings, version: Version) -> Path | None:
    """Return the local folder of a version; None if it was trained with another encoder."""
    folder = Path(fetch(settings, str(version.number)))
    # numbers weigh kinds of evidence, or axes of the plain encoder's vectors: the fine-tuned one may be another
    return None if foreign_encoder(settings.text, folder, (PLAIN,)) else folder


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
        if found["name"] == settings.promotion.registered_model:
            return Path(fetch(settings, found["version"]))
        return Path(fetch_named(settings, found["name"], found["version"]))
    if text.startswith("models:"):
        raise MissingModel(f"'{text}' is no registered version: write models:/NAME/VERSION.")
    return Path(text)
