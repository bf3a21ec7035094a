"""Artifacts that would run code when they are read are refused with a sentence, and what they would do is not done."""

from __future__ import annotations

import hashlib
import json
import pickle
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import RecpipeError
from recpipe.models.io import load, save
from recpipe.models.popularity import Popularity
from recpipe.rules.load import load_rules


class Trap:
    """What a pickle may hold: a call that is made when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    """A file that is there if a trap sprang."""
    return tmp_path / "sprung"


@pytest.fixture
def trap(marker: Path) -> bytes:
    """A pickle that makes the marker; that it does so is tried."""
    planted = pickle.dumps(Trap(marker))
    pickle.loads(planted)  # noqa: S301
    marker.unlink()
    return planted


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load_settings(home=tmp_path / "home")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    save(Popularity(), tmp_path / "model", {"encoder": ""})
    return tmp_path / "model"


def test_a_pickle_in_the_place_of_a_models_weights(model: Path, trap: bytes, marker: Path) -> None:
    """Its sha256 stands in config.json: whoever can write one of them can write both."""
    config = json.loads((model / "config.json").read_text())
    config["sha256"] = {"model.safetensors": hashlib.sha256(trap).hexdigest()}
    (model / "model.safetensors").write_bytes(trap)
    (model / "config.json").write_text(json.dumps(config))
    with pytest.raises(RecpipeError, match="no file of safetensors, and nothing else is read"):
        load(model)
    assert not marker.exists()


def test_pickles_beside_a_model_are_not_read(model: Path, trap: bytes, marker: Path) -> None:
    for name in ("model.pkl", "model.bin", "model.pt", "model.joblib", "config.pkl"):
        (model / name).write_bytes(trap)
    np.save(model / "model.npy", np.array([Trap(marker)], object))
    assert load(model) == Popularity()
    assert not marker.exists()


def test_a_checkpoint_that_is_a_pickle(tmp_path: Path, trap: bytes, marker: Path) -> None:
    from recpipe.training.checkpoint import read_checkpoint

    (tmp_path / "checkpoint").write_bytes(trap)
    with pytest.raises(RecpipeError, match="Remove it: training then begins anew"):
        read_checkpoint(tmp_path / "checkpoint", "cpu")
    assert not marker.exists()


def test_a_model_of_mlflow_that_is_a_pickle(settings: Settings, tmp_path: Path, trap: bytes, marker: Path) -> None:
    """No step of recpipe loads a model by MLFLOW; a person who does so in this environment is refused as well."""
    from recpipe.registry.store import client

    client(settings)
    import mlflow

    place = tmp_path / "mlflow-model"
    place.mkdir()
    (place / "python_model.pkl").write_bytes(trap)
    flavor = {
        "loader_module": "mlflow.pyfunc.model",
        "python_model": "python_model.pkl",
        "cloudpickle_version": "3.1.1",
        "python_version": "3.11.0",
    }
    (place / "MLmodel").write_text(json.dumps({"flavors": {"python_function": flavor}}))
    with pytest.raises(mlflow.exceptions.MlflowException, match="MLFLOW_ALLOW_PICKLE_DESERIALIZATION"):
        mlflow.pyfunc.load_model(str(place))
    assert not marker.exists()


@pytest.mark.parametrize("name", ["categories", "substitutes", "blocked", "age_limits"])
def test_yaml_that_names_a_call(settings: Settings, tmp_path: Path, marker: Path, name: str) -> None:
    (tmp_path / f"{name}.yaml").write_text(f"merge: !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises(RecpipeError, match=f"{name}.yaml, line 1"):
        load_rules(tmp_path)
    assert not marker.exists()


def test_campaigns_that_name_a_call(settings: Settings, tmp_path: Path, marker: Path) -> None:
    from recpipe.tables.campaigns.campaigns import read_campaigns

    file = tmp_path / "campaigns.yaml"
    file.write_text(f"- !!python/object/apply:os.mkdir ['{marker}']\n")
    with pytest.raises(RecpipeError, match=r"campaigns.yaml, line 1"):
        read_campaigns(settings.changed(campaigns=str(file)).audiences)
    assert not marker.exists()


def test_a_delivery_whose_columns_name_a_pickled_type(settings: Settings, trap: bytes, marker: Path) -> None:
    """Arrow once read such types from a file's metadata by itself (CVE-2023-47248)."""
    from recpipe.tables.ingest.days_in import ingest_day

    day = date(2011, 9, 1)
    said = {b"ARROW:extension:name": b"arrow.py_extension_type", b"ARROW:extension:metadata": trap}
    rows = {
        "events": {"user_id": "u", "item_id": "i", "event_type": "purchase", "ts": datetime(2011, 9, 1, 9)},
        "items": {"item_id": "i", "title": "cup", "available": True},
        "users": {"user_id": "u", "registered_at": datetime(2011, 9, 1)},
    }
    for name, row in rows.items():
        table = pa.Table.from_pylist([row])
        table = table.cast(pa.schema([field.with_metadata(said) for field in table.schema], {b"pandas": trap}))
        folder = settings.places.landing_root / name / f"day={day}"
        folder.mkdir(parents=True)
        pq.write_table(table, folder / "part-0.parquet")
        (folder / "_SUCCESS").touch()
    assert ingest_day(settings, day)["events"] == 1
    assert not marker.exists()
