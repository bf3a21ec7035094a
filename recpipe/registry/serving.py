"""The version that serves a day, and its files on this machine."""

from __future__ import annotations

import logging
import tempfile
from datetime import date
from pathlib import Path

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.registry.download import download, swap
from recpipe.registry.model_folder import CLOSED_FORM, MODEL_FILES, content_hash
from recpipe.registry.store import client
from recpipe.registry.versions import Version, all_versions, find, newest, serving

log = logging.getLogger(__name__)


def resolve(settings: Settings, day: date) -> str:
    """Return the version that serves a day: promoted, with the newest ``trained_until`` before it.

    Raises
    ------
    MissingModel
        If none was promoted from data before that day.
    """
    found = serving(all_versions(client(settings), settings.promotion), day)
    if found is None:
        raise MissingModel(
            f"No promoted version of model {settings.promotion.registered_model} was trained on days before {day}: run the DAG "
            f"train_meta_model for a week that ends before {day} first."
        )
    return str(found.number)


def champion(settings: Settings) -> str:
    """Return the version that the alias ``champion`` stands for: of all promoted ones the newest.

    Raises
    ------
    MissingModel
        If none is promoted.
    """
    found = newest(v for v in all_versions(client(settings), settings.promotion) if v.promoted_on)
    if found is None:
        raise MissingModel(f"No version of model {settings.promotion.registered_model} is promoted yet: see `recpipe models`.")
    return str(found.number)


def fetch(settings: Settings, version: str) -> str:
    """Return the local model folder of a version, downloading it if it is not here yet or was damaged.

    Both the folder that is here and the files of the store are held against the sha256 that the registry has of the version
    since it was registered.

    Raises
    ------
    MissingModel
        If there is no such version, or its files do not have the hash they were registered with.
    """
    return str(_fetch(settings, _find(settings, version)))


def fetch_for_plan(settings: Settings, version: str) -> dict[str, str]:
    """Return what a plan says of a version: its local folder as `fetch` gives it, and its sha256 in the registry."""
    wanted = _find(settings, version)
    return {"model_folder": str(_fetch(settings, wanted)), "model_sha256": wanted.content}


def require_content(folder: Path, content: str, name: str) -> None:
    """Refuse a local model folder whose files are not those that were registered, such as one that was changed since it was fetched.

    Parameters
    ----------
    folder
        As `fetch` gave it.
    content
        sha256 of the model that the registry has.
    name
        How to speak of the model, such as ``Model version 3``.

    Raises
    ------
    MissingModel
        If the files are others, or are not there.
    """
    if not folder.is_dir() or content_hash(folder) != content:
        raise MissingModel(
            f"{name} in {folder} is not the one that was registered (sha256 {content[:12]}…): its files were changed or lost since the "
            f"night was planned. Find out by whom, remove the folder, and run the day again from its task plan: it fetches the model anew."
        )


def fetch_named(settings: Settings, name: str, version: str) -> str:
    """Return the local folder of a version of another registered model: of another shop, in the same registry.

    Raises
    ------
    MissingModel
        If there is no such version, or its files do not have the hash they were registered with.
    """
    other = settings.changed(registered_model=name)
    wanted = find(all_versions(client(settings), other.promotion), version, other.promotion)
    place = _place(settings.places, f"{wanted.content}-other")
    if not _here(place, wanted.content):
        _download(other, wanted, "model", wanted.content, place)
    return str(place)


def fetch_closed_form(settings: Settings, version: Version) -> str:
    """Return the local folder of the best closed form that a version's training measured; empty if it left none."""
    if not version.closed_form:
        return ""
    place = _place(settings.places, f"{version.number}-{CLOSED_FORM}")
    if not _here(place, version.closed_form):
        _download(settings, version, CLOSED_FORM, version.closed_form, place)
    return str(place)


def _find(settings: Settings, version: str) -> Version:
    return find(all_versions(client(settings), settings.promotion), version, settings.promotion)


def _fetch(settings: Settings, wanted: Version) -> Path:
    place = _place(settings.places, str(wanted.number))
    if not _here(place, wanted.content):
        _download(settings, wanted, "model", wanted.content, place)
    place.touch()  # in use: the sweep of scratch lets it stand
    return place


def _here(place: Path, content: str) -> bool:
    """Return whether a folder holds the model that the registry has; what stands beside the files does not say so."""
    if _whole(place, content):
        return True
    if place.exists():
        log.warning("%s does not hold the files that were registered (sha256 %s…): they are fetched anew.", place, content[:12])
    return False


def _place(places: PlaceSettings, version: str) -> Path:
    return places.work / "models" / str(version)


def _whole(place: Path, content: str) -> bool:
    return all((place / name).is_file() for name in MODEL_FILES) and content_hash(place) == content


def _download(settings: Settings, version: Version, what: str, content: str, place: Path) -> None:
    """Download beside the place, check, and move there at once."""
    place.parent.mkdir(parents=True, exist_ok=True)
    name = f"{settings.promotion.registered_model} version {version.number}"
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetch-") as scratch:
        uri = f"models:/{settings.promotion.registered_model}/{version.number}/artifacts/{what}"
        found = download(uri, scratch, name, place, remedy(version.number))
        if not _whole(found, content):
            raise MissingModel(
                f"The files of {name} are not those that were registered (one is missing, or its sha256 differs). {remedy(version.number)}"
            )
        whole = Path(scratch) / "whole"
        whole.mkdir()
        for file in MODEL_FILES:  # whatever else somebody laid beside them stays behind
            (found / file).replace(whole / file)
        swap(whole, place, lambda there: _whole(there, content))
    log.info("Fetched model version %s (%s).", version.number, what)


def remedy(number: int) -> str:
    """Say what to do about a version whose files are lost."""
    return (
        f"Restore them in MLflow's store of artifacts, or register the model folder again where it is still there; else take the version "
        f"out of use: recpipe withdraw {number} --reason 'its files are lost'. The version that was promoted before it serves then."
    )
