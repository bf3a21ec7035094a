"""The removal of model versions that nobody used: never promoted, no alias, nothing published by them, and old.

The version goes last, so that a killed sweep finds it again and finishes it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from recpipe.config.model_settings import PromotionSettings
from recpipe.config.settings import Settings
from recpipe.contract import DAYS
from recpipe.lake.lake import Lake
from recpipe.maintenance.steps import Step
from recpipe.registry.nights import number_of
from recpipe.registry.store import client
from recpipe.registry.versions import PAGE, PROMOTED_ON, WITHDRAWN_FROM

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

log = logging.getLogger(__name__)

GONE: Final = "RESOURCE_DOES_NOT_EXIST"


def unused_versions(store: MlflowClient, settings: Settings) -> list[ModelVersion]:
    """Return the versions that may go: older than RECPIPE_KEEP_MODEL_DAYS, and neither promoted, pointed at, nor ever used."""
    used = _used(store, settings)
    before = (time.time() - timedelta(days=settings.upkeep.keep_model_days).total_seconds()) * 1000
    return [
        version
        for version in _registered(store, settings.promotion)
        if str(version.version) not in used
        and "content" in version.tags
        and not {PROMOTED_ON, WITHDRAWN_FROM} & version.tags.keys()
        and version.creation_timestamp < before
    ]


def prune_versions(settings: Settings, *, dry_run: bool = False) -> list[Step]:
    """Remove the versions that `unused_versions` finds, their runs and their files; returns a step for each.

    Where the settings name a tracking server, the rows of the runs stay there, marked as deleted, until ``mlflow gc`` is run
    on its database: a server does not let its clients do that.

    What was begun and not finished is finished the next time.
    """
    store = client(settings)
    steps = []
    for version in unused_versions(store, settings):
        places = _places(store, version)
        count = sum(_bytes(place) for place in places)
        name = f"{settings.promotion.registered_model} version {version.version}"
        if not dry_run:
            if not _remove(store, version, places):
                log.info("%s stays: it was promoted meanwhile.", name)
                continue
            log.info("%s is removed: nobody used it in %d days.", name, settings.upkeep.keep_model_days)
        steps.append(Step("model", name, 1, count))
    return steps


def _registered(store: MlflowClient, promotion: PromotionSettings) -> Iterator[ModelVersion]:
    token: str | None = None
    while True:
        page = store.search_model_versions(f"name='{promotion.registered_model}'", max_results=PAGE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _used(store: MlflowClient, settings: Settings) -> set[str]:
    """Return the numbers of versions that an alias points to, that made a published day, or that training starts from."""
    from mlflow.exceptions import MlflowException

    try:
        aliases = store.get_registered_model(settings.promotion.registered_model).aliases
    except MlflowException as error:
        if error.error_code != GONE:
            raise
        aliases = {}
    return {*map(str, aliases.values()), *_made_days(settings), settings.training.train_from}


def _made_days(settings: Settings) -> set[str]:
    """Return the numbers of the versions that any row of the register names, those of days that were replaced since among them."""
    lake = Lake.from_settings(settings)
    delta = lake.delta(DAYS.name)
    if delta is None:
        return set()
    rows = lake.dataset(delta, DAYS.name).to_table(columns=["model_version"])
    return {number_of(name) for name in rows["model_version"].unique().to_pylist()}


def _places(store: MlflowClient, version: ModelVersion) -> list[str]:
    """Return where the files of a version lie: those of its run, and its model's."""
    found = []
    if version.run_id:
        with _missing_is_fine():
            found.append(str(store.get_run(version.run_id).info.artifact_uri))
    if version.model_id:
        with _missing_is_fine():
            found.append(str(store.get_logged_model(version.model_id).artifact_location))
    return found


def _bytes(place: str) -> int:
    repository = _repository(place)

    def under(path: str | None) -> int:
        return sum(under(entry.path) if entry.is_dir else entry.file_size or 0 for entry in repository.list_artifacts(path))

    return under(None)


def _repository(place: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(place)


def _remove(store: MlflowClient, version: ModelVersion, places: list[str]) -> bool:
    """Remove a version, unless it was promoted in this very moment; returns whether it is gone."""
    if store.get_model_version(version.name, version.version).tags.keys() & {PROMOTED_ON, WITHDRAWN_FROM}:
        return False
    for place in places:
        _delete_files(place)
    if version.run_id:
        with _missing_is_fine():
            store.delete_run(version.run_id)
    if version.model_id:
        with _missing_is_fine():
            store.delete_logged_model(version.model_id)
    _collect(store, version)
    store.delete_model_version(version.name, version.version)
    return True


def _delete_files(place: str) -> None:
    repository = _repository(place)
    for entry in repository.list_artifacts(None):
        repository.delete_artifacts(entry.path)


def _collect(store: MlflowClient, version: ModelVersion) -> None:
    """Remove the rows of a deleted run and model from the database, where this process has it open itself.

    What ``mlflow gc`` does, for these two alone: the command takes whatever else is marked as deleted with them.
    """
    database = store._tracking_client.store
    for name, which in (("_hard_delete_run", version.run_id), ("_hard_delete_logged_model", version.model_id)):
        remove = getattr(database, name, None)  # a tracking server has no such call
        if remove is not None and which:
            with _missing_is_fine():
                remove(which)


@contextmanager
def _missing_is_fine() -> Iterator[None]:
    """Pass over what a sweep that was killed had removed already."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        if error.error_code not in (GONE, "INVALID_STATE"):
            raise
