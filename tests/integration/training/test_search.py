"""The search for settings: it goes on where it was, breaks off what is told to, and passes over what fails."""

import csv
import json
import subprocess
import sys
from dataclasses import asdict, replace

import optuna
import pytest

from recpipe.errors import BadSetting, TrainingFailed
from recpipe.models.io import load, read_config
from recpipe.training import tuning as search_module
from recpipe.training.config import Config
from recpipe.training.loop import train
from recpipe.training.tuning import Between, narrowed, search

BASE = Config(
    learner="prototypical",
    steps=6,
    warmup_steps=2,
    batch_users=8,
    width=8,
    cutoffs=2,
    evaluate_every=2,
    patience=100,
    device="cpu",
)
SPACE = {"projection_learning_rate": Between(1e-4, 1e-2, log=True), "short_share": (0.0, 0.3)}


def table(folder):
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def stored(folder):
    return optuna.load_study(study_name="search", storage=f"sqlite:///{folder / 'study.sqlite'}").trials


@pytest.fixture(scope="module")
def done(training_input, tmp_path_factory):
    folder, told = tmp_path_factory.mktemp("search"), []
    return folder, search(training_input, folder, 3, SPACE, seed=1, base=BASE, on_trial=told.append), told


def test_the_best_trial_is_written_as_settings_that_train_to_the_same_ndcg(done, training_input, tmp_path):
    folder, found, _ = done
    config = Config(**json.loads((folder / "best.json").read_text()))
    rows = table(folder)
    best = max(rows, key=lambda row: float(row["val_ndcg"]))
    assert int(best["trial"]) == found["number"]
    assert config == replace(
        BASE, projection_learning_rate=float(best["projection_learning_rate"]), short_share=float(best["short_share"])
    )
    assert 1e-4 <= config.projection_learning_rate <= 1e-2
    summary = train(training_input, tmp_path, config)
    assert summary["best_ndcg"] == pytest.approx(found["ndcg"], abs=1e-12)
    assert load(folder / f"trial-{found['number']:03d}").name == "prototypical"


def test_the_first_trial_has_the_settings_as_they_are_wherever_the_space_holds_them(done, training_input, tmp_path):
    first = table(done[0])[0]
    assert float(first["projection_learning_rate"]) == BASE.projection_learning_rate
    assert first["short_share"] in ("0.0", "0.3")  # 0.1 is no choice: drawn
    told, space = [], {"width": (4, 8, 16), "short_share": Between(0.2, 0.3), "batch_users": (8,), "learner": ("ridge_head",)}
    search(training_input, tmp_path, 2, space, seed=1, base=replace(BASE, steps=2), on_trial=told.append)
    config = told[0].config
    assert (config.width, config.batch_users, config.learner) == (8, 8, "ridge_head")
    assert 0.2 <= config.short_share <= 0.3
    assert [trial.state.name for trial in stored(tmp_path)] == ["COMPLETE"] * 2  # nothing waits


def test_a_search_that_was_killed_before_its_first_trial_begins_with_it_all_the_same(done, training_input, tmp_path):
    study = search_module._open((training_input / "facts.json").read_text(), tmp_path, SPACE, 1, BASE)
    study.enqueue_trial(search_module._start(SPACE, BASE))  # and then it was killed
    search(training_input, tmp_path, 3, SPACE, seed=1, base=BASE)
    assert (tmp_path / "trials.csv").read_bytes() == (done[0] / "trials.csv").read_bytes()


def test_every_look_is_told_and_stored(done):
    folder, _, told = done
    assert [(p.state, p.step) for p in told if p.number == 1][:-1] == [("running", s) for s in (None, 0, 2, 4, 6)]
    assert [p.state for p in told if p.number == 1][-1] == "complete"
    for trial in stored(folder):
        rows = [json.loads(line) for line in (folder / f"trial-{trial.number:03d}" / "metrics.jsonl").read_text().splitlines()]
        assert trial.intermediate_values == {row["step"]: pytest.approx(row["val_ndcg"]) for row in rows}
        assert trial.value == pytest.approx(max(row["val_ndcg"] for row in rows if row["step"] >= 3))


