"""Promises of the registry, on a real MLflow store in SQLite."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict
from datetime import date, timedelta
from pathlib import Path

import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting, MissingModel
from recpipe.models.io import load
from recpipe.models.item_knn import ItemKNN
from recpipe.promotion.gate import promote
from recpipe.promotion.register import ensure_first_champion, register
from recpipe.promotion.withdraw import withdraw
from recpipe.registry.serving import fetch, resolve
from recpipe.registry.store import client

WEEK, FITTED = date(2026, 3, 15), date(2026, 3, 8)
NEXT = WEEK + timedelta(days=1)


def version(settings, number):
    return client(settings).get_model_version("recpipe", number)


def aliases(settings):
    found = client(settings).get_registered_model("recpipe").aliases
    return {name: str(number) for name, number in found.items()}


def another_process(code: str, settings, *more: str) -> subprocess.CompletedProcess[str]:
    """Run code with the home's path and more as arguments."""
    head = "import sys; from datetime import date; from pathlib import Path\nfrom recpipe.config import load_settings\n"
    head += "settings = load_settings(home=Path(sys.argv[1]), bootstrap_draws=500, top_k=10)\n"
    return subprocess.run(
        [sys.executable, "-c", head + code, str(settings.places.home), *more], capture_output=True, text=True, check=False
    )


# --- a week


def test_the_first_night_has_no_model(settings):
    with pytest.raises(MissingModel, match=r"No promoted version of model recpipe .* before 2026-03-16: run the DAG"):
        resolve(settings, NEXT)


def test_a_week_goes_from_the_folder_to_the_night(settings, popular, neighbours):
    first = ensure_first_champion(settings, WEEK, popular)
    assert (first.version, first.promoted) == ("1", True)
    candidate = register(settings, neighbours, WEEK)
    assert aliases(settings) == {"candidate": "2", "champion": "1"}
    decision = promote(settings, candidate, WEEK)
    assert decision.promoted
    assert (decision.champion, decision.first_day, decision.day, decision.users) == ("1", "2026-03-09", "2026-03-15", 40)
    assert aliases(settings) == {"candidate": "2", "champion": "2"}
    assert resolve(settings, NEXT) == "2"
    assert load(Path(fetch(settings, "2"))).name == "item_knn"
    assert json.loads(version(settings, "2").tags["decision"]) == asdict(decision)
    files = {file.path for file in client(settings).list_artifacts(version(settings, "2").run_id)}
    assert {"decision.json", "plots", "training"} <= files


