"""Text encoders as versions of a registered model of their own: registered once, found by day or by fingerprint, fetched and checked."""

from __future__ import annotations

import logging
import shutil
import tempfile
import time
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recpipe import __version__
from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.registry.download import download, swap
from recpipe.registry.model_folder import curves, leaves, mlflow_name, numbers, read_json
from recpipe.registry.nights import no_store
from recpipe.registry.store import LONGEST_PARAM, METRICS_AT_ONCE, client, experiment_id
from recpipe.registry.versions import Version, all_versions, serving
from recpipe.text.encoder import fingerprint_of, load_encoder

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

FOLDER: Final = "encoder"
"""Folder of the run's artifacts that holds the encoder."""
FROZEN: Final = "frozen"
"""What a version is called that was never fine-tuned."""
UNTAUGHT: Final = date(1970, 1, 1)
"""``trained_until`` of an encoder that has seen nothing of the shop: it may serve any day."""
SUMMARY: Final = "summary.json"
BESIDE: Final = (SUMMARY, "metrics.jsonl")
"""Files of a fine-tuning that tell how it came about; `encoder_files` leaves them out, and the checkpoint of a killed run."""
REMEDY: Final = (
    "Restore them in MLflow's store of artifacts, or set RECPIPE_ENCODER to the folder of that encoder where it still lies."
)


def for_encoders(settings: Settings) -> Settings:
    """Return settings under which the registry's functions speak of encoders: versions, promotion, withdrawal, overview."""
    return settings.changed(registered_model=settings.promotion.registered_encoder)


def encoders(settings: Settings) -> list[Version]:
    """Return every registered encoder, by number; ``content`` is its fingerprint, ``learner`` its method."""
    return all_versions(client(settings), for_encoders(settings).promotion)


def promoted_encoder(settings: Settings, day: date) -> Version | None:
    """Return the encoder of a day: promoted, with the newest ``trained_until`` before it; None where there is none."""
    return None if no_store(settings.places) else serving(encoders(settings), day)


def tuned_folder(settings: Settings, day: date) -> str:
    """Return the local folder of the fine-tuned encoder of a day, empty where the plain one alone reads texts.

    The folder that the settings name comes first.
    """
    if settings.text.tuned_encoder:
        return settings.text.tuned_encoder
    found = promoted_encoder(settings, day)
    if found is None or found.content == load_encoder(settings.text.encoder).fingerprint:
        return ""
    return fetch_encoder(settings, found.content)


def fetch_encoder(settings: Settings, fingerprint: str) -> str:
    """Return a local folder with the encoder of a fingerprint: the settings' own, one that was fetched before, or the registry's.

    Raises
    ------
    MissingModel
        If neither the settings nor the registry have it, or its files are others than were registered.
    """
    for own in (settings.text.encoder, *filter(None, [settings.text.tuned_encoder])):
        if load_encoder(own).fingerprint == fingerprint:
            return own
    place = folder_of(settings.places, fingerprint)
    if not _whole(place, fingerprint):
        _download(settings, fingerprint, place)
    place.touch()  # in use: the sweep of scratch lets it stand
    return str(place)


def register_encoder(settings: Settings, folder: Path, facts: Mapping[str, Any], run_id: str = "") -> str:
    """Log and register an encoder folder; the same encoder again returns the version that it already has.

    Parameters
    ----------
    settings
        Where MLflow is, and the name of the registered encoders.
    folder
        What `recpipe.text.encoder.load_encoder` loads; the ``summary.json`` and ``metrics.jsonl`` of a fine-tuning beside it are logged.
    facts
        ``method``, ``trained_until``, ``fitted_until``; and whatever else the run is to have as parameters, such as ``parent``.
    run_id
        The run that the fine-tuning streamed its curves to; a new one if empty.

    Returns
    -------
    str
        Version in the registry.
    """
    fingerprint, store = fingerprint_of(folder), client(settings)
    known = next((v for v in encoders(settings) if v.content == fingerprint), None)
    if known is not None:
        log.info("This encoder is version %d already.", known.number)
        return str(known.number)
    run = run_id or open_run(settings, f"{facts['method']} {facts['trained_until']}")
    _log_files(store, run, folder, fingerprint)
    _log_facts(store, run, folder, facts, streamed=bool(run_id))
    store.set_terminated(run)
    number = _add_version(settings, store, run, facts, fingerprint)
    log.info("Registered %s version %s (%s).", settings.promotion.registered_encoder, number, facts["method"])
    return number


