"""Another shop's model: taken as it is where nothing was seen, a prior where little was, and it knows nobody's ids."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from recpipe.dataset.episodes import cut_at_order
from recpipe.dataset.folder import write_episodes_folder
from recpipe.dataset.history import Evidence, History, events_of
from recpipe.errors import BadSetting
from recpipe.models.io import load, read_config
from recpipe.registry.model_folder import content_hash
from recpipe.training.cold_start import AGES, cut_openings, kept_for_others, opened_at
from recpipe.training.config import Config
from recpipe.training.continual import arrays_of
from recpipe.training.loop import main, train
from recpipe.training.transfer import PRIOR_EPISODES, clearly_better, cut_first_days, enough, pull

CONFIG = Config(steps=4, warmup_steps=2, batch_users=16, cutoffs=3, evaluate_every=2, openings=3, device="cpu")
LATER = dataclasses.replace(CONFIG, openings=0)
DAY = np.timedelta64(1, "D")
FACTS = {"fitted_until": "2011-08-21", "trained_until": "2011-08-28", "seed": 7, "encoder": "abc", "half_life_days": 90.0}


@pytest.fixture(scope="module", autouse=True)
def short_stack():
    """The bar is no part of what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recpipe.training.loop.STACK_STEPS", 2)
        yield


def since(evidence: Evidence, days: float) -> Evidence:
    """The same shop, if it had opened so many days ago."""
    opened = evidence.until - np.timedelta64(round(days * 86_400), "s")
    return opened_at(evidence, opened, evidence.until, np.datetime64(FACTS["fitted_until"]))


@pytest.fixture(scope="module")
def shop_a(make_evidence) -> Evidence:
    return make_evidence(users=150, items=60, weeks=16, seed=3)


