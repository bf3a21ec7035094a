"""Which version serves a day, and its files on this machine."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from datetime import date
from pathlib import Path
from typing import Final

from recpipe.config import Settings
from recpipe.errors import MissingModel
from recpipe.registry.folder import CLOSED_FORM, MODEL_FILES, content_hash, read_json
from recpipe.registry.store import client
from recpipe.registry.versions import Version, all_versions, find, newest, serving

log = logging.getLogger(__name__)

RECEIPT: Final = "fetched.json"


def resolve(settings: Settings, day: date) -> str:
    """Return the version that serves a day: promoted, with the newest ``trained_until`` before it.

    Raises
    ------
    MissingModel
        If none was promoted from data before that day.
    """
    found = serving(all_versions(client(settings), settings), day)
    if found is None:
        raise MissingModel(
            f"No promoted version of model {settings.registered_model} was trained on days before {day}: run the DAG "
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
    found = newest(v for v in all_versions(client(settings), settings) if v.promoted_on)
    if found is None:
        raise MissingModel(f"No version of model {settings.registered_model} is promoted yet: see `recpipe models`.")
    return str(found.number)


def fetch(settings: Settings, version: str) -> str:
    """Return the local model folder of a version, downloading it if it is not here yet or was damaged.

    A folder that is here and whole is used without asking the registry.

    Raises
    ------
    MissingModel
        If there is no such version, or its files do not have the hash they were registered with.
    """
    place = _place(settings, version)
    if _here(settings, place):
        return str(place)
    wanted = find(all_versions(client(settings), settings), version, settings)
    _download(settings, wanted, "model", wanted.content, place)
    return str(place)


def fetch_named(settings: Settings, name: str, version: str) -> str:
    """Return the local folder of a version of another registered model: of another shop, in the same registry.

    Raises
    ------
    MissingModel
        If there is no such version, or its files do not have the hash they were registered with.
    """
    other = settings.model_copy(update={"registered_model": name})
    wanted = find(all_versions(client(settings), other), version, other)
    place = _place(settings, f"{wanted.content}-other")
    if not _here(settings, place) or content_hash(place) != wanted.content:
        _download(other, wanted, "model", wanted.content, place)
    return str(place)


def fetch_closed_form(settings: Settings, version: Version) -> str:
    """Return the local folder of the best closed form that a version's training measured; empty if it left none."""
    if not version.closed_form:
        return ""
    place = _place(settings, f"{version.number}-{CLOSED_FORM}")
    if not _here(settings, place) or content_hash(place) != version.closed_form:
        _download(settings, version, CLOSED_FORM, version.closed_form, place)
    return str(place)


def _here(settings: Settings, place: Path) -> bool:
    receipt = read_json(place / RECEIPT)
    return receipt.get("store") == settings.tracking_uri and _whole(place, str(receipt.get("content")))


def forget(settings: Settings, version: int, content: str) -> None:
    """Drop the local folder of a version if it holds another model: one of a registry that was since thrown away."""
    place = _place(settings, str(version))
    if place.is_dir() and read_json(place / RECEIPT).get("content") != content:
        shutil.rmtree(place, ignore_errors=True)


def _place(settings: Settings, version: str) -> Path:
    return settings.work / "models" / str(version)


def _whole(place: Path, content: str) -> bool:
    return all((place / name).is_file() for name in MODEL_FILES) and content_hash(place) == content


def _download(settings: Settings, version: Version, what: str, content: str, place: Path) -> None:
    """Download beside the place, check, and move there at once; of several who do this one wins, with the same files."""
    import mlflow

    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetch-") as scratch:
        uri = f"models:/{settings.registered_model}/{version.number}"
        found = Path(mlflow.artifacts.download_artifacts(artifact_uri=f"{uri}/artifacts/{what}", dst_path=scratch))
        if not _whole(found, content):
            raise MissingModel(
                f"The files of {settings.registered_model} version {version.number} are not those that were registered (sha256 "
                f"differs): restore them in {uri}, or register the model folder again."
            )
        receipt = {"version": str(version.number), "content": content, "store": settings.tracking_uri}
        (found / RECEIPT).write_text(json.dumps(receipt), encoding="utf-8")
        _swap(found, place, content)
    log.info("Fetched model version %s (%s).", version.number, what)


def _swap(found: Path, place: Path, content: str) -> None:
    for _ in range(3):
        try:
            found.rename(place)
            return
        except OSError:  # a folder stands there: another night's, whole, or a damaged one
            if _whole(place, content):
                return
            aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=".damaged-"))
            if place.exists():
                place.replace(aside / "old")
            shutil.rmtree(aside, ignore_errors=True)
    raise MissingModel(f"{place} could not be replaced: remove the folder and run again.")
