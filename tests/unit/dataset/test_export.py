"""The training input leaves the lake without the days of the gate and without user ids."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from small_shop import event, item, open_shop, user

from recpipe.dataset.export import export_training
from recpipe.dataset.folder import read_episodes_folder
from recpipe.errors import MissingDay


@pytest.fixture(scope="module")
def weeks(tmp_path_factory):
    """Ten days; exports write beside the lake, and change nothing in it."""
    shop = open_shop(tmp_path_factory.mktemp("weeks"))
    for n in range(1, 11):
        day = f"2026-03-{n:02d}"
        shop.deliver(
            day,
            items=(item(f"i{n:02d}", "red cup"),),
            users=(user(f"person{n}", f"{day} 08:00"),),
            events=(event("person1", f"i{n:02d}", "purchase", f"{day} 10:00"),),
        )
    return shop


def test_training_does_not_see_the_days_of_the_gate(weeks):
    evidence, facts = read_episodes_folder(Path(export_training(weeks.settings, date(2026, 3, 10))))
    assert list(evidence.catalogue.item_ids) == ["i01", "i02", "i03"]
    assert len(evidence.history.user) == 3
    assert facts["trained_until"] == "2026-03-10"
    assert facts["fitted_until"] == "2026-03-03"
    assert facts["seed"] == weeks.settings.training.seed
    assert facts["half_life_days"] == 90
    assert {entry["table"] for entry in facts["inputs"]} == {"events", "items", "users"}
    assert all(isinstance(entry["version"], int) and entry["last_day"] <= "2026-03-03" for entry in facts["inputs"])


def test_no_user_id_leaves_the_lake(weeks):
    folder = Path(export_training(weeks.settings, date(2026, 3, 10)))
    assert not any(b"person" in file.read_bytes() for file in folder.iterdir())


def test_exporting_again_gives_the_same_files(weeks):
    folder = Path(export_training(weeks.settings, date(2026, 3, 10)))
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    export_training(weeks.settings, date(2026, 3, 10))
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert json.loads(before["facts.json"])


def test_training_for_a_day_that_was_not_taken_in_is_refused(weeks):
    with pytest.raises(MissingDay, match="2026-03-11"):
        export_training(weeks.settings, date(2026, 3, 11))


def test_the_command_writes_the_same_files_wherever_it_is_told(weeks, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app
    from recpipe.cli.encoders import export_training as command

    assert command.__doc__
    monkeypatch.setenv("RECPIPE_HOME", str(weeks.settings.places.home))
    monkeypatch.setenv("RECPIPE_ENCODER", weeks.settings.text.encoder)
    monkeypatch.setenv("RECPIPE_TIMEZONE", weeks.settings.shop.timezone)
    found = CliRunner().invoke(
        app, ["export-training", "--day", "2026-03-10", "--out", str(tmp_path / "out")], catch_exceptions=False
    )
    assert found.exit_code == 0
    assert f"training input is in {tmp_path / 'out'}" in found.output.replace("\n", " ")
    folder = Path(export_training(weeks.settings, date(2026, 3, 10)))
    assert {file.name: file.read_bytes() for file in (tmp_path / "out").iterdir()} == {
        file.name: file.read_bytes() for file in folder.iterdir()
    }
    evidence, _ = read_episodes_folder(tmp_path / "out")
    assert list(evidence.catalogue.texts) == ["red cup"] * 3
