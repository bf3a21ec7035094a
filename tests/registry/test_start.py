"""What `recpipe train --from` names: the champion, a version, or a folder."""

from datetime import date
from pathlib import Path

import pytest

from recpipe.cli.train import start_folder
from recpipe.errors import MissingModel
from recpipe.learn import load
from recpipe.registry import champion, ensure_first_champion, promote, register, withdraw

WEEK = date(2026, 3, 15)


@pytest.fixture
def named(settings, monkeypatch):
    """The learner that a name leads to, in the settings' registry."""
    for name, value in {"HOME": settings.home, "TOP_K": 10, "BOOTSTRAP_DRAWS": 500}.items():
        monkeypatch.setenv(f"RECPIPE_{name}", str(value))
    return lambda start: load(start_folder(start)).name


def test_the_champion_and_a_version_come_from_the_registry(settings, named, popular, neighbours):
    with pytest.raises(MissingModel, match=r"No version of model recpipe is promoted yet"):
        named("champion")
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    assert [named(start) for start in ("champion", "1", "2")] == ["popularity", "popularity", "item_knn"]
    assert promote(settings, candidate, WEEK).promoted
    assert (champion(settings), named("champion")) == ("2", "item_knn")
    withdraw(settings, candidate, "it shows nothing but cups")
    assert (champion(settings), named("champion")) == ("1", "popularity")
    with pytest.raises(MissingModel, match="no version 7"):
        named("7")


def test_a_folder_is_itself_and_needs_no_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("RECPIPE_MLFLOW_URI", "http://127.0.0.1:9")  # nobody answers there
    assert start_folder(str(tmp_path)) == tmp_path
    assert start_folder("./7") == Path("7")