def register_frozen(settings: Settings, folder: str) -> str:
    """Register an encoder that was never fine-tuned, as it lies in a folder; it may serve any day."""
    encoder = load_encoder(folder)
    days = {"trained_until": UNTAUGHT.isoformat(), "fitted_until": UNTAUGHT.isoformat()}
    return register_encoder(settings, encoder.folder, {"method": FROZEN, "fingerprint": encoder.fingerprint, **days})


def open_run(settings: Settings, name: str) -> str:
    """Open a run of the experiment, to which a fine-tuning streams its curves, and return its id.

    A run of that name that is still open belongs to a course that was given up: it is marked as killed.
    """
    store = client(settings)
    experiment, called = experiment_id(store, settings.places), f"encoder {name}"
    for run in store.search_runs([experiment], f"attributes.run_name = '{called}' and attributes.status = 'RUNNING'"):
        store.set_terminated(run.info.run_id, "KILLED")
    return str(store.create_run(experiment, run_name=called).info.run_id)


def encoder_files(folder: Path) -> list[Path]:
    """Return the files of an encoder folder that make the encoder, by name."""
    kept = (path for path in folder.iterdir() if path.is_file() and path.name not in BESIDE)
    return sorted(path for path in kept if not path.name.startswith(("checkpoint", ".", "events.out")))


def _log_files(store: MlflowClient, run: str, folder: Path, fingerprint: str) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / FOLDER
        copy.mkdir()
        for path in encoder_files(folder):
            shutil.copy2(path, copy / path.name)
        if fingerprint_of(copy) != fingerprint:
            raise MissingModel(f"The encoder in {folder} changed while it was registered: register it again.")
        store.log_artifacts(run, str(copy), FOLDER)
    for name in BESIDE:
        if (folder / name).is_file():
            store.log_artifact(run, str(folder / name), "training")


def _log_facts(store: MlflowClient, run: str, folder: Path, facts: Mapping[str, Any], *, streamed: bool) -> None:
    """Log parameters, before and after, and the curves, where they were not streamed to the run while it learned."""
    from mlflow.entities import Metric, Param

    summary, now = read_json(folder / SUMMARY), int(time.time() * 1000)
    known = {**{k: v for k, v in facts.items() if k != "inputs"}, "config": summary.get("config", {})}
    store.log_batch(run, params=[Param(mlflow_name(name), text[:LONGEST_PARAM]) for name, text in leaves(known)][:100])
    points = [] if streamed else [Metric(n, v, now, step) for step, row in curves(folder) for n, v in row.items()]
    measured = {name: summary[name] for name in ("before", "after") if name in summary}
    points += [Metric(mlflow_name(name), value, now, 0) for name, value in numbers(measured)]
    for start in range(0, len(points), METRICS_AT_ONCE):
        store.log_batch(run, metrics=points[start : start + METRICS_AT_ONCE])


def _add_version(settings: Settings, store: MlflowClient, run: str, facts: Mapping[str, Any], fingerprint: str) -> str:
    """Create the version together with its tags, so that none is ever seen without them."""
    from mlflow.exceptions import MlflowException

    name = settings.promotion.registered_encoder
    try:
        store.create_registered_model(name, description="Reads a shop's texts: plain language models, and what was fine-tuned.")
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    tags = {"content": fingerprint, "learner": str(facts["method"]), "code_version": __version__}
    tags |= {key: str(facts[key]) for key in ("trained_until", "fitted_until", "parent") if facts.get(key)}
    return str(store.create_model_version(name, f"runs:/{run}/{FOLDER}", run, tags=tags).version)


def _download(settings: Settings, fingerprint: str, place: Path) -> None:
    found = next((v for v in reversed(encoders(settings)) if v.content == fingerprint), None)
    if found is None:
        raise MissingModel(
            f"Encoder {fingerprint[:12]} is neither the one of the settings nor registered as a version of "
            f"{settings.promotion.registered_encoder}: set RECPIPE_ENCODER to its folder, or train with the encoder of the settings."
        )
    name = f"{settings.promotion.registered_encoder} version {found.number}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetch-") as scratch:
        uri = str(client(settings).get_run(found.run_id).info.artifact_uri)
        there = download(f"{uri}/{FOLDER}", scratch, name, place, REMEDY)
        if not _whole(there, fingerprint):
            raise MissingModel(f"The files of {name} are not those that were registered (its fingerprint differs). {REMEDY}")
        swap(there, place, lambda folder: _whole(folder, fingerprint))
    log.info("Fetched encoder version %s (%s).", found.number, fingerprint[:12])


def _whole(place: Path, fingerprint: str) -> bool:
    return (place / "config.json").is_file() and fingerprint_of(place) == fingerprint


def folder_of(places: PlaceSettings, fingerprint: str) -> Path:
    """Return the folder that an encoder is fetched into."""
    return places.work / "models" / f"encoder-{fingerprint[:16]}"
