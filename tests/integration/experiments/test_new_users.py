"""The new-user protocol from a split folder to lists: its rules, and that nothing else decides about a list."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recpipe.dataset.folder import read_episodes_folder
from recpipe.errors import BadSetting, RecpipeError
from recpipe.experiments import new_users
from recpipe.experiments.new_users import Task, recommend_new_users, split_facts, training_config
from recpipe.experiments.split import read_split
from recpipe.models.io import read_config

QUICK = {"steps": 20, "width": 8, "cutoffs": 3, "batch_users": 16, "evaluate_every": 10, "device": "cpu"}


@pytest.fixture
def serve(tmp_path, cache, settings):
    """Serve a split folder and return its lists as a frame."""

    def run(split, learner="item_knn", name="recs", **further):
        task = Task(split=split, out=tmp_path / f"{name}.parquet", work=tmp_path / f"work-{name}", learner=learner, cache=cache)
        task = dataclasses.replace(task, training=QUICK, **further)
        summary = recommend_new_users(task, settings)
        assert summary["users"] == len(pd.read_parquet(split / "users.parquet"))
        return pd.read_parquet(task.out)

    return run


def check_rules(recs, tables):
    """The rules of the protocol, counted from the tables."""
    assert list(recs.columns) == ["k", "user_id", "rank", "item_id"]
    served = recs.groupby(["k", "user_id"])
    assert set(served.groups) == set(zip(tables["users"].k, tables["users"].user_id, strict=True))
    assert (served["rank"].apply(list).map(lambda ranks: ranks == list(range(1, 51)))).all()
    assert not recs.duplicated(["k", "user_id", "item_id"]).any()
    assert recs.item_id.isin(tables["items"].item_id).all()
    assert recs.merge(tables["support"], on=["k", "user_id", "item_id"]).empty


@pytest.mark.parametrize("learner", ["popularity", "item_knn", "text_prototype"])
def test_a_closed_form_serves_everyone_by_the_rules(serve, write_split, tables, learner):
    check_rules(serve(write_split(tables), learner), tables)


def only(folder: Path, pattern: str) -> Path:
    (found,) = folder.glob(pattern)
    return found


def test_what_training_makes_serves_everyone_by_the_rules(serve, write_split, tables, tmp_path):
    recs = serve(write_split(tables), "default")
    check_rules(recs, tables)
    config = read_config(only(tmp_path / "work-recs", "model-default-*"))
    assert config["horizon_days"] == 30
    assert config["fitted_until"] == "2011-02-28"
    again = serve(tmp_path / "split", "default", "again")
    pd.testing.assert_frame_equal(recs, again)
    first, second = (tmp_path / f"{name}.parquet" for name in ("recs", "again"))
    assert first.read_bytes() == second.read_bytes()


def test_a_list_follows_the_taste_of_its_support(serve, write_split, tables):
    recs = serve(write_split(tables))
    kind = tables["support"].assign(kind=tables["support"].item_id.str[1:].astype(int) % 5).groupby("user_id").kind.first()
    top = recs[(recs.k == 3) & (recs["rank"] <= 5)]
    assert (top.item_id.str[1:].astype(int) % 5 == top.user_id.map(kind)).mean() > 0.9


@pytest.mark.parametrize("learner", ["item_knn", "default"])
def test_a_list_depends_on_its_own_row_alone(serve, write_split, tables, learner):
    whole = serve(write_split(tables), learner, "whole")
    one = tables["users"][tables["users"].k == 3].user_id.iloc[4]
    alone = {name: rows[rows.user_id == one] if name in ("users", "support") else rows for name, rows in tables.items()}
    mine = serve(write_split(alone, "alone"), learner, "mine")
    pd.testing.assert_frame_equal(whole[whole.user_id == one].reset_index(drop=True), mine)


def test_the_size_of_blocks_changes_no_list(serve, write_split, tables, monkeypatch):
    split = write_split(tables)
    whole = serve(split, name="whole")
    monkeypatch.setattr(new_users, "users_a_block", lambda items: 5)
    pd.testing.assert_frame_equal(whole, serve(split, name="fives"))


def test_the_order_of_rows_changes_no_byte(serve, write_split, tables, tmp_path):
    serve(write_split(tables), name="first")
    shuffled = {name: rows.sample(frac=1, random_state=3) for name, rows in tables.items()}
    serve(write_split(shuffled, "shuffled"), name="second")
    assert (tmp_path / "first.parquet").read_bytes() == (tmp_path / "second.parquet").read_bytes()


def test_the_truth_is_never_opened(serve, write_split, tables):
    split = write_split(tables)
    truth = split / "truth"
    truth.mkdir()
    (truth / "query.parquet").write_text("no table at all")
    truth.chmod(0)
    try:
        check_rules(serve(split), tables)
    finally:
        truth.chmod(0o700)


def test_unsold_items_can_be_recommended(serve, write_split, tables):
    recs = serve(write_split(tables), "text_prototype")
    unsold = set(tables["items"].item_id) - set(tables["events"].item_id)
    assert unsold & set(recs[recs["rank"] <= 20].item_id)


def test_what_is_withheld_is_told_to_training(serve, write_split, tables, tmp_path):
    serve(write_split(tables), "default", withhold=("age",))
    _, facts = read_episodes_folder(only(tmp_path / "work-recs", "episodes-default-without-age-*"))
    assert facts["withhold"] == ["age", "sales"]
    assert facts["window_days"] == 60


def test_a_closed_form_that_cannot_do_without_says_so(serve, write_split, tables):
    with pytest.raises(BadSetting, match="'popularity' cannot do without age and sales"):
        serve(write_split(tables), "popularity", withhold=("age",))


def test_the_horizon_fits_into_the_log(write_split, tables, settings):
    tables["meta"]["horizon_days"] = 10_000
    split = read_split(write_split(tables))
    reach = (pd.Timestamp("2011-03-01") - tables["events"].ts.min()) / pd.Timedelta(days=1)
    assert split_facts(split, settings, "x", ())["horizon_days"] == int(reach // 2)


def test_wrong_words_are_refused(serve, write_split, tables, tmp_path):
    split = write_split(tables)
    with pytest.raises(BadSetting, match="--withhold colour is unknown"):
        serve(split, withhold=("colour",))
    with pytest.raises(RecpipeError, match="nonsense"):
        serve(split, "nonsense")
    with pytest.raises(BadSetting, match="is a folder"):
        serve(split, out=tmp_path)
    with pytest.raises(BadSetting, match="no setting speed"):
        training_config("default", {"speed": 3})


def spoil(tables, table, change):
    return {**tables, table: change(tables[table])}


REFUSALS = [
    ("items", lambda t: t.drop(columns="item_id"), "lacks the columns item_id; it has title"),
    ("users", lambda t: t.drop(columns="t0"), "lacks the columns t0"),
    ("events", lambda t: t.iloc[:0], "holds no event"),
    ("events", lambda t: t.assign(ts=t.ts + pd.Timedelta(days=30)), "events are at or after the cutoff 2011-03-01"),
    ("events", lambda t: t.assign(ts=pd.NaT).astype({"ts": "datetime64[us]"}), "column 'ts' is empty in"),
    ("items", lambda t: pd.concat([t, t[:1]]), "more than once .one has item_id i000"),
    ("users", lambda t: pd.concat([t, t[:1]]), "1 combinations of k, user_id stand there more than once .one has k 0"),
    ("users", lambda t: t[1:].assign(k=t.k.replace(1, 5)), "belong to a .k, user_id. that users.parquet does not hold"),
    ("support", lambda t: pd.concat([t, t[:1]]), "combinations of k, user_id, item_id"),
    ("support", lambda t: t.assign(item_id="nowhere").drop_duplicates(["k", "user_id"]), "such as 'nowhere'"),
    ("support", lambda t: t.assign(ts=t.ts + pd.Timedelta(days=1)), "later than the instant t0"),
    ("support", lambda t: t[1:], "another number of support rows than their k says; the first has k = 1 and 0 rows"),
    ("meta", lambda t: t.assign(cutoff="soon"), "holds no date"),
    ("meta", lambda t: t.assign(horizon_days=-1), "horizon_days is -1"),
]


@pytest.mark.parametrize(("table", "change", "sentence"), REFUSALS, ids=[sentence[:30] for _, _, sentence in REFUSALS])
def test_a_wrong_split_is_refused_in_a_sentence(write_split, tables, table, change, sentence):
    with pytest.raises(RecpipeError, match=sentence) as refusal:
        read_split(write_split(spoil(tables, table, change)))
    assert f"{table}.parquet" in str(refusal.value)
    assert not any(user in str(refusal.value) for user in tables["users"].user_id)


def test_a_folder_that_is_no_split_is_refused(tmp_path):
    with pytest.raises(RecpipeError, match="is no split of the benchmark: meta"):
        read_split(tmp_path)


def test_ids_may_be_numbers_and_types_categories(write_split, tables):
    numbered = {**tables}
    for name in ("events", "items", "support"):
        numbered[name] = tables[name].assign(item_id=tables[name].item_id.str[1:].astype(int))
    numbered["events"] = numbered["events"].astype({"event_type": "category", "user_id": "category"})
    split = read_split(write_split(numbered))
    assert set(split.support["item_id"].to_pylist()) <= set(split.items["item_id"].to_pylist())
    assert np.array_equal(np.unique(split.events["event_type"].to_numpy()), ["purchase"])


@pytest.mark.slow
def test_the_command_takes_the_whole_way_with_the_encoder(write_split, tables, tmp_path, monkeypatch):
    from typer.testing import CliRunner

    from recpipe.cli.command import app

    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    told = ["--split", str(write_split(tables)), "--out", str(tmp_path / "recs.parquet"), "--learner", "text_prototype"]
    found = CliRunner().invoke(app, ["benchmark", "new-users", *told])
    assert found.exit_code == 0, found.output
    assert "users/s" in found.output
    check_rules(pd.read_parquet(tmp_path / "recs.parquet"), tables)


AT_ONCE = """
import json, sys
from pathlib import Path
from recpipe.experiments.new_users import Task, recommend_new_users
from recpipe.config import load_settings
home, split, out, work, cache = map(Path, sys.argv[1:6])
task = Task(split=split, out=out, work=work, learner="prototypical", cache=cache, training=json.loads(sys.argv[6]))
recommend_new_users(task, load_settings(home=home))
"""


@pytest.mark.slow
def test_two_runs_at_once_on_splits_of_one_name_do_not_meet(serve, write_split, tables, tmp_path, settings, cache):
    other = {**tables, "events": tables["events"].iloc[::2].reset_index(drop=True)}
    splits = []
    for name, shop in (("a", tables), ("b", other)):
        (tmp_path / name).mkdir()
        splits.append(write_split(shop, f"{name}/split"))
    runs = []
    for number, split in enumerate(splits):
        told = [settings.places.home, split, tmp_path / f"at-once-{number}.parquet", tmp_path / "work", cache, json.dumps(QUICK)]
        runs.append(subprocess.Popen([sys.executable, "-c", AT_ONCE, *map(str, told)]))
    assert [run.wait(timeout=200) for run in runs] == [0, 0]
    lone = [serve(split, "prototypical", f"lone-{number}") for number, split in enumerate(splits)]
    for number, recs in enumerate(lone):
        pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / f"at-once-{number}.parquet"), recs)
    assert not lone[0].equals(lone[1])


def test_a_run_with_other_settings_has_a_folder_of_its_own(serve, write_split, tables, tmp_path, cache):
    split = write_split(tables)
    for learner in ("item_knn", "popularity"):
        serve(split, learner)
    serve(split, "item_knn")
    assert len(list((tmp_path / "work-recs").glob("model-item_knn-*"))) == 1
    assert len(list((tmp_path / "work-recs").glob("model-*"))) == 2
