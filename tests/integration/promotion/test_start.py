"""What `recpipe train --from` names: the champion, a version, or a folder; and a champion that nothing was learned in."""

from __future__ import annotations

import json
import shutil
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from recpipe.cli.train import find_start
from recpipe.errors import MissingModel
from recpipe.evidence.item_features import RECENT, SETTINGS
from recpipe.evidence.layout import TRENDS, layout_of
from recpipe.models.io import load
from recpipe.models.pair_network import NETWORK, PairNetwork
from recpipe.promotion.gate import promote
from recpipe.promotion.register import ensure_first_champion, register
from recpipe.promotion.start_from import begin, wanted_learner
from recpipe.promotion.withdraw import withdraw
from recpipe.registry.serving import champion
from recpipe.registry.store import client
from recpipe.registry.versions import PROMOTED_ON
from recpipe.text.encoder import fingerprint_of

WEEK = date(2026, 3, 15)
BEFORE = WEEK - timedelta(days=7)


def network(weight: float) -> PairNetwork:
    wide = len(layout_of(SETTINGS).features)
    none = np.zeros((wide + 1, 0), np.float32)
    sizes = (np.zeros(len(TRENDS), np.float32), np.zeros(len(RECENT), np.float32), none)
    shapes = (np.zeros(shape, np.float32) for shape in (0, (0, 0), 0, 0))
    return PairNetwork(np.full((2, wide), weight, np.float32), *sizes, *shapes)


def mark_promoted(settings, number: str, day: date) -> None:
    client(settings).set_model_version_tag(settings.promotion.registered_model, number, PROMOTED_ON, day.isoformat())


@pytest.fixture
def named(settings, monkeypatch):
    """The learner that a name leads to, in the settings' registry."""
    for name, value in {"HOME": settings.places.home, "TOP_K": 10, "BOOTSTRAP_DRAWS": 500}.items():
        monkeypatch.setenv(f"RECPIPE_{name}", str(value))
    return lambda start: load(find_start(start, "item_knn").folder).name


def test_the_champion_and_a_version_come_from_the_registry(settings, named, popular, neighbours):
    with pytest.raises(MissingModel, match=r"No version of model recpipe is promoted yet"):
        champion(settings)
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    assert [named(start) for start in ("1", "2")] == ["popularity", "item_knn"]
    assert promote(settings, candidate, WEEK).promoted
    assert (champion(settings), named("champion")) == ("2", "item_knn")
    withdraw(settings, candidate, "it shows nothing but cups")
    assert champion(settings) == "1"
    with pytest.raises(MissingModel, match="no version 7"):
        named("7")


def test_a_folder_is_itself_and_needs_no_registry(tmp_path, monkeypatch):
    monkeypatch.setenv("RECPIPE_MLFLOW_URI", "http://127.0.0.1:9")  # nobody answers there
    assert find_start(str(tmp_path), NETWORK).folder == tmp_path
    assert find_start("./7", NETWORK).folder == Path("7")
    assert find_start("", NETWORK).folder is None


def test_a_shop_without_a_champion_starts_afresh_and_says_so(settings):
    found = begin(settings, "champion", NETWORK)
    assert (found.folder, found.said) == (
        None,
        "there is no champion yet, and no version of pair_network with this encoder is registered, so training starts afresh.",
    )
    assert begin(settings, "", NETWORK).said == ""


def test_a_champion_in_which_nothing_was_learned_leads_to_the_newest_network(settings, popular, model_folder):
    ensure_first_champion(settings, WEEK, popular)
    found = begin(settings, "champion", NETWORK)
    assert (found.folder, found.said[:46]) == (None, "the champion is version 1 (popularity), and no")

    old = register(settings, model_folder("old", network(1), BEFORE, BEFORE), BEFORE)
    found = begin(settings, "champion", NETWORK)  # registered, and never promoted
    assert load(found.folder).weights[0, 0] == 1
    assert found.said == (
        f"the champion is version 1 (popularity), so training goes on from version {old}, the newest pair_network (not promoted)."
    )
    newer = register(settings, model_folder("newer", network(2), WEEK, BEFORE), WEEK)
    assert load(begin(settings, "champion", NETWORK).folder).weights[0, 0] == 2
    mark_promoted(settings, old, BEFORE)  # one that served goes before a newer one that never did
    assert load(begin(settings, "champion", NETWORK).folder).weights[0, 0] == 1
    mark_promoted(settings, newer, WEEK)
    found = begin(settings, "champion", NETWORK)
    assert (load(found.folder).weights[0, 0], found.said) == (2, "")  # it serves itself
    again = begin(settings, "champion", NETWORK, before=WEEK)  # a week that is run again begins as it did
    assert load(again.folder).weights[0, 0] == 1


def test_versions_of_other_encoders_and_lost_ones_are_passed_over(settings, popular, model_folder, tiny_encoder, caplog):
    ensure_first_champion(settings, WEEK, popular)
    register(settings, model_folder("good", network(1), BEFORE, BEFORE), BEFORE)
    foreign = Path(model_folder("foreign", network(2), WEEK, BEFORE))
    config = json.loads((foreign / "config.json").read_text()) | {"encoder": fingerprint_of(tiny_encoder)}
    (foreign / "config.json").write_text(json.dumps(config))
    register(settings.changed(encoder=str(tiny_encoder)), str(foreign), WEEK)
    lost = register(settings, model_folder("lost", network(3), WEEK, BEFORE), WEEK)
    lose_artifacts(settings, lost)
    found = begin(settings, "champion", NETWORK)
    assert load(found.folder).weights[0, 0] == 1
    assert f"Version {lost} is passed over: The files of recpipe version {lost} are gone" in caplog.text


def lose_artifacts(settings, number: str) -> None:
    model = client(settings).get_model_version(settings.promotion.registered_model, number).source.removeprefix("models:/")
    shutil.rmtree(settings.places.home / "mlflow" / "artifacts" / "models" / model)


@pytest.mark.parametrize("start", ["1", "champion", "models:/recpipe/1"])
def test_a_named_start_whose_files_are_gone_says_so(settings, named, neighbours, start):
    ensure_first_champion(settings, WEEK, neighbours)
    lose_artifacts(settings, "1")
    shutil.rmtree(settings.places.work / "models", ignore_errors=True)
    with pytest.raises(MissingModel, match=r"The files of recpipe version 1 are gone .* recpipe withdraw 1 --reason"):
        named(start)


@pytest.mark.parametrize(
    ("options", "learner"),
    [
        ([], NETWORK),
        (["--steps", "3", "--learner", "item_knn"], "item_knn"),
        (["--learner=maml"], "maml"),
        (["--settings", "best.json"], "anil"),
        (["--settings=best.json", "--learner", "lstm"], "lstm"),
    ],
)
def test_the_learner_of_a_run_is_read_from_its_options(options, learner, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("best.json").write_text(json.dumps({"learner": "anil", "steps": 5}))
    assert wanted_learner(options) == learner
