"""The MLflow store: where it lies, and how it is opened without noise and without asking the network."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.local.mlflow_database import SQLITE, ready

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT: Final = "recpipe"
LONGEST_PARAM: Final = 500
"""Letters of a parameter that every store takes."""
METRICS_AT_ONCE: Final = 1000
"""Points that MLflow takes in one request."""
QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "GIT_PYTHON_REFRESH": "quiet",
}
"""MLflow reads these when it is imported; a shop's own values win, except that pickle stays shut."""


_IMPATIENT: Final = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}


def client(settings: Settings) -> MlflowClient:
    """Open the tracking store and the registry that the settings name; a SQLite file that is not there is made.

    Raises
    ------
    RecpipeError
        If a SQLite file was left half made, is damaged, or of another version of MLflow.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    os.environ["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] = "false"
    uri = settings.places.tracking_uri
    for noisy in ("alembic", "mlflow.store.db.utils", "mlflow.tracking._model_registry", "mlflow.models.model", "mlflow.pyfunc"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    ready(uri)
    import mlflow

    mlflow.set_tracking_uri(uri)
    mlflow.set_registry_uri(uri)
    return mlflow.MlflowClient(tracking_uri=uri, registry_uri=uri)


def experiment_id(store: MlflowClient, places: PlaceSettings) -> str:
    """Return the id of the experiment, making it at first use.

    With a SQLite store the artifacts lie under the home; a tracking server has its own place for them.
    """
    from mlflow.exceptions import MlflowException

    found = store.get_experiment_by_name(EXPERIMENT)
    if found is not None:
        return str(found.experiment_id)
    local = places.tracking_uri.startswith(SQLITE)
    place = (places.home / "mlflow" / "artifacts").resolve().as_uri() if local else None
    try:
        return str(store.create_experiment(EXPERIMENT, artifact_location=place))
    except MlflowException:  # another process was faster
        again = store.get_experiment_by_name(EXPERIMENT)
        if again is None:
            raise
        return str(again.experiment_id)


@contextmanager
def impatience() -> Iterator[None]:
    """Let MLflow's client give up within seconds where it would try again for minutes."""
    before = {name: os.environ.get(name) for name in _IMPATIENT}
    os.environ.update({name: value for name, value in _IMPATIENT.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
