"""Training: the same seed ends in the same bytes, killed or not; what goes wrong says so."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from recpipe.dataset.folder import read_episodes_folder, write_episodes_folder
from recpipe.errors import BadSetting, TrainingFailed
from recpipe.models.io import load, read_config
from recpipe.training.config import Config
from recpipe.training.loop import main, schedule, train
from recpipe.training.windows import cut_windows

CONFIG = Config(steps=40, warmup_steps=5, batch_users=16, width=8, cutoffs=4, evaluate_every=5, patience=100, device="cpu")
OPTIONS = [
    text
    for field in dataclasses.fields(CONFIG)
    for text in (f"--{field.name.replace('_', '-')}", str(getattr(CONFIG, field.name)))
]
OUTPUT = (
    "config.json",
    "model.safetensors",
    "metrics.jsonl",
    "summary.json",
    "closed_form/config.json",
    "checkpoint.safetensors",
)


ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # matrices are tiny here: threads would only wait for each other


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in OUTPUT}


@pytest.fixture(scope="module")
def done(training_input, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return folder, train(training_input, folder, CONFIG)


def test_it_writes_a_model_that_loads_and_says_where_it_comes_from(done, facts):
    folder, summary = done
    assert load(folder).name == "pair_network"
    config = read_config(folder)
    assert {name: config[name] for name in facts} == facts
    assert config["best_step"] == summary["best_step"]
    assert load(folder / "closed_form").name == summary["closed_form"]
    assert (folder / "model.safetensors").stat().st_size < 13_000
    for name in ("course.png", "by_k.png"):
        assert (folder / "plots" / name).read_bytes().startswith(b"\x89PNG")


def test_the_loss_falls_and_the_curve_is_kept(done):
    rows = [json.loads(line) for line in (done[0] / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == list(range(0, 41, 5))
    assert rows[0]["loss"] is None
    assert rows[-1]["loss"] < rows[1]["loss"]
    later = [row for row in rows if row["step"] >= 20]
    assert max(later, key=lambda row: row["val_ndcg"])["step"] == done[1]["best_step"]


def test_the_summary_holds_everybody_on_the_same_users(done):
    quality = done[1]["quality"]
    closed_forms = {"stack", "popularity", "user_popularity", "country_popularity", "item_knn", "ease", "text_prototype", "blend"}
    assert {"pair_network", *closed_forms} == set(quality)
    users = {name: {bucket: entry["users"] for bucket, entry in held["ndcg@10"].items()} for name, held in quality.items()}
    assert all(found == users["popularity"] for found in users.values())
    assert users["popularity"]["all"] == sum(n for bucket, n in users["popularity"].items() if bucket != "all")
    for held in quality.values():
        for entry in (*held["ndcg@10"].values(), *held["recall@10"].values()):
            assert 0 <= entry["low"] <= entry["mean"] <= entry["high"] <= 1


def test_learning_beats_popularity_where_users_have_a_taste(done):
    quality = done[1]["quality"]
    assert quality["pair_network"]["ndcg@10"]["all"]["mean"] > 1.3 * quality["popularity"]["ndcg@10"]["all"]["mean"]


def test_the_same_seed_ends_in_the_same_bytes_and_another_does_not(done, training_input, tmp_path):
    train(training_input, tmp_path / "again", CONFIG)
    assert contents(tmp_path / "again") == contents(done[0])
    evidence, facts = read_episodes_folder(training_input)
    write_episodes_folder(tmp_path / "input", evidence, {**facts, "seed": 8})
    train(tmp_path / "input", tmp_path / "other", dataclasses.replace(CONFIG, steps=10))
    rows = [(folder / "metrics.jsonl").read_text().splitlines()[1] for folder in (tmp_path / "other", done[0])]
    assert rows[0] != rows[1]


def test_a_killed_run_goes_on_and_ends_in_the_same_bytes(done, training_input, tmp_path):
    command = [
        sys.executable,
        "-m",
        "recpipe.training.loop",
        "--episodes",
        str(training_input),
        "--out",
        str(tmp_path / "model"),
        *OPTIONS,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=ONE_THREAD) as run:
        for line in run.stdout:
            if line.startswith("step 15 of"):
                os.kill(run.pid, signal.SIGKILL)
                break
        seen = run.stdout.read()
    assert run.returncode == -signal.SIGKILL
    assert "step 40" not in seen
    assert not (tmp_path / "model" / "config.json").exists()
    again = subprocess.run(command, capture_output=True, text=True, check=True, env=ONE_THREAD)
    assert "going on from step " in again.stdout
    assert "step 0 of" not in again.stdout
    assert contents(tmp_path / "model") == contents(done[0])


def test_a_finished_run_that_is_run_again_ends_in_the_same_bytes(done, training_input, capsys):
    before = contents(done[0])
    train(training_input, done[0], CONFIG)
    assert "going on from step 40" in capsys.readouterr().out
    assert contents(done[0]) == before


def test_a_checkpoint_of_other_settings_is_not_gone_on_from(done, training_input, tmp_path, capsys):
    config = dataclasses.replace(CONFIG, steps=5)
    train(training_input, tmp_path, config)
    other = dataclasses.replace(config, learning_rate=0.001)
    train(training_input, tmp_path, other)
    assert "starting anew" in capsys.readouterr().out
    train(training_input, tmp_path / "fresh", other)
    assert contents(tmp_path) == contents(tmp_path / "fresh")


def test_accumulation_sums_batches_to_one_update(training_input, tmp_path):
    summary = train(training_input, tmp_path, dataclasses.replace(CONFIG, steps=5, accumulate=3))
    assert summary["steps"] == 5


def test_it_stops_when_the_later_weeks_gain_nothing(training_input, tmp_path):
    config = dataclasses.replace(CONFIG, learning_rate=0.0, projection_learning_rate=0.0, patience=2)
    summary = train(training_input, tmp_path, config)
    assert (summary["steps"], summary["best_step"]) == (30, 20)


def test_a_loss_that_is_no_number_ends_the_run_and_keeps_the_last_good_checkpoint(training_input, tmp_path, capsys):
    options = [*OPTIONS, "--learning-rate", "1e30", "--projection-learning-rate", "1e30"]
    assert main(["--episodes", str(training_input), "--out", str(tmp_path), *options]) == 2
    said = capsys.readouterr().err
    assert "the loss is nan" in said
    assert "Lower the learning rates" in said
    from safetensors.numpy import load_file

    for name, array in load_file(tmp_path / "checkpoint.safetensors").items():
        assert np.isfinite(array).all(), name
    assert not (tmp_path / "config.json").exists()


def test_a_learner_that_is_none_is_refused_with_their_names(training_input, tmp_path):
    with pytest.raises(BadSetting, match=r"No learner 'nobody' can be trained: choose one of .*prototypical"):
        train(training_input, tmp_path, dataclasses.replace(CONFIG, learner="nobody"))


def test_too_little_history_is_said_so(make_evidence, facts, tmp_path):
    write_episodes_folder(tmp_path / "input", make_evidence(users=30, weeks=2), facts)
    with pytest.raises(TrainingFailed, match=r"until 2011-08-21 is too little to learn from: it reaches back 1[0-4] days"):
        train(tmp_path / "input", tmp_path / "model", CONFIG)


def test_an_input_without_events_is_said_so(evidence, facts, tmp_path):
    history = evidence.history
    none = {name: getattr(history, name)[:0] for name in ("user_ids", "user", "item", "ts", "weight")}
    empty = dataclasses.replace(
        evidence, history=dataclasses.replace(history, **none), popularity_item=history.item[:0], popularity_ts=history.ts[:0]
    )
    write_episodes_folder(tmp_path / "input", empty, facts)
    with pytest.raises(TrainingFailed, match="holds no event"):
        train(tmp_path / "input", tmp_path / "model", CONFIG)


def test_the_weeks_to_look_at_are_later_than_those_to_learn_from(evidence, facts):
    valid, past = cut_windows(evidence, facts, range(1, 3)), cut_windows(evidence, facts, range(3, 7))
    assert [str(window.evidence.until)[:10] for window in (*valid, *past)] == [
        "2011-08-15", "2011-08-08", "2011-08-01", "2011-07-25", "2011-07-18", "2011-07-11",
    ]  # fmt: skip
    for window in (*valid, *past):
        assert window.evidence.history.ts.max() < window.evidence.until


def test_events_planted_later_change_no_earlier_episode(evidence, facts):
    """Leak: what happens in the last week leaves all that is learned from as it was."""
    history = evidence.history
    late = history.ts >= evidence.until - np.timedelta64(14, "D")
    item = np.where(late, 69, history.item).astype(np.int32)
    planted = dataclasses.replace(
        evidence,
        history=dataclasses.replace(history, item=item),
        popularity_item=np.where(
            evidence.popularity_ts >= evidence.until - np.timedelta64(14, "D"), 69, evidence.popularity_item
        ),
    )
    for before, after in zip(cut_windows(evidence, facts, range(3, 7)), cut_windows(planted, facts, range(3, 7)), strict=True):
        np.testing.assert_equal(dataclasses.asdict(after), dataclasses.asdict(before))


def test_the_learning_rate_rises_and_falls():
    config = Config(steps=100, warmup_steps=10)
    rates = [schedule(step, config) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert int(np.argmax(rates)) == 9
    assert rates[100] == pytest.approx(0, abs=1e-9)
    assert np.all(np.diff(rates[10:]) < 0)


def test_the_room_runs_without_the_rest_of_recpipe(training_input, tmp_path):
    code = (
        "import sys\n"
        "from recpipe.training.loop import main\n"
        "assert main(sys.argv[1:]) == 0\n"
        "heavy = ('airflow', 'mlflow', 'great_expectations', 'deltalake', 'pyarrow', 'pydantic_settings', 'pydantic', 'pandas',\n"
        "         'transformers', 'typer', 'recpipe.config', 'recpipe.contract', 'recpipe.lake')\n"
        "print('found:', [name for name in heavy if name in sys.modules])\n"
    )
    arguments = ["--episodes", str(training_input), "--out", str(tmp_path), *OPTIONS, "--steps", "2"]
    out = subprocess.run(
        [sys.executable, "-c", code, *arguments], check=True, capture_output=True, text=True, env=ONE_THREAD
    ).stdout
    assert out.splitlines()[-1] == "found: []"


def test_loading_and_ranking_need_no_torch(done):
    code = f"import sys, pathlib; from recpipe.models.io import load; load(pathlib.Path({str(done[0])!r})); print('torch' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=ONE_THREAD).stdout.strip()
        == "False"
    )


def test_the_command_trains(training_input, tmp_path):
    command = [sys.executable, "-c", "from recpipe.cli import main; main()", "train", "--episodes", str(training_input)]
    done = subprocess.run(
        [*command, "--out", str(tmp_path), "--steps", "1"], capture_output=True, text=True, check=True, env=ONE_THREAD
    )
    assert "step 1 of 1" in done.stdout
    assert load(tmp_path).name == "pair_network"