def test_what_was_found_can_be_trained_with_and_what_is_no_setting_is_refused(done, training_input, tmp_path):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    def run(settings, *more):
        arguments = ["--episodes", training_input, "--out", tmp_path / "out", "--settings", settings, *more]
        return CliRunner().invoke(app, ["train", *map(str, arguments)])

    found = json.loads((done[0] / "best.json").read_text())
    assert run(done[0] / "best.json", "--steps", 2).exit_code == 0
    assert read_config(tmp_path / "out")["training"] == {**found, "steps": 2}
    for text, sentence in (('{"speed": 1}', "speed"), ("[1]", "no object"), ("{", "cannot be read")):
        (tmp_path / "bad.json").write_text(text)
        refused = run(tmp_path / "bad.json").exception
        assert isinstance(refused, BadSetting)
        assert sentence in str(refused)
    assert isinstance(run(tmp_path / "none.json").exception, BadSetting)


class Killed(BaseException):
    pass


def test_a_search_that_was_killed_goes_on_as_if_it_had_not_been(done, training_input, tmp_path):
    def kill(progress):
        if progress.number == 1 and progress.step == 2:
            raise Killed

    with pytest.raises(Killed):
        search(training_input, tmp_path, 3, SPACE, seed=1, base=BASE, on_trial=kill)
    told = []
    search(training_input, tmp_path, 3, SPACE, seed=1, base=BASE, on_trial=told.append)
    assert [(p.number, p.step) for p in told if p.state == "running"] == [
        *((1, step) for step in (None, 4, 6)),
        *((2, step) for step in (None, 0, 2, 4, 6)),
    ]
    for name in ("trials.csv", "best.json", "trial-001/model.safetensors"):
        assert (tmp_path / name).read_bytes() == (done[0] / name).read_bytes()


def test_what_ended_is_not_repeated_and_more_trials_can_be_added(done, training_input):
    folder, found, _ = done
    told = []
    assert search(training_input, folder, 3, SPACE, seed=1, base=BASE, on_trial=told.append) == found
    assert not told
    first = table(folder)
    search(training_input, folder, 4, SPACE, seed=1, base=BASE, on_trial=told.append)
    assert {p.number for p in told} == {3}
    assert table(folder)[:3] == first
    assert len({row["projection_learning_rate"] for row in table(folder)}) == 4


def test_another_search_in_the_same_folder_is_refused(done, training_input):
    for change in ({"seed": 2}, {"base": replace(BASE, steps=8)}):
        with pytest.raises(BadSetting, match="holds a search over another input"):
            search(training_input, done[0], 9, SPACE, **{"seed": 1, "base": BASE, **change})


def test_a_hook_prunes_and_a_failed_trial_is_passed_over(training_input, tmp_path):
    def hook(progress):
        if progress.number == 0 and progress.step == 2:
            raise optuna.TrialPruned
        if progress.number == 1 and progress.step == 4:
            raise TrainingFailed("The loss is nan.")
        told.append((progress.number, progress.state, progress.note))

    told = []
    found = search(training_input, tmp_path, 3, SPACE, seed=3, base=BASE, on_trial=hook)
    assert found["number"] == 2
    assert found["states"] == {"complete": 1, "pruned": 1, "failed": 1}
    assert [(row["state"], row["last_step"], row["note"]) for row in table(tmp_path)] == [
        ("pruned", "2", ""),
        ("failed", "4", "The loss is nan."),
        ("complete", "6", ""),
    ]
    assert (0, "pruned", "") in told
    assert (1, "failed", "The loss is nan.") in told
    assert not (tmp_path / "trial-000" / "summary.json").exists()


def test_the_pruner_is_asked_and_without_a_whole_trial_there_is_no_best(training_input, tmp_path):
    never = optuna.pruners.ThresholdPruner(lower=2.0, n_warmup_steps=2)
    with pytest.raises(TrainingFailed, match="2 pruned, 0 failed"):
        search(training_input, tmp_path, 2, SPACE, seed=0, base=BASE, pruner=never)
    assert [sorted(trial.intermediate_values) for trial in stored(tmp_path)] == [[0, 2], [0, 2]]
    assert not (tmp_path / "best.json").exists()