def test_the_commands_register_promote_and_list(settings, popular, neighbours, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    for name, value in {"HOME": settings.places.home, "TOP_K": 10, "BOOTSTRAP_DRAWS": 500}.items():
        monkeypatch.setenv(f"RECPIPE_{name}", str(value))

    def said(*words: str) -> str:
        done = CliRunner().invoke(app, list(words), catch_exceptions=False)
        assert done.exit_code == 0
        return done.output

    assert said("models").startswith("No version is registered yet")
    Path(popular).rename(Path(neighbours) / "closed_form")  # as training leaves it
    assert said("register", neighbours, "--day", "2026-03-15") == "version 2\n"
    assert said("promote", "2", "--day", "2026-03-15").startswith("version 2 is promoted: The lower end of the paired")
    lines = said("models").splitlines()
    assert lines[0] == "version 2  item_knn  trained until 2026-03-15, fitted until 2026-03-08  candidate, champion"
    assert lines[1].startswith("    promoted on 2026-03-15. The lower end")
    assert lines[2] == "version 1  popularity  trained until 2026-03-15, fitted until 2026-03-08"
    assert said("withdraw", "2", "--reason", "too dull").splitlines() == [
        "version 2 is withdrawn; version 1 is the champion",
        "A published day keeps its version: to make one anew, run `recpipe recommend --day DAY --model-version 1`.",
    ]
    assert said("models").splitlines()[1] == "    not promoted. Withdrawn from 2026-03-15: too dull"


def test_the_model_of_a_day_was_trained_on_days_before_it(settings, popular):
    ensure_first_champion(settings, WEEK, popular)
    with pytest.raises(MissingModel):
        resolve(settings, WEEK)
    assert resolve(settings, NEXT) == "1"


def test_a_first_champion_is_made_once(settings, popular, neighbours):
    assert ensure_first_champion(settings, WEEK, popular) is not None
    assert ensure_first_champion(settings, WEEK, neighbours) is None
    assert aliases(settings) == {"candidate": "1", "champion": "1"}


# --- a promotion taken back


def test_a_withdrawn_version_serves_no_night_and_is_not_promoted_again(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    assert promote(settings, candidate, WEEK).promoted
    assert withdraw(settings, candidate, "it shows nothing but cups") == "1"
    assert resolve(settings, NEXT) == "1"
    assert aliases(settings) == {"candidate": "2", "champion": "1"}
    tags = version(settings, candidate).tags
    assert "promoted_on" not in tags
    assert (tags["withdrawn_from"], tags["withdrawn_reason"]) == ("2026-03-15", "it shows nothing but cups")
    again = promote(settings, candidate, WEEK)  # as a cleared task does
    assert (again.promoted, again.reason) == (False, "It was withdrawn: it shows nothing but cups")
    assert resolve(settings, NEXT) == "1"
    assert withdraw(settings, candidate, "again") == "1"


def test_what_cannot_be_withdrawn_is_said(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    with pytest.raises(BadSetting, match="Version 1 is the only promoted one"):
        withdraw(settings, "1", "bad")
    with pytest.raises(BadSetting, match="Version 2 is not promoted"):
        withdraw(settings, candidate, "bad")
    with pytest.raises(BadSetting, match="without a reason"):
        withdraw(settings, "1", " ")
    with pytest.raises(MissingModel, match="has no version 7"):
        withdraw(settings, "7", "bad")


def test_killed_in_a_withdrawal_then_again_is_withdrawn(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    promote(settings, candidate, WEEK)
    code = "import os\nfrom recpipe.promotion.withdraw import withdraw as take_back\nimport recpipe.registry.store as store\n"
    code += "store.client(settings)\nimport mlflow\n"
    code += "mlflow.MlflowClient.delete_model_version_tag = lambda *args, **kwargs: os._exit(9)\ntake_back(settings, '2', 'bad')"
    assert another_process(code, settings).returncode == 9
    assert resolve(settings, NEXT) == "1"
    withdraw(settings, candidate, "bad")
    assert "promoted_on" not in version(settings, candidate).tags
    assert aliases(settings)["champion"] == "1"


# --- what is registered


def test_the_same_folder_is_registered_once(settings, neighbours):
    assert register(settings, neighbours, WEEK) == register(settings, neighbours, WEEK) == "1"
    runs = client(settings).search_runs([version_run(settings).info.experiment_id])
    assert len(runs) == 1


def version_run(settings):
    return client(settings).get_run(version(settings, "1").run_id)


def test_a_run_holds_parameters_curves_pictures_and_tables(settings, neighbours):
    folder = Path(neighbours)
    lines = [{"step": step, "loss": 1 / (step + 1), "valid": {"ndcg@10": 0.1 * step}} for step in range(3)]
    cut_off = '{"step": 3, "lo'
    (folder / "metrics.jsonl").write_text("\n".join(json.dumps(line) for line in lines) + "\n" + cut_off)
    (folder / "summary.json").write_text(json.dumps({"best_step": 2, "baselines": {"popularity": {"ndcg@10": 0.05}}}))
    (folder / "plots").mkdir()
    (folder / "plots" / "loss.png").write_bytes(b"a picture")
    register(settings, neighbours, WEEK)
    run, store = version_run(settings), client(settings)
    assert run.info.status == "FINISHED"
    assert run.data.params["learner"] == "item_knn"
    assert run.data.params["parameters.neighbours"] == str(ItemKNN().neighbours)
    assert [(m.step, m.value) for m in store.get_metric_history(run.info.run_id, "valid.ndcg_at_10")] == [
        (0, 0.0),
        (1, 0.1),
        (2, 0.2),
    ]
    assert run.data.metrics["summary.baselines.popularity.ndcg_at_10"] == 0.05
    assert [file.path for file in store.list_artifacts(run.info.run_id, "plots")] == ["plots/loss.png"]
    (table,) = run.inputs.dataset_inputs
    assert (table.dataset.name, table.dataset.digest, json.loads(table.dataset.source)["delta_table_version"]) == (
        "events",
        "v1",
        1,
    )
    tags = version(settings, "1").tags
    assert (tags["trained_until"], tags["fitted_until"], tags["learner"]) == ("2026-03-15", "2026-03-08", "item_knn")


def test_the_first_champion_has_the_numbers_and_pictures_of_its_training(settings, popular, neighbours):
    parent = Path(neighbours)
    Path(popular).rename(parent / "closed_form")
    quality = {"popularity": {"ndcg@10": {"all": {"mean": 0.05}}}, "prototypical": {"ndcg@10": {"all": {"mean": 0.09}}}}
    (parent / "summary.json").write_text(json.dumps({"best_step": 2, "quality": quality}))
    (parent / "plots").mkdir()
    (parent / "plots" / "by_k.png").write_bytes(b"a picture")
    register(settings, neighbours, WEEK)
    run = version_run(settings)
    assert run.data.metrics == {"summary.quality.popularity.ndcg_at_10.all.mean": 0.05}
    assert run.data.tags["trained_until"] == "2026-03-15"
    assert [file.path for file in client(settings).list_artifacts(run.info.run_id, "plots")] == ["plots/by_k.png"]


def test_the_gates_numbers_are_metrics_of_the_candidates_run(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    decision = promote(settings, register(settings, neighbours, WEEK), WEEK)
    metrics = client(settings).get_run(version(settings, "2").run_id).data.metrics
    names = ("candidate_value", "champion_value", "relative_gain", "low", "high", "users")
    assert {name: metrics[f"gate.{name}"] for name in names} == {name: getattr(decision, name) for name in names}


def test_no_pickle_is_registered(settings, neighbours):
    register(settings, neighbours, WEEK)
    files = [path for path in (settings.places.home / "mlflow" / "artifacts").rglob("*") if path.is_file()]
    assert {"MLmodel", "model.safetensors", "model_code.py", "items.json"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".pt", ".bin")]
    # protocol 2 and later begin with these bytes and end with a stop
    assert not [path for path in files if (data := path.read_bytes())[:1] == b"\x80" and data[-1:] == b"."]


PREDICT = """
import json, socket
def refuse(*args, **kwargs): raise OSError("the network was asked")
socket.socket.connect = refuse
from recpipe.registry.store import client
client(settings)
import mlflow, pandas as pd
model = mlflow.pyfunc.load_model("models:/recpipe/1")
frame = pd.DataFrame({"item_ids": [["i00", "i01"], [], ["nobody knows it"]]})
found = model.predict(frame, params={"k": 4})
print(json.dumps([list(found["item_ids"]), [len(s) for s in found["scores"]]]))
"""


def test_a_registered_model_predicts_without_pickle_and_network(settings, neighbours):
    register(settings, neighbours, WEEK)
    done = another_process(PREDICT, settings)
    assert done.returncode == 0, done.stderr
    (some, nothing, unknown), counts = json.loads(done.stdout.splitlines()[-1])
    assert counts == [4, 4, 4]
    assert {item[:2] for item in some} == {"i0"}  # the same kind of cups
    assert not {"i00", "i01"} & set(some)
    assert nothing == unknown


def test_a_folder_without_weights_is_refused(settings, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MissingModel, match=r"holds no config.json, so it is no model folder"):
        register(settings, str(tmp_path / "empty"), WEEK)


# --- fetching


def test_a_damaged_folder_is_fetched_again(settings, neighbours):
    place = Path(fetch(settings, register(settings, neighbours, WEEK)))
    wanted = (place / "config.json").read_bytes()
    (place / "config.json").write_bytes(wanted[:-3])
    assert Path(fetch(settings, "1")) == place
    assert (place / "config.json").read_bytes() == wanted
    assert sorted(path.name for path in place.parent.iterdir()) == ["1"]


def test_a_folder_that_holds_another_model_is_fetched_again(settings, popular, neighbours):
    """Its config.json fits its weights, as anybody who may write there can make it: the registry alone says what was registered."""
    place = Path(fetch(settings, register(settings, neighbours, WEEK)))
    for name in ("config.json", "model.safetensors"):
        shutil.copy2(Path(popular) / name, place / name)
    assert load(place).name == "popularity"
    assert load(Path(fetch(settings, "1"))).name == "item_knn"


def edit(file: Path) -> None:
    file.write_text(file.read_text().replace("item_knn", "popularity"))


def flip_a_bit(file: Path) -> None:
    weights = file.with_name("model.safetensors")
    weights.write_bytes(bytes([weights.read_bytes()[0] ^ 1]) + weights.read_bytes()[1:])


@pytest.mark.parametrize("change", [edit, flip_a_bit])
def test_files_that_changed_in_the_store_are_refused(settings, neighbours, change):
    register(settings, neighbours, WEEK)
    (stored,) = (settings.places.home / "mlflow").rglob("artifacts/model/config.json")
    change(stored)
    with pytest.raises(MissingModel, match=r"version 1 are not those that were registered .*Restore them in MLflow's store"):
        fetch(settings, "1")
    assert not (settings.places.work / "models" / "1").exists()


def test_what_else_lies_in_the_store_is_not_fetched(settings, neighbours):
    register(settings, neighbours, WEEK)
    (stored,) = (settings.places.home / "mlflow").rglob("artifacts/model/config.json")
    stored.with_name("python_model.pkl").write_bytes(b"cos\nsystem\n")
    assert sorted(path.name for path in Path(fetch(settings, "1")).iterdir()) == ["config.json", "model.safetensors"]


def test_a_folder_of_a_registry_thrown_away_is_not_used(settings, popular, neighbours, filled_home):
    fetch(settings, register(settings, popular, WEEK))
    database = settings.places.home / "mlflow" / "mlflow.db"
    fresh = load_settings(home=settings.places.home, mlflow_uri=f"sqlite:///{database.with_name('new.db')}")
    database.with_name("new.db").write_bytes((filled_home / "mlflow" / "mlflow.db").read_bytes())
    assert register(fresh, neighbours, WEEK) == "1"
    assert load(Path(fetch(fresh, "1"))).name == "item_knn"


# --- killed, and several at once

KILLED = """
import os, signal
from recpipe.promotion import gate
from recpipe.registry import registration as models, versions
def die(*args, **kwargs): os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_before_the_version_then_again_is_one_version(settings, neighbours):
    code = KILLED + "models._add_version = die\nmodels.register_folder(settings, sys.argv[2], date(2026, 3, 15))"
    assert another_process(code, settings, neighbours).returncode == -9
    assert register(settings, neighbours, WEEK) == "1"
    store = client(settings)
    runs = store.search_runs([version_run(settings).info.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "FINISHED"]
    assert len(store.search_model_versions("name='recpipe'")) == 1


def test_killed_while_logging_leaves_no_open_run(settings, neighbours):
    code = KILLED + "models._log_model = die\nmodels.register_folder(settings, sys.argv[2], date(2026, 3, 15))"
    assert another_process(code, settings, neighbours).returncode == -9
    assert register(settings, neighbours, WEEK) == "1"
    runs = client(settings).search_runs([version_run(settings).info.experiment_id])
    assert sorted(run.info.status for run in runs) == ["FINISHED", "KILLED"]


def test_killed_between_decision_and_alias_then_again_is_promoted(settings, popular, neighbours):
    ensure_first_champion(settings, WEEK, popular)
    candidate = register(settings, neighbours, WEEK)
    code = KILLED + "gate.point_alias = die\ngate.promote(settings, sys.argv[2], date(2026, 3, 15))"
    assert another_process(code, settings, candidate).returncode == -9
    assert aliases(settings)["champion"] == "1"
    assert promote(settings, candidate, WEEK).promoted
    assert aliases(settings)["champion"] == candidate
    assert resolve(settings, NEXT) == candidate


@pytest.mark.slow
def test_nights_resolve_while_a_week_is_registered(settings, popular, neighbours, model_folder):
    ensure_first_champion(settings, WEEK, popular)
    code = "\n".join(
        [
            "from recpipe.registry.serving import resolve, fetch",
            "for _ in range(15):",
            "    version = resolve(settings, date(2026, 3, 16)); fetch(settings, version); print(version)",
        ]
    )
    head = "import sys; from datetime import date; from pathlib import Path\nfrom recpipe.config import load_settings\n"
    head += "settings = load_settings(home=Path(sys.argv[1]))\n"
    nights = [
        subprocess.Popen(
            [sys.executable, "-c", head + code, str(settings.places.home)], stdout=subprocess.PIPE, text=True, env={**os.environ}
        )
        for _ in range(2)
    ]
    candidate = register(settings, neighbours, WEEK)
    promote(settings, candidate, WEEK)
    for night in nights:
        printed, _ = night.communicate(timeout=200)
        assert night.returncode == 0
        assert set(printed.split()) <= {"1", "2"}