@pytest.fixture(scope="module")
def model_of_a(shop_a, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop_a")
    write_episodes_folder(folder / "input", shop_a, FACTS)
    train(folder / "input", folder / "model", CONFIG)
    return folder / "model"


def start(evidence: Evidence, model: Path, place: Path, **settings) -> dict:
    write_episodes_folder(place / "input", evidence, FACTS)
    return train(place / "input", place / "model", dataclasses.replace(LATER, **settings), start_from=model, other_shop=True)


# --- openings


def hours(*values: int) -> np.ndarray:
    return np.datetime64("2011-01-01T00:00:00", "us") + np.array(values, "timedelta64[h]")


def test_users_are_cut_at_the_order_they_come_with():
    # three users; the cut is at hour 48, an order is waited for until 72, its query lasts 24 hours
    rows = [
        (0, 1, 10),
        (0, 2, 50),
        (0, 3, 50),
        (0, 1, 60),
        (0, 4, 74),
        (0, 5, 75),
        (1, 2, 71),
        (1, 6, 95),
        (2, 1, 47),
        (2, 2, 72),
    ]
    user, item, hour = (np.array(column) for column in zip(*rows, strict=True))
    names = np.array(["a", "b", "c"], object)
    history = History(names, user.astype(np.int32), item.astype(np.int32), hours(*hour), np.ones(len(rows), np.float32))
    found = cut_at_order(history, hours(48)[0], window_days=1, horizon_days=1, half_life_days=1)
    assert found.user.tolist() == [0, 1]  # c comes too late
    assert found.support.indptr.tolist() == [0, 3, 4]
    assert found.support.item.tolist() == [1, 2, 3, 2]  # the order is in the support
    assert found.support.age_days.tolist() == pytest.approx([40 / 24, 0, 0, 0])
    assert found.support.ahead_days.tolist() == pytest.approx([2 / 24, 23 / 24])
    assert found.query_indptr.tolist() == [0, 1, 2]
    assert found.query_item.tolist() == [4, 6]  # 1 was met before, 5 comes an hour too late
    assert found.seen_item.tolist() == found.support.item.tolist()


def test_a_shop_that_opens_knows_nothing_of_before(shop_a):
    young = since(shop_a, 7)
    assert (young.history.ts >= shop_a.until - 7 * DAY).all()
    assert (young.popularity_ts >= shop_a.until - 7 * DAY).all()
    assert len(young.history.ts) == int((shop_a.history.ts >= shop_a.until - 7 * DAY).sum()) > 0
    assert len(young.catalogue) == len(shop_a.catalogue)


def test_openings_are_of_all_ages_and_see_nothing_of_their_queries(shop_a):
    windows = cut_openings(shop_a, FACTS, CONFIG)
    assert len(windows) == CONFIG.openings + len(AGES)
    untils = [window.evidence.until for window in windows]
    assert untils == sorted(untils, reverse=True)
    for number, window in enumerate(windows):
        age = AGES[number % len(AGES)]
        ts = window.evidence.history.ts
        assert ((ts >= window.evidence.until - age * DAY) & (ts < window.evidence.until)).all()
        assert len(ts) > 0 or age == 0


# --- starting


@pytest.mark.parametrize("days", [0, 2])
def test_a_shop_that_has_seen_nothing_takes_the_model_as_it_is(shop_a, make_evidence, model_of_a, tmp_path, days):
    young = since(make_evidence(users=30, items=70, weeks=4, seed=8), days)
    summary = start(young, model_of_a, tmp_path)
    assert summary["best_step"] == summary["steps"] == 0
    for name, array in arrays_of(load(model_of_a)).items():
        np.testing.assert_array_equal(arrays_of(load(tmp_path / "model"))[name], array, err_msg=name)
    config = read_config(tmp_path / "model")
    assert (config["start"], config["other_shop"]) == (content_hash(model_of_a), True)
    assert (config["fitted_until"], config["encoder"]) == ("2011-08-21", "abc")


def test_with_some_days_it_learns_and_says_what_came_of_it(make_evidence, model_of_a, tmp_path):
    young = since(make_evidence(users=400, items=70, weeks=6, seed=8), 40)
    looked_at, learned = cut_first_days(young, FACTS)
    assert enough(looked_at, learned)
    summary = start(young, model_of_a, tmp_path)
    change, same = summary["continual"]["new"], summary["best_step"] == 0
    assert same == (not clearly_better(change)) or change["difference"] == 0
    assert same == all(
        (arrays_of(load(tmp_path / "model"))[name] == array).all() for name, array in arrays_of(load(model_of_a)).items()
    )
    again = start(young, model_of_a, tmp_path / "again")
    assert again == summary


def test_nothing_that_is_looked_at_is_learned_from(make_evidence):
    young = since(make_evidence(users=400, items=70, weeks=6, seed=8), 40)
    (looked_at,), learned = cut_first_days(young, FACTS)
    until = looked_at.evidence.until
    for window in learned:
        for row, user in enumerate(window.episodes.user):
            query = window.episodes.query_item[slice(*window.episodes.query_indptr[row : row + 2])]
            mine = young.history.user == user
            for item in query:
                assert young.history.ts[mine & (young.history.item == item)].min() < until


def test_with_many_weeks_it_is_taught_as_usual(shop_a, model_of_a, tmp_path):
    summary = start(shop_a, model_of_a, tmp_path)
    assert summary["steps"] == LATER.steps
    assert summary["continual"]["new_windows"] == LATER.cutoffs


def test_the_prior_is_worth_so_many_episodes():
    import torch

    start, here = {"a": torch.zeros(2), "b": torch.ones(1)}, {"a": torch.tensor([1.0, 2.0]), "b": torch.ones(1)}
    assert float(pull(here, start, 100)) == pytest.approx(5 * PRIOR_EPISODES / 100)
    assert float(pull(here, start, 10)) == pytest.approx(10 * float(pull(here, start, 100)))
    assert float(pull(start, start, 1)) == 0


def test_only_a_gain_above_its_error_is_kept():
    assert clearly_better({"difference": 0.02, "low": -0.01, "high": 0.05})
    assert not clearly_better({"difference": 0.01, "low": -0.02, "high": 0.04})
    assert not clearly_better({"difference": 0.0, "low": 0.0, "high": 0.0})


# --- what is refused, and what is not in a folder


def test_another_encoder_is_refused(shop_a, model_of_a, tmp_path):
    write_episodes_folder(tmp_path / "input", shop_a, {**FACTS, "encoder": "xyz"})
    with pytest.raises(BadSetting, match="was trained on texts of encoder 'abc', the training input holds those of 'xyz'"):
        train(tmp_path / "input", tmp_path / "model", LATER, start_from=model_of_a, other_shop=True)


def test_there_has_to_be_a_model(shop_a, tmp_path, capsys):
    write_episodes_folder(tmp_path / "input", shop_a, FACTS)
    given = ["--episodes", str(tmp_path / "input"), "--out", str(tmp_path / "model"), "--other-shop"]
    assert main(given) == 2
    assert "name its folder (--from)" in capsys.readouterr().err


def test_a_model_folder_holds_no_id_and_no_title(make_evidence, tmp_path):
    shop = make_evidence(users=150, items=60, weeks=16, seed=3)
    texts = [f"secret title {number} of crimson lace" for number in range(60)]
    ids = np.array([f"sku-{number:05d}-x" for number in range(60)], object)
    shop = dataclasses.replace(shop, catalogue=dataclasses.replace(shop.catalogue, texts=texts, item_ids=ids))
    write_episodes_folder(tmp_path / "input", shop, FACTS)
    train(tmp_path / "input", tmp_path / "model", CONFIG)
    files = [file for file in (tmp_path / "model").rglob("*") if file.is_file()]
    assert {"config.json", "model.safetensors", "summary.json"} <= {file.name for file in files}
    for file in files:
        data = file.read_bytes()
        for word in (b"secret", b"crimson", b"sku-", b"u0001", b"France"):
            assert word not in data, (file.name, word)
    assert json.loads((tmp_path / "model" / "config.json").read_text())["parameters"].keys() == {"kind", "settings"}


def test_the_unused_rest_of_a_history_is_no_trap():
    """A shop without any event is cut into nothing, and nothing breaks."""
    none = History(np.zeros(0, object), *(np.zeros(0, np.int32),) * 2, np.zeros(0, "datetime64[us]"), np.zeros(0, np.float32))
    assert (
        len(cut_at_order(events_of(none, np.zeros(0, np.intp)), hours(0)[0], window_days=7, horizon_days=7, half_life_days=90))
        == 0
    )


def test_a_quarter_of_what_openings_taught_is_kept():
    import torch

    untaught, taught = {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([5.0, 0.0])}
    assert kept_for_others(taught, untaught)["a"].tolist() == [2.0, 1.5]