@pytest.mark.parametrize(
    ("earlier", "looks", "pruned"),
    [
        (5, {0: 0.9, 50: 0.29}, True),  # the look before training does not count
        (5, {0: 0.9, 50: 0.31}, False),
        (5, {0: 0.1, 50: 0.31, 75: 0.2}, False),  # the best look from the half on does
        (5, {0: 0.1, 25: 0.2}, False),  # too early
        (4, {0: 0.9, 50: 0.0}, False),  # too few to be measured by
    ],
)
def test_a_trial_below_the_median_from_the_half_on_is_broken_off(earlier, looks, pruned):
    study = optuna.create_study(direction="maximize", pruner=search_module._median(replace(BASE, steps=100)))
    for number in range(earlier):  # the median is 0.3; what they reach after the step in question does not count
        values = {0: 0.95, 50: 0.1 + number / 10, 75: 0.1, 100: 0.99}
        study.add_trial(optuna.trial.create_trial(value=0.99, intermediate_values=values))
    trial = study.ask()
    for step, value in looks.items():
        trial.report(value, step)
    assert trial.should_prune() is pruned


def test_a_diverging_loss_fails_its_trial_alone(training_input, tmp_path):
    space = {"projection_learning_rate": (1e-3, float("inf"))}
    found = search(training_input, tmp_path, 4, space, seed=0, base=BASE)
    rows = table(tmp_path)
    assert {row["state"] for row in rows if row["projection_learning_rate"] == "inf"} == {"failed"}
    assert all("the loss is nan" in row["note"] for row in rows if row["state"] == "failed")
    assert found["config"]["projection_learning_rate"] == 1e-3


def test_the_search_itself_needs_no_mlflow():
    code = "import sys; from recpipe.training import tuning; import optuna; assert not {'mlflow', 'airflow', 'deltalake'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("space", [{"no_such": (1,)}, {"learner": ("crystal_ball",)}, {"learner": ()}])
def test_a_space_that_makes_no_sense_is_refused_before_anything_is_written(training_input, tmp_path, space):
    with pytest.raises(BadSetting):
        search(training_input, tmp_path / "out", 1, space, seed=0, base=BASE)
    assert not (tmp_path / "out").exists()


def test_the_learners_can_be_narrowed():
    assert narrowed(())["learner"][0] == "pair_network"
    assert narrowed(["stack", "maml"])["learner"] == ("stack", "maml")


def test_the_command_logs_a_run_in_which_each_trial_is_a_run(training_input, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app
    from recpipe.config.settings import load_settings
    from recpipe.registry.store import client

    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    out = tmp_path / "out"
    arguments = ["--episodes", training_input, "--out", out, "--learner", "prototypical", "--steps", 2, "--device", "cpu"]
    for trials in (1, 2):
        done = CliRunner().invoke(app, ["search", *map(str, arguments), "--trials", str(trials)], catch_exceptions=False)
        assert done.exit_code == 0
    assert Config(**json.loads((out / "best.json").read_text())).steps == 2

    refused = CliRunner().invoke(app, ["search", *map(str, arguments), "--seed", "1"])
    assert isinstance(refused.exception, BadSetting)

    store = client(load_settings())
    runs = store.search_runs([store.get_experiment_by_name("recpipe").experiment_id])
    parents = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    children = sorted((run for run in runs if run not in parents), key=lambda run: run.data.tags["trial"])
    assert len(parents) == 1
    assert [run.data.tags["mlflow.parentRunId"] for run in children] == [parents[0].info.run_id] * 2
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {file.path for file in store.list_artifacts(parents[0].info.run_id, "search")} == {
        "search/best.json",
        "search/trials.csv",
    }
    for row, child in zip(table(out), children, strict=True):
        assert child.data.params["width"] == row["width"]
        assert set(child.data.params) == set(asdict(BASE))
        assert child.data.metrics["best_val_ndcg"] == pytest.approx(float(row["val_ndcg"]))
        assert [point.step for point in store.get_metric_history(child.info.run_id, "val_ndcg")] == [0, 2]
        assert child.data.tags["state"] == "complete"
