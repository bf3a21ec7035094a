"""MLflow's SQLite file is made whole or not at all, and one that is not whole is named."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from mlflow_store import write_store

from recpipe.config.settings import load_settings
from recpipe.errors import RecpipeError
from recpipe.local.mlflow_database import fault_of, ready, sqlite_file
from recpipe.maintenance.doctor import examine, running_services
from recpipe.registry.store import client


def test_a_kill_at_any_moment_leaves_nothing_that_the_next_process_stumbles_over(tmp_path):
    script = Path(__file__).with_name("kill_while_made.py")
    done = subprocess.run([sys.executable, str(script), str(tmp_path)], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert len({one["died"] for one in found["killed"]}) >= 4  # the kills hit different moments of the making
    for one in found["killed"]:
        assert (one["left"], one["again"], one["fault"]) == (False, 0, ""), one
        assert one["names"] == [".mlflow.db.lock", "mlflow.db"]  # what the killed process left is swept
    assert (found["together"], found["fault"]) == ([0, 0, 0, 0], "")


@pytest.fixture
def whole(tmp_path):
    """The settings of a home whose MLflow has no run, and its file."""
    settings = write_store(load_settings(home=tmp_path / "home"))
    return settings, sqlite_file(settings.places.tracking_uri)


def change(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def half_made(file: Path) -> None:
    """What a kill of an older recpipe left: some tables of the first step, no step noted."""
    file.unlink()
    change(file, "CREATE TABLE experiments (id INTEGER)", "CREATE TABLE runs (id INTEGER)")


def half_migrated(file: Path) -> None:
    change(file, "UPDATE alembic_version SET version_num = '451aebb31d03'")


def upgrade_of_data_broken_off(file: Path) -> None:
    change(file, "INSERT INTO registered_models (name) VALUES ('recpipe')")
    half_migrated(file)


def scribbled_over(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[:4096] = b"x" * 4096
    file.write_bytes(data)


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (half_made, r"was left half made by a process that was killed \(it stands at step none\).* move the file away"),
        (half_migrated, r"was left half made .*step 451aebb31d03.* move the file away"),
        (
            upgrade_of_data_broken_off,
            r"is of another version of MLflow, or an upgrade of it was broken off .*mlflow db upgrade sqlite:///",
        ),
        (scribbled_over, r"cannot be read \(file is not a database\).* restore the file from a backup"),
    ],
)
def test_a_file_that_is_not_whole_is_named_with_its_remedy(whole, damage, says):
    settings, file = whole
    assert fault_of(file) == ""
    damage(file)
    before = file.read_bytes()
    with pytest.raises(RecpipeError, match=says):
        client(settings)
    assert file.read_bytes() == before  # nothing is repaired behind anybody's back
    found = examine(settings, {"mlflow": running_services.mlflow_health})
    assert [one.level for one in found] == ["wrong"]
    assert f"MLflow's database {file}" in found[0].says
    assert found[0].remedy


def test_a_file_that_sqlite_made_and_nobody_filled_is_filled(tmp_path):
    (tmp_path / "mlflow.db").touch()
    ready(f"sqlite:///{tmp_path}/mlflow.db")
    assert fault_of(tmp_path / "mlflow.db") == ""


def test_other_stores_are_not_looked_at(tmp_path):
    for uri in ("http://127.0.0.1:9", "postgresql://nobody@127.0.0.1:9/x", "sqlite:///:memory:", "sqlite://"):
        ready(uri)
    assert list(tmp_path.iterdir()) == []
