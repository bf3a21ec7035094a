"""Going on from a model: it starts where the model stood, learns from new weeks, replays old ones, measures what is forgotten."""

import dataclasses
import json
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from recpipe.dataset.episodes import as_of
from recpipe.dataset.folder import read_episodes_folder, write_episodes_folder
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.models.guarded import taught_of
from recpipe.models.io import load, read_config, save
from recpipe.models.item_knn import ItemKNN
from recpipe.registry.model_folder import content_hash
from recpipe.training.config import Config
from recpipe.training.continual import arrays_of, in_words, paired, pick_window, split_windows, tensors_of
from recpipe.training.loop import main, train
from recpipe.training.networks import PLACES, find_network
from recpipe.training.quality import measure
from recpipe.training.windows import cut_windows, some_of

CONFIG = Config(steps=10, warmup_steps=2, batch_users=16, width=8, cutoffs=4, evaluate_every=5, patience=100, device="cpu")
WEEKS_AGO = 4  # of six windows two decide when to stop, two are new, two are old
OUTPUT = ("config.json", "model.safetensors", "metrics.jsonl", "summary.json", "checkpoint.safetensors")


@pytest.fixture(scope="module", autouse=True)
def short_stack():
    """The bar is no part of what is tested here, and most of the time of so short a run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recpipe.training.loop.STACK_STEPS", 5)
        yield


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUT}


def rows_of(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def fact(folder: Path, **changed) -> None:
    """Change what a model folder says of itself."""
    config = {**read_config(folder), **changed}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.fixture(scope="module")
def champion(training_input, tmp_path_factory) -> Path:
    """A model of four weeks ago."""
    folder = tmp_path_factory.mktemp("champion")
    evidence, facts = read_episodes_folder(training_input)
    day = np.datetime64(facts["fitted_until"]) - 7 * WEEKS_AGO
    known = as_of(evidence, evidence.until - np.timedelta64(7 * WEEKS_AGO, "D"), day)
    write_episodes_folder(folder / "input", known, {**facts, "fitted_until": str(day)})
    train(folder / "input", folder / "model", CONFIG)
    return folder / "model"


@pytest.fixture(scope="module")
def gone_on(training_input, champion, tmp_path_factory):
    folder = tmp_path_factory.mktemp("gone on")
    return folder, train(training_input, folder, CONFIG, start_from=champion)


@pytest.fixture
def copied(champion, tmp_path) -> Path:
    """The champion, to be changed."""
    folder = tmp_path / "copied"
    folder.mkdir()
    for name in ("config.json", "model.safetensors"):
        (folder / name).write_bytes((champion / name).read_bytes())
    return folder


def windows_of(training_input):
    evidence, facts = read_episodes_folder(training_input)
    windows = cut_windows(evidence, facts, range(1, 7))
    return evidence, facts, windows[:2], windows[2:]


def begun_on(champion, day):
    from recpipe.training.continual import Start

    return Start(champion, taught_of(load(champion)), date.fromisoformat(day), content_hash(champion))


def test_at_step_0_it_is_the_model_that_it_goes_on_from(champion, gone_on, training_input):
    _, _, valid, _ = windows_of(training_input)
    held = [measure(taught_of(load(champion)), window.evidence, some_of(window).episodes).ndcg for window in valid]
    assert rows_of(gone_on[0])[0]["val_ndcg_known"] == float(np.concatenate(held).mean())
    assert rows_of(gone_on[0])[0]["val_ndcg_known"] == pytest.approx(gone_on[1]["continual"]["new"]["before"], abs=1e-12)


def test_without_updates_that_move_it_the_model_stays_what_it_was(champion, training_input, tmp_path):
    still = dataclasses.replace(CONFIG, learning_rate=0.0, projection_learning_rate=0.0, steps=1)
    summary = train(training_input, tmp_path, still, start_from=champion)
    for name, array in arrays_of(load(champion)).items():
        np.testing.assert_array_equal(arrays_of(load(tmp_path))[name], array, err_msg=name)
    for change in (summary["continual"]["old"], summary["continual"]["new"]):
        assert change["before"] == change["after"]
        assert change["difference"] == change["low"] == change["high"] == 0


def test_the_summary_says_what_was_forgotten_and_what_was_gained(champion, gone_on, training_input, tmp_path):
    folder, summary = gone_on
    found = summary["continual"]
    assert (found["start"], found["start_fitted_until"]) == (content_hash(champion), "2011-07-24")
    assert (found["new_windows"], found["replayed_windows"]) == (2, 2)
    _, _, valid, past = windows_of(training_input)
    for part, windows in (("old", past[2:]), ("new", valid)):
        for when, model in (("before", champion), ("after", folder)):
            ndcg = np.concatenate([measure(taught_of(load(model)), window.evidence, window.episodes).ndcg for window in windows])
            assert found[part][when] == pytest.approx(ndcg.mean(), abs=1e-12), (part, when)
        assert found[part]["difference"] == pytest.approx(found[part]["after"] - found[part]["before"], abs=1e-12)
        assert found[part]["low"] <= found[part]["difference"] <= found[part]["high"]
        assert found[part]["episodes"] == sum(len(window.episodes) for window in windows)
    assert json.loads((folder / "summary.json").read_text())["continual"] == found
    assert read_config(folder)["start"] == content_hash(champion)


def test_a_run_without_a_start_says_nothing_of_one(champion):
    assert "continual" not in json.loads((champion / "summary.json").read_text())
    assert "start" not in read_config(champion)


def test_the_same_seed_ends_in_the_same_bytes_wherever_the_start_lies(gone_on, copied, training_input, tmp_path):
    train(training_input, tmp_path / "again", CONFIG, start_from=copied)
    assert contents(tmp_path / "again") == contents(gone_on[0])


def test_a_run_that_is_broken_off_goes_on_to_the_same_bytes(gone_on, champion, training_input, tmp_path, capsys):
    def kill(step, _):
        if step == 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(training_input, tmp_path, CONFIG, start_from=champion, on_look=kill)
    train(training_input, tmp_path, CONFIG, start_from=champion)
    assert "going on from step 5" in capsys.readouterr().out
    assert contents(tmp_path) == contents(gone_on[0])


def test_a_checkpoint_of_another_start_is_not_gone_on_from(gone_on, copied, champion, training_input, tmp_path, capsys):
    short = dataclasses.replace(CONFIG, steps=1)
    train(training_input, tmp_path, short, start_from=champion)
    fact(copied, note="another model")
    train(training_input, tmp_path, short, start_from=copied)
    assert "starting anew" in capsys.readouterr().out
    train(training_input, tmp_path, short)
    assert "starting anew" in capsys.readouterr().out


def test_windows_after_the_day_of_the_start_are_new(champion, training_input):
    evidence, facts, _, past = windows_of(training_input)  # known until 31, 24, 17 and 10 July
    for day, new in (("2011-07-24", [0, 1]), ("2011-07-25", [0]), ("2011-07-31", [0]), ("2011-01-01", [0, 1, 2, 3])):
        found = split_windows(past, begun_on(champion, day), evidence, facts)
        assert found == (new, [number for number in range(4) if number not in new]), day
    assert split_windows(past, None, evidence, facts) == ([0, 1, 2, 3], [])


def test_days_are_the_shop_s_own(champion, training_input):
    """A shop whose midnight is 16:00 UTC of the day before has the same new weeks."""
    evidence, facts, _, past = windows_of(training_input)
    shift = np.timedelta64(8, "h")
    moved = dataclasses.replace(evidence, until=evidence.until - shift)
    earlier = [dataclasses.replace(w, evidence=dataclasses.replace(w.evidence, until=w.evidence.until - shift)) for w in past]
    start = begun_on(champion, "2011-07-24")
    assert split_windows(earlier, start, moved, facts) == split_windows(past, start, evidence, facts) == ([0, 1], [2, 3])


@pytest.mark.parametrize(("share", "drawn"), [(0.0, {1, 3}), (1.0, {0, 2})])
def test_replay_of_none_draws_new_weeks_and_of_all_old_ones(share, drawn):
    assert {pick_window(np.random.default_rng(step), [1, 3], [0, 2], share) for step in range(200)} == drawn


def test_replay_draws_its_share_and_nothing_where_nothing_is_old():
    picked = [pick_window(np.random.default_rng(step), [0], [1], 0.3) for step in range(2000)]
    assert np.mean(picked) == pytest.approx(0.3, abs=0.04)
    assert {pick_window(np.random.default_rng(step), [0, 1], [], 1.0) for step in range(50)} == {0, 1}


def test_what_is_replayed_changes_what_is_learned(gone_on, champion, training_input, tmp_path):
    found = {}
    for share in (0.0, 1.0):
        config = dataclasses.replace(CONFIG, steps=5, replay_share=share)
        found[share] = train(training_input, tmp_path / str(share), config, start_from=champion)
    assert found[0.0]["continual"]["replayed_windows"] == 0
    assert found[0.0]["continual"]["old"]["before"] == found[1.0]["continual"]["old"]["before"]
    assert rows_of(tmp_path / "0.0")[1]["loss"] != rows_of(tmp_path / "1.0")[1]["loss"]


def test_without_old_weeks_nothing_is_replayed_and_the_line_says_so(copied, training_input, tmp_path, capsys):
    fact(copied, fitted_until="2011-01-01")
    summary = train(training_input, tmp_path / "model", dataclasses.replace(CONFIG, steps=1), start_from=copied)
    assert (summary["continual"]["new_windows"], summary["continual"]["replayed_windows"]) == (4, 0)
    assert summary["continual"]["old"] is None
    assert "there are no old weeks that could be forgotten; validation weeks: nDCG@10" in capsys.readouterr().out


def test_another_learner_is_refused(champion, training_input, tmp_path):
    with pytest.raises(BadSetting, match=r"is of learner 'pair_network', and 'prototypical' is to be trained"):
        train(training_input, tmp_path, dataclasses.replace(CONFIG, learner="prototypical"), start_from=champion)
    save(ItemKNN(), tmp_path / "knn", {"fitted_until": "2011-07-24", "encoder": "abc"})
    with pytest.raises(BadSetting, match="a closed form cannot be gone on from"):
        train(training_input, tmp_path, CONFIG, start_from=tmp_path / "knn")


def test_another_encoder_is_refused(copied, training_input, tmp_path):
    fact(copied, encoder="another")
    with pytest.raises(BadSetting, match="trained on texts of encoder 'another', the training input holds those of 'abc'"):
        train(training_input, tmp_path, CONFIG, start_from=copied)


def test_other_settings_are_refused(champion, training_input, tmp_path):
    learner = taught_of(load(champion))
    other = dataclasses.replace(learner, settings={**learner.settings, "neighbours": 7})
    save(other, tmp_path / "other", {"fitted_until": "2011-07-24", "encoder": "abc"})
    with pytest.raises(BadSetting, match=r"other settings than this run \(neighbours\)"):
        train(training_input, tmp_path / "model", CONFIG, start_from=tmp_path / "other")


def test_no_new_weeks_are_said_so_and_nothing_is_written(copied, training_input, tmp_path):
    fact(copied, fitted_until="2011-08-07")  # two newer weeks, and both decide when to stop
    with pytest.raises(TrainingFailed, match=r"until 2011-08-21 has no new weeks to learn from: .* fitted until 2011-08-07"):
        train(training_input, tmp_path / "model", CONFIG, start_from=copied)
    assert [file.name for file in (tmp_path / "model").iterdir()] == [".claim"]


def test_a_share_that_is_no_chance_is_refused(training_input, tmp_path):
    with pytest.raises(BadSetting, match=r"between 0 and 1, not 1\.5"):
        train(training_input, tmp_path, dataclasses.replace(CONFIG, replay_share=1.5))


@pytest.mark.parametrize("name", PLACES)
def test_the_tensors_of_every_learner_come_back(name):
    """What a network writes is what it starts from, names, order and shapes; another width is refused with its arrays."""
    from recpipe.models.representation import View

    network = find_network(name)
    shop = View(*(np.zeros((5, width), np.float32) for width in (24, 24, 1, 4)), None, np.zeros((5, 6), np.float32))
    initial = network.initial_tensors(shop, 8, 3, "cpu")
    moved = {n: tensor.detach() + 0.5 for n, tensor in initial.items()}
    found = tensors_of(network.to_learner(moved), initial)
    assert list(found) == list(initial)
    for n, tensor in found.items():
        assert tensor.requires_grad
        assert tensor.is_leaf
        np.testing.assert_array_equal(tensor.detach().numpy(), moved[n].numpy(), err_msg=n)
    if name not in ("pair_network", "stack"):
        with pytest.raises(BadSetting, match=r"own \(24, 8\) for \(24, 6\)"):
            tensors_of(network.to_learner(moved), network.initial_tensors(shop, 6, 3, "cpu"))


def test_differences_are_paired_and_a_user_s_episodes_are_drawn_together():
    before = np.array([0.5, 0.1, 0.2, 0.9])
    assert paired(before, before + 0.25, np.array([3, 3, 5, 8]), 0) == pytest.approx(
        {"before": 0.425, "after": 0.675, "difference": 0.25, "low": 0.25, "high": 0.25, "episodes": 4, "users": 3}
    )
    one = paired(np.zeros(4), np.array([1.0, 0.0, 0.0, 1.0]), np.array([2, 2, 2, 2]), 0)
    assert (one["low"], one["high"], one["users"]) == (0.5, 0.5, 1)  # of one user nothing can be drawn but all
    four = paired(np.zeros(4), np.array([1.0, 0.0, 0.0, 1.0]), np.arange(4), 0)
    assert (four["low"], four["high"]) == (0.0, 1.0)


def test_the_line_names_what_is_clear_and_what_is_not():
    entry = {"before": 0.2, "after": 0.19, "difference": -0.01, "low": -0.02, "high": -0.001}
    line = in_words(entry, {**entry, "after": 0.21, "difference": 0.01, "low": -0.001, "high": 0.02}, 10)
    assert line == (
        "old weeks: nDCG@10 0.2000 before, 0.1900 after (-0.0100, 95 % of draws -0.0200 to -0.0010: forgotten); "
        "validation weeks: nDCG@10 0.2000 before, 0.2100 after (+0.0100, 95 % of draws -0.0010 to +0.0200: no clear difference)"
    )


def test_both_commands_go_on_from_a_folder(champion, training_input, tmp_path, capsys):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    told = ["--episodes", str(training_input), "--steps", "1"]
    assert main([*told, "--out", str(tmp_path / "a"), "--start-from", str(champion), "--replay-share", "0.25"]) == 0
    assert "old weeks: nDCG@10" in capsys.readouterr().out
    done = CliRunner().invoke(
        app, ["train", *told, "--out", str(tmp_path / "b"), "--from", str(champion), "--replay-share", "0.25"]
    )
    assert done.exit_code == 0, done.output
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    assert json.loads((tmp_path / "b" / "config.json").read_text())["training"]["replay_share"] == 0.25


def test_what_a_run_goes_on_from_is_said_in_its_log_and_its_summary(training_input, tmp_path, capsys):
    said = "the champion is version 1 (stack), and no version of pair_network is registered, so training starts afresh."
    summary = train(training_input, tmp_path, dataclasses.replace(CONFIG, steps=1), start_note=said)
    assert capsys.readouterr().out.splitlines()[0] == said
    assert summary["start_note"] == json.loads((tmp_path / "summary.json").read_text())["start_note"] == said
    assert "continual" not in summary
