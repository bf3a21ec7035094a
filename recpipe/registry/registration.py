"""The registration of a trained model folder: an MLflow run and a version, once."""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recpipe import __version__
from recpipe.config.model_settings import PromotionSettings
from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.registry.catalogue_snapshot import write_snapshot
from recpipe.registry.encoders import encoder_versions, of_model
from recpipe.registry.model_folder import (
    CLOSED_FORM,
    CONFIG,
    MODEL_FILES,
    content_hash,
    curves,
    day_in,
    leaves,
    mlflow_name,
    numbers,
    read_json,
    summary_of,
)
from recpipe.registry.store import LONGEST_PARAM, METRICS_AT_ONCE, client, experiment_id
from recpipe.registry.versions import CANDIDATE, all_versions, point_alias

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

REQUIREMENTS: Final = ("numpy", "pandas", "safetensors", "scipy", "threadpoolctl", "torch")
FROM: Final = "from"
"""Tag and fact of a version that was adopted: sha256 of the other shop's model folder."""
CODE: Final = (
    "__init__.py", "py.typed", "errors.py", "printable.py", "faults.py", "files.py", "dataset", "evidence", "models",
    "text",
)  # fmt: skip
"""What the model's code needs of recpipe; it travels with the model."""


def register_folder(settings: Settings, folder: str, day: date) -> str:
    """Log and register one model folder, once (see `recpipe.registry.register`)."""
    place = Path(folder)
    content, store = content_hash(place), client(settings)
    known = next((v for v in all_versions(store, settings.promotion) if v.content == content), None)
    if known is None:
        run_id, source = _log_run(settings, store, place, day, content)
        read_by = encoder_versions(settings, place)
        number = _add_version(settings.promotion, store, place, run_id, source, {"content": content, **read_by})
    else:
        number = known.number
        log.info("This model is version %d already.", number)
    point_alias(store, settings.promotion, CANDIDATE, promoted=False)
    return str(number)


def _log_run(settings: Settings, store: MlflowClient, folder: Path, day: date, content: str) -> tuple[str, str]:
    """Log everything but the version; return the run and where its model lies."""
    import mlflow

    config = read_json(folder / CONFIG)
    experiment = experiment_id(store, settings.places)
    _close_killed(store, experiment, content)
    tags = {"content": content, "trained_until": str(config.get("trained_until", ""))}
    name = f"{config.get('learner', 'model')} {day}"
    with mlflow.start_run(experiment_id=experiment, run_name=name, tags=tags) as run:
        run_id = str(run.info.run_id)
        _log_facts(settings.places, store, run_id, folder, config)
        with tempfile.TemporaryDirectory() as scratch:
            source = _log_model(of_model(settings, folder), folder, day, Path(scratch))
    log.info("Logged as MLflow run %s (%s).", name, run_id)
    return run_id, source


def _close_killed(store: MlflowClient, experiment: str, content: str) -> None:
    """Mark the runs that a killed registration of the same model left open."""
    for run in store.search_runs([experiment], f"tags.content = '{content}' and attributes.status = 'RUNNING'"):
        store.set_terminated(run.info.run_id, "KILLED")


def _log_facts(places: PlaceSettings, store: MlflowClient, run_id: str, folder: Path, config: Mapping[str, Any]) -> None:
    from mlflow.entities import Metric, Param

    params = [
        Param(mlflow_name(name), text[:LONGEST_PARAM])
        for name, text in leaves({k: v for k, v in config.items() if k != "inputs"})
    ]
    store.log_batch(run_id, params=params[:100])
    now = int(time.time() * 1000)
    points = [Metric(name, value, now, step) for step, row in curves(folder) for name, value in row.items()]
    summary, pictures = summary_of(folder, str(config.get("learner", "")))
    points += [Metric(mlflow_name(f"summary.{name}"), value, now, 0) for name, value in numbers(summary)]
    for start in range(0, len(points), METRICS_AT_ONCE):
        store.log_batch(run_id, metrics=points[start : start + METRICS_AT_ONCE])
    _log_inputs(places, store, run_id, config, summary)
    for name in ("summary.json", "metrics.jsonl", CONFIG):
        if (folder / name).is_file():
            store.log_artifact(run_id, str(folder / name), "training")
    for picture in sorted(pictures.glob("*.png")):
        store.log_artifact(run_id, str(picture), "plots")


