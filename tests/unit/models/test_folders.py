"""Model folders and training inputs: what is written comes back, and what was changed is refused."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file

from recpipe.dataset.folder import read_episodes_folder, write_episodes_folder
from recpipe.errors import MissingModel, RecpipeError
from recpipe.models.io import load, read_config, save
from recpipe.models.item_knn import ItemKNN
from recpipe.models.popularity import Popularity


def test_the_config_says_what_the_model_is(tmp_path, facts):
    save(ItemKNN(neighbours=7), tmp_path, facts)
    config = read_config(tmp_path)
    assert config["learner"] == "item_knn"
    assert config["parameters"]["neighbours"] == 7
    assert {name: config[name] for name in facts} == facts
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "model.safetensors"]


def test_the_same_learner_is_the_same_bytes(tmp_path, facts):
    for name in ("a", "b"):
        save(Popularity(), tmp_path / name, facts)
    for file in ("config.json", "model.safetensors"):
        assert (tmp_path / "a" / file).read_bytes() == (tmp_path / "b" / file).read_bytes()


def test_no_model_is_said_so(tmp_path):
    with pytest.raises(MissingModel, match=r"config.json is missing"):
        load(tmp_path)


def test_a_missing_file_is_said_so(tmp_path, facts):
    save(Popularity(), tmp_path, facts)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(MissingModel, match=r"model.safetensors is missing"):
        load(tmp_path)


def test_a_changed_file_is_refused(tmp_path, facts):
    save(Popularity(), tmp_path, facts)
    (tmp_path / "model.safetensors").write_bytes(b"something else")
    with pytest.raises(RecpipeError, match="is not the file that was saved"):
        load(tmp_path)


@pytest.mark.parametrize(("key", "value"), [("learner", "oracle"), ("format", 99)])
def test_an_unknown_learner_or_format_is_refused(tmp_path, facts, key, value):
    save(Popularity(), tmp_path, facts)
    config = read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, key: value}))
    with pytest.raises(RecpipeError, match=f"{value}.*recpipe reads .*item_knn.*popularity"):
        load(tmp_path)


def test_unknown_parameters_are_refused(tmp_path, facts):
    save(Popularity(), tmp_path, facts)
    config = read_config(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({**config, "parameters": {"magic": 1}}))
    with pytest.raises(RecpipeError, match="disagree about half_life_days, magic"):
        load(tmp_path)


def test_a_foreign_learner_is_not_saved(tmp_path):
    class Foreign:
        name = "foreign"

    with pytest.raises(RecpipeError, match="'foreign' cannot be saved"):
        save(Foreign(), tmp_path, {})


def test_a_training_input_comes_back_without_user_ids(evidence, facts, tmp_path):
    random = np.random.default_rng(0)
    back = np.where(random.random(len(evidence.history.ts)) < 0.5, evidence.until, np.datetime64("NaT", "us"))
    given = dataclasses.replace(evidence, history=dataclasses.replace(evidence.history, returned_at=back))
    write_episodes_folder(tmp_path, given, facts)
    found, found_facts = read_episodes_folder(tmp_path)
    assert found_facts == facts
    assert found.until == given.until
    for name in ("popularity_item", "popularity_ts"):
        np.testing.assert_array_equal(getattr(found, name), getattr(given, name))
    assert found.history.country_names == ("France", "Malta", "Spain")
    for name in ("user", "item", "ts", "weight", "returned_at", "country"):
        np.testing.assert_array_equal(getattr(found.history, name), getattr(given.history, name))
    for field in dataclasses.fields(given.catalogue):
        np.testing.assert_array_equal(getattr(found.catalogue, field.name), getattr(given.catalogue, field.name))
    assert len(found.history.user_ids) == len(given.history.user_ids)
    for path in tmp_path.iterdir():
        assert b"u0001" not in path.read_bytes()


def test_a_training_input_of_before_countries_were_written_still_loads(evidence, facts, tmp_path):
    before = dataclasses.replace(evidence, history=dataclasses.replace(evidence.history, country=None, country_names=()))
    write_episodes_folder(tmp_path, before, facts)
    assert "countries" not in json.loads((tmp_path / "catalogue.json").read_text())
    assert "country" not in load_file(tmp_path / "evidence.safetensors")
    history = read_episodes_folder(tmp_path)[0].history
    assert history.country is None
    assert history.country_names == ()


def test_a_training_input_needs_its_facts(evidence, tmp_path):
    with pytest.raises(RecpipeError, match="needs the facts fitted_until, encoder"):
        write_episodes_folder(tmp_path, evidence, {"seed": 1})


def test_a_training_input_that_is_not_whole_is_refused(evidence, facts, tmp_path):
    write_episodes_folder(tmp_path, evidence, facts)
    (tmp_path / "catalogue.json").write_text("{}")
    with pytest.raises(RecpipeError, match=r"catalogue.json is not the file that facts.json speaks of"):
        read_episodes_folder(tmp_path)
    (tmp_path / "facts.json").unlink()
    with pytest.raises(RecpipeError, match=r"facts.json is missing"):
        read_episodes_folder(tmp_path)
