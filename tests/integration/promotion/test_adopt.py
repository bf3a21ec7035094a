"""Another shop's model: registered with this shop's days, promoted, compared with like any champion."""

from __future__ import annotations

import hashlib
import json
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting, MissingModel
from recpipe.evidence.item_features import RECENT, SETTINGS
from recpipe.evidence.layout import TRENDS, layout_of
from recpipe.models.io import load, read_config
from recpipe.models.pair_network import PairNetwork
from recpipe.promotion.adopt import adopt
from recpipe.promotion.gate import promote
from recpipe.promotion.register import register
from recpipe.promotion.start_from import Named, folder_of, name_start
from recpipe.promotion.withdraw import withdraw
from recpipe.registry.model_folder import content_hash
from recpipe.registry.serving import champion, fetch, resolve
from recpipe.registry.store import client

FIRST, WEEK = date(2026, 3, 2), date(2026, 3, 15)
BEFORE = FIRST - timedelta(days=1)


def network() -> PairNetwork:
    """A network of a shop of other days: it weighs words, and nothing else."""
    wide = len(layout_of(SETTINGS).features)
    weights = np.zeros((2, wide), np.float32)
    weights[0, layout_of(SETTINGS).features.index("log words")] = 1
    none = np.zeros((wide + 1, 0), np.float32)
    sizes = (np.zeros(len(TRENDS), np.float32), np.zeros(len(RECENT), np.float32), none)
    return PairNetwork(weights, *sizes, *(np.zeros(shape, np.float32) for shape in (0, (0, 0), 0, 0)))


@pytest.fixture
def theirs(model_folder) -> str:
    """Trained in another shop years ago; its config.json names that shop's tables."""
    return model_folder("theirs", network(), date(2019, 5, 5), date(2019, 4, 28))


def tags(settings, number: str) -> dict[str, str]:
    return dict(client(settings).get_model_version(settings.promotion.registered_model, number).tags)


def test_it_serves_from_the_first_night(settings, theirs):
    decision = adopt(settings, theirs)
    assert (decision.version, decision.day, decision.promoted) == ("1", str(BEFORE), True)
    assert decision.reason.endswith(f"(model {content_hash(Path(theirs))[:12]}): it serves from {FIRST} on.")
    assert (resolve(settings, FIRST), champion(settings)) == ("1", "1")
    with pytest.raises(MissingModel):
        resolve(settings, BEFORE)
    found = tags(settings, "1")
    assert found["from"] == content_hash(Path(theirs))
    assert (found["trained_until"], found["fitted_until"]) == (str(BEFORE), str(BEFORE))
    mine = load(Path(fetch(settings, "1")))
    np.testing.assert_array_equal(mine.weights, network().weights)


def test_nothing_of_the_other_shop_but_its_numbers_is_taken(settings, theirs):
    folder = fetch(settings, adopt(settings, theirs).version)
    config = read_config(Path(folder))
    assert set(config) == {
        "encoder",
        "fitted_until",
        "format",
        "from",
        "learner",
        "parameters",
        "seed",
        "sha256",
        "trained_until",
    }
    assert "2019" not in json.dumps(config)


def test_the_first_candidate_is_compared_with_it(settings, theirs, neighbours):
    adopted = adopt(settings, theirs).version
    candidate = register(settings, neighbours, WEEK)
    decision = promote(settings, candidate, WEEK)
    assert (decision.champion, decision.users) == (adopted, 40)
    assert decision.champion_value is not None


def test_asked_again_it_is_the_same_version(settings, theirs):
    assert adopt(settings, theirs) == adopt(settings, theirs)
    later = adopt(settings, theirs, FIRST)
    assert (later.version, later.day) == ("2", str(FIRST))


def test_a_shop_without_any_day_can_adopt(tmp_path, theirs):
    empty = load_settings(home=tmp_path / "new", first_day=date(2026, 7, 1))
    assert adopt(empty, theirs).day == "2026-06-30"
    assert resolve(empty, date(2026, 7, 1)) == "1"


def test_a_model_of_another_encoder_is_refused(settings, tmp_path, theirs):
    config = read_config(Path(theirs)) | {"encoder": hashlib.sha256(b"other").hexdigest()}
    (Path(theirs) / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        BadSetting, match=r"The model in .*theirs cannot serve here. Encoder .* is neither the one of the settings nor registered"
    ):
        adopt(settings, theirs)
    with pytest.raises(MissingModel, match=r"holds no config\.json"):
        adopt(settings, str(tmp_path))


def test_the_command_adopts(settings, theirs, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    done = CliRunner().invoke(app, ["adopt-model", theirs, "--day", "2026-03-01"], catch_exceptions=False)
    assert done.output.startswith("version 1 is promoted: Adopted from another shop, without comparison (model ")


def test_the_command_does_not_say_promoted_of_what_was_withdrawn(settings, theirs, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    adopt(settings, theirs)
    adopt(settings, theirs, FIRST)  # another version: one promoted has to be left
    withdraw(settings, "1", "It lists what is sold out.")
    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    done = CliRunner().invoke(app, ["adopt-model", theirs, "--day", str(BEFORE)], catch_exceptions=False)
    assert done.output.startswith("version 1 is not promoted: It was withdrawn: It lists what is sold out.")
    assert done.exit_code == 1


def test_where_training_starts(settings, theirs, neighbours):
    assert name_start(settings.promotion, "") is None
    assert name_start(settings.promotion, "champion") == Named("champion", False)
    assert name_start(settings.promotion, "12") == Named("12", False)
    assert name_start(settings.promotion, "models:/recpipe/2") == Named("models:/recpipe/2", False)
    assert name_start(settings.promotion, "models:/sister/2") == Named("models:/sister/2", True)
    assert name_start(settings.promotion, theirs) == Named(theirs, True)
    for wrong in ("models:/recpipe/latest", "models:/x", "--device", "; rm -rf x", "/no/folder", "champion\n"):
        with pytest.raises(BadSetting, match="Training cannot start from"):
            name_start(settings.promotion, wrong)


def test_a_version_of_another_registered_model_is_fetched(settings, theirs, neighbours):
    sister = settings.changed(registered_model="sister")
    register(settings, neighbours, WEEK)
    register(sister, theirs, date(2026, 3, 8))
    assert load(folder_of(settings, "models:/sister/1")).name == "pair_network"
    assert load(folder_of(settings, "models:/recpipe/1")).name == "item_knn"
    assert load(folder_of(settings, "1")).name == "item_knn"
    with pytest.raises(MissingModel, match="Model sister has no version 2"):
        folder_of(settings, "models:/sister/2")