def _log_inputs(
    places: PlaceSettings, store: MlflowClient, run_id: str, config: Mapping[str, Any], summary: Mapping[str, Any]
) -> None:
    """Name the table versions that the model was trained on as the run's datasets."""
    from mlflow.entities import Dataset, DatasetInput, InputTag

    inputs = config.get("inputs") or summary.get("inputs") or []
    datasets = []
    for entry in inputs:
        source = {"path": f"{places.lake_root}/{entry['table']}", "delta_table_version": entry["version"]}
        profile = {"first_day": str(entry["first_day"]), "last_day": str(entry["last_day"])}
        dataset = Dataset(entry["table"], f"v{entry['version']}", "delta_table", json.dumps(source), profile=json.dumps(profile))
        datasets.append(DatasetInput(dataset, [InputTag("mlflow.data.context", "training")]))
    if datasets:
        store.log_inputs(run_id, datasets)


def _log_model(settings: Settings, folder: Path, day: date, scratch: Path) -> str:
    """Log the model as code and return its URI."""
    import mlflow
    import pandas as pd

    weights = scratch / "model"
    weights.mkdir()
    for name in MODEL_FILES:
        shutil.copy2(folder / name, weights / name)
    ids = _write_catalogue(settings, weights, day, scratch / "catalogue")
    artifacts = {"model": str(weights), "catalogue": str(scratch / "catalogue")}
    if (folder / CLOSED_FORM).is_dir():  # the gate holds the model against it
        artifacts[CLOSED_FORM] = str(folder / CLOSED_FORM)
    with _without_hints():
        info = mlflow.pyfunc.log_model(
            name="model",
            python_model=str(Path(__file__).with_name("model_code.py")),
            artifacts=artifacts,
            code_paths=[str(_code(scratch))],
            signature=_signature(),
            input_example=pd.DataFrame({"item_ids": [ids[:2], []]}),
            pip_requirements=list(REQUIREMENTS),
        )
    return str(info.model_uri)


def _write_catalogue(settings: Settings, weights: Path, day: date, place: Path) -> list[str]:
    from recpipe.dataset.as_of import build_evidence
    from recpipe.lake.lake import Lake
    from recpipe.models.io import load

    evidence = build_evidence(Lake.from_settings(settings).reader(), settings, day)
    write_snapshot(load(weights), evidence, place)
    return [str(item_id) for item_id in evidence.catalogue.item_ids[:2]]


def _code(scratch: Path) -> Path:
    """Copy what the model's code imports of recpipe."""
    source, target = Path(__file__).parents[1], scratch / "recpipe"
    target.mkdir()
    for name in CODE:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source / name, target / name)
    return target


def _signature() -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    given = Schema([ColSpec(Array(DataType.string), "item_ids")])
    ranked = Schema([ColSpec(Array(DataType.string), "item_ids"), ColSpec(Array(DataType.double), "scores")])
    return ModelSignature(given, ranked, ParamSchema([ParamSpec("k", DataType.long, 10)]))


@contextmanager
def _without_hints() -> Iterator[None]:
    """Silence advice on type hints and integer columns, which does not concern a night."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _add_version(
    promotion: PromotionSettings, store: MlflowClient, folder: Path, run_id: str, source: str, more: Mapping[str, str]
) -> int:
    """Create the version together with its tags, so that none is ever seen without them."""
    config = read_json(folder / CONFIG)
    tags = {
        "trained_until": day_in(config, "trained_until", folder).isoformat(),
        "fitted_until": day_in(config, "fitted_until", folder).isoformat(),
        "learner": str(config.get("learner", "")),
        "code_version": __version__,
        **more,
    }
    if config.get(FROM):
        tags[FROM] = str(config[FROM])
    if (folder / CLOSED_FORM).is_dir():
        tags[CLOSED_FORM] = content_hash(folder / CLOSED_FORM)
    _ensure_model(promotion, store)
    made = store.create_model_version(
        promotion.registered_model, source, run_id, tags=tags, model_id=source.removeprefix("models:/")
    )
    log.info("Registered %s version %s (trained until %s).", promotion.registered_model, made.version, tags["trained_until"])
    return int(made.version)


def _ensure_model(promotion: PromotionSettings, store: MlflowClient) -> None:
    from mlflow.exceptions import MlflowException

    try:
        store.create_registered_model(
            promotion.registered_model, description="Ranks a shop's catalogue for every user, new ones included."
        )
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
