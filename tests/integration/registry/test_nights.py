"""Nights of a version: told from the register, noted in MLflow, whoever publishes beside, and whatever MLflow does."""

from __future__ import annotations

import threading
from datetime import date, timedelta

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import Settings
from recpipe.contract import RECOMMENDATIONS
from recpipe.lake.lake import Lake
from recpipe.promotion.register import register
from recpipe.registry.nights import NIGHTS, PAGE, nights, note_night
from recpipe.registry.store import client

WEEK = date(2026, 3, 15)
FIRST = date(2026, 3, 16)
NONE = pa.Table.from_pylist([], schema=RECOMMENDATIONS.schema)


def publish(settings: Settings, night: int, version: str, table: str = "recommendations") -> date:
    day = FIRST + timedelta(days=night)
    Lake.from_settings(settings).publish(table, [day], NONE, model_version=version)
    return day


def tags(settings: Settings, version: str) -> dict[str, str]:
    return dict(client(settings).get_model_version(settings.promotion.registered_model, version).tags)


@pytest.fixture
def two(settings: Settings, popular: str, neighbours: str) -> Settings:
    """Versions 1 and 2 are registered."""
    assert [register(settings, popular, WEEK), register(settings, neighbours, WEEK)] == ["1", "2"]
    return settings


def test_a_version_names_its_nights(two: Settings) -> None:
    for night, version in enumerate(["1", "2", "2+knowledge-0a1b2c3d", "21"]):
        note_night(two, "recommendations", publish(two, night, version))
    assert [record.day for record in nights(two, "2")] == [FIRST + timedelta(days=1), FIRST + timedelta(days=2)]
    assert tags(two, "1")[NIGHTS] == "2026-03-16, 1 night"
    assert tags(two, "2")[NIGHTS] == "2026-03-17 … 2026-03-18, 2 nights"
    assert tags(two, "2")[PAGE] == "http://127.0.0.1:8080/recpipe/versions/2"
    found = client(two).get_model_version(two.promotion.registered_model, "2")
    assert found.description == "[The nights that this version made](http://127.0.0.1:8080/recpipe/versions/2)"


def test_a_night_that_another_version_makes_anew_leaves_the_first_one(two: Settings) -> None:
    day = publish(two, 0, "1")
    assert note_night(two, "recommendations", day) == ["1"]
    client(two).update_model_version(two.promotion.registered_model, "1", "Ours until Easter.")
    publish(two, 0, "2")
    assert note_night(two, "recommendations", day) == ["1", "2"]
    assert note_night(two, "recommendations", day) == ["1", "2"]  # a second time changes nothing
    assert (tags(two, "1")[NIGHTS], tags(two, "2")[NIGHTS]) == ("none", "2026-03-16, 1 night")
    assert client(two).get_model_version(two.promotion.registered_model, "1").description == "Ours until Easter."


def test_nights_in_parallel_end_in_all_of_them(two: Settings) -> None:
    threads = [threading.Thread(target=lambda n=n: note_night(two, "recommendations", publish(two, n, "2"))) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tags(two, "2")[NIGHTS] == "2026-03-16 … 2026-03-21, 6 nights"


def test_a_night_that_is_published_while_another_is_noted_is_noted_too(two: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow import MlflowClient

    real = MlflowClient.set_model_version_tag

    def publishes_meanwhile(store: MlflowClient, name: str, version: str, key: str, value: str) -> None:
        if value == "2026-03-16, 1 night":
            publish(two, 1, "2")
        real(store, name, version, key, value)

    monkeypatch.setattr(MlflowClient, "set_model_version_tag", publishes_meanwhile)
    note_night(two, "recommendations", publish(two, 0, "2"))
    assert tags(two, "2")[NIGHTS] == "2026-03-16 … 2026-03-17, 2 nights"


def test_mlflow_that_is_down_harms_no_night(two: Settings, caplog: pytest.LogCaptureFixture) -> None:
    down = two.changed(mlflow_uri="http://127.0.0.1:9")
    assert note_night(down, "recommendations", publish(down, 0, "2")) == []
    assert "recpipe nights 2" in caplog.text
    assert note_night(two, "recommendations", publish(two, 1, "7")) == []  # nor does a version that is there no more


def test_a_home_without_mlflow_gets_none(settings: Settings) -> None:
    elsewhere = settings.changed(mlflow_uri=f"sqlite:///{settings.places.home}/other.db")
    assert note_night(elsewhere, "recommendations", publish(elsewhere, 0, "1")) == []
    assert not (settings.places.home / "other.db").exists()


def test_other_tables_are_no_nights(two: Settings) -> None:
    day = publish(two, 0, "1")
    assert note_night(two, "outcomes", day) == []
    assert NIGHTS not in tags(two, "1")


def test_the_command_lists_them(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(settings.changed(run_id="scheduled__1"), 0, "3")
    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    said = CliRunner().invoke(app, ["nights", "3"]).output
    assert said == "version 3: 2026-03-16, 1 night\n2026-03-16  recommendations version 1  0 rows  run scheduled__1\n"
    assert "No published night" in CliRunner().invoke(app, ["nights", "4"]).output
