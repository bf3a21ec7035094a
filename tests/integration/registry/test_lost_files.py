"""A model whose files are gone, half there or out of reach ends in a sentence with the remedy, wherever it is asked for."""

from __future__ import annotations

import shutil
from datetime import date
from pathlib import Path

import pytest

from recpipe.errors import MissingModel, RecpipeError
from recpipe.pipeline.plan import plan_day
from recpipe.promotion.gate import promote, propose
from recpipe.promotion.register import ensure_first_champion, register
from recpipe.registry.model_folder import content_hash
from recpipe.registry.serving import fetch
from recpipe.registry.store import client
from recpipe.tables.recommendations.night_shards import LISTS

WEEK = date(2026, 3, 15)


def model_of(settings, number: str = "1") -> Path:
    """Where MLflow keeps the files of a version."""
    model = client(settings).get_model_version(settings.promotion.registered_model, number).source.removeprefix("models:/")
    return settings.places.home / "mlflow" / "artifacts" / "models" / model


def without_all(place: Path) -> None:
    shutil.rmtree(place)


def without_folder(place: Path) -> None:
    shutil.rmtree(place / "artifacts" / "artifacts" / "model")


def without_weights(place: Path) -> None:
    (place / "artifacts" / "artifacts" / "model" / "model.safetensors").unlink()


def without_config(place: Path) -> None:
    (place / "artifacts" / "artifacts" / "model" / "config.json").unlink()


@pytest.fixture
def served(settings, popular):
    ensure_first_champion(settings, WEEK, popular)
    return settings


@pytest.mark.parametrize("lose", [without_all, without_folder, without_weights, without_config])
def test_a_version_whose_files_were_deleted_says_so_and_what_to_do(served, lose):
    whole = content_hash(Path(fetch(served, "1")))
    lose(model_of(served))
    assert content_hash(Path(fetch(served, "1"))) == whole  # what is here still serves
    shutil.rmtree(served.places.work / "models")
    with pytest.raises(
        MissingModel, match=r"The files of recpipe version 1 are .* recpipe withdraw 1 --reason 'its files are lost'"
    ):
        fetch(served, "1")


def test_a_night_is_not_planned_with_it(served):
    shutil.rmtree(model_of(served))
    with pytest.raises(MissingModel, match="version 1 are gone"):
        plan_day(served, LISTS, date(2026, 3, 2), "1")


@pytest.mark.parametrize("ask", [promote, propose])
def test_the_gate_says_which_of_the_two_it_is(served, neighbours, ask):
    candidate = register(served, neighbours, WEEK)
    shutil.rmtree(model_of(served))
    shutil.rmtree(served.places.work / "models", ignore_errors=True)
    with pytest.raises(MissingModel, match="version 1 are gone"):
        ask(served, candidate, WEEK)


@pytest.mark.parametrize("half", ["config.json", "model.safetensors"])
def test_a_folder_that_is_half_here_is_fetched_anew(served, half):
    place = Path(fetch(served, "1"))
    whole = content_hash(place)
    (place / half).unlink()
    assert content_hash(Path(fetch(served, "1"))) == whole
    (place / half).write_bytes(b"")
    assert content_hash(Path(fetch(served, "1"))) == whole


def test_a_store_that_does_not_answer_is_no_lost_model(served, monkeypatch):
    import mlflow

    def refused(**_: object) -> str:
        raise ConnectionError("connection refused\nby 10.0.0.7")

    monkeypatch.setattr(mlflow.artifacts, "download_artifacts", refused)  # stands for a store that is away: it may come back
    with pytest.raises(
        RecpipeError, match=r"could not be fetched .*ConnectionError: by 10\.0\.0\.7\)\. Look whether it answers"
    ) as error:
        fetch(served, "1")
    assert not isinstance(error.value, MissingModel)  # so the task tries again
