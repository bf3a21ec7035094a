"""Promises of the registry, on a real MLflow store in SQLite."""

import json
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import pytest

from recpipe.errors import MissingModel
from recpipe.learn import load
from recpipe.learn.closed_forms import ItemKNN, Popularity
from recpipe.registry import ensure_first_champion, fetch, promote, register, resolve
from recpipe.registry.store import client

WEEK, FITTED = date(2026, 3, 15), date(2026, 3, 8)


def version(settings, number):
    return client(settings).get_model_version("recpipe", number)


def aliases(settings):
    found = client(settings).get_registered_model("recpipe").aliases
    return {name: str(number) for name, number in found.items()}


def test_the_first_night_has_no_model(settings):
    with pytest.raises(MissingModel, match=r"No promoted version of model recpipe .* before 2026-03-16: run the DAG"):
        resolve(settings, WEEK + timedelta(days=1))


def test_a_week_goes_from_the_folder_to_the_night(settings, popular, neighbours):
    first = ensure_first_champion(settings, WEEK, popular)
    assert (first.version, first.promoted) == ("1", True)
    candidate = register(settings, neighbours, WEEK)
    assert aliases(settings) == {"candidate": "2", "champion": "1"}
    decision = promote(settings, candidate, WEEK)
    assert decision.promoted
    assert (decision.champion, decision.first_day, decision.day, decision.users) == ("1", "2026-03-09", "2026-03-15", 40)
    assert aliases(settings) == {"candidate": "2", "champion": "2"}
    assert resolve(settings, WEEK + timedelta(days=1)) == "2"
    assert load(Path(fetch(settings, "2"))).name == "item_knn"
    assert json.loads(version(settings, "2").tags["decision"]) == asdict(decision)
    files = {file.path for file in client(settings).list_artifacts(version(settings, "2").run_id)}
    assert {"decision.json", "plots", "training"} <= files
