"""The bond of a model to the encoders that it was trained with; no others can serve it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from recpipe.config.model_settings import TextSettings
from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.registry.encoder_versions import encoders, fetch_encoder, register_frozen, tuned_folder
from recpipe.registry.model_folder import CONFIG, read_json
from recpipe.text.encoder import load_encoder

PLAIN, TUNED = "encoder", "tuned_encoder"
"""Settings that name the folders of the two encoders, and facts of a model that name their fingerprints."""


def foreign_encoder(text: TextSettings, folder: str | Path, looked_at: Sequence[str] = (PLAIN, TUNED)) -> str:
    """Return a sentence that names both encoders if a model folder is of others than the settings; else empty.

    A folder that names no encoder fits any.
    """
    wanted = fingerprints_of(folder)
    for name, folder_of, setting in (
        (PLAIN, text.encoder, "RECPIPE_ENCODER"),
        (TUNED, text.tuned_encoder, "RECPIPE_TUNED_ENCODER"),
    ):
        if not wanted[name] or name not in looked_at:
            continue
        found = load_encoder(folder_of).fingerprint if folder_of or name == PLAIN else "none"
        if wanted[name] != found:
            what = "encoder" if name == PLAIN else "fine-tuned encoder"
            return (
                f"was trained with {what} {wanted[name][:12]}, but the settings name {what} {found[:12]}. Set {setting} to the "
                f"model's encoder, or train with this one."
            )
    return ""


def fingerprints_of(folder: str | Path) -> dict[str, str]:
    """Return the fingerprints of the plain and of the fine-tuned encoder that a model folder names, empty where it names none."""
    config = read_json(Path(folder) / CONFIG)
    return {name: str(config.get(name) or "") for name in (PLAIN, TUNED)}


def encoders_of(settings: Settings, folder: str | Path) -> dict[str, str]:
    """Return the local folders of the encoders that a model was trained with, by the setting that names them.

    Parameters
    ----------
    settings
        Name the registry, and encoders that need not be fetched.
    folder
        Model folder.

    Raises
    ------
    MissingModel
        If one of them is neither here nor registered.
    """
    wanted = fingerprints_of(folder)
    plain = fetch_encoder(settings, wanted[PLAIN]) if wanted[PLAIN] else settings.text.encoder
    return {PLAIN: plain, TUNED: fetch_encoder(settings, wanted[TUNED]) if wanted[TUNED] else ""}


def encoder_versions(settings: Settings, folder: str | Path) -> dict[str, str]:
    """Return the versions of the registered encoders that a model was trained with, as tags of its own version."""
    numbers = {version.content: str(version.number) for version in encoders(settings)}
    wanted = fingerprints_of(folder)
    return {f"{name}_version": numbers[print_] for name, print_ in wanted.items() if print_ in numbers}


def of_model(settings: Settings, folder: str | Path) -> Settings:
    """Return settings that name the encoders of a model (see `encoders_of`)."""
    return settings.changed(**encoders_of(settings, folder))


def unreadable(settings: Settings, folder: str | Path) -> str:
    """Return why a model cannot serve for want of its encoders, as a sentence; empty where they are at hand."""
    try:
        encoders_of(settings, folder)
    except MissingModel as error:
        return str(error)
    return ""


def of_day(settings: Settings, day: date) -> Settings:
    """Return settings that name the fine-tuned encoder of a day."""
    return settings.changed(tuned_encoder=tuned_folder(settings, day))


def of_week(settings: Settings, day: date) -> Settings:
    """Return settings that name the fine-tuned encoder for the training of a week that ends on a day.

    It saw nothing of the days of the week's gate, nor of the weeks before them by which training judges whether its vectors pay.
    """
    unseen = timedelta(days=settings.promotion.gate_days, weeks=settings.training.encoder_lead_weeks)
    return of_day(settings, day - unseen + timedelta(days=1))


def keep_encoders(settings: Settings, folder: str | Path) -> None:
    """See to it that the plain encoder of a model is registered, so that its nights can be made whatever is set later."""
    wanted = fingerprints_of(folder)[PLAIN]
    if wanted and load_encoder(settings.text.encoder).fingerprint == wanted:
        register_frozen(settings, settings.text.encoder)
