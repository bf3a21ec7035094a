"""What the peers read, tune on and write, by hand; and the environments that they run in."""

import json
import math
import os
import sys
from pathlib import Path

import pandas as pd
import pytest

from recpipe.errors import RecpipeError
from recpipe.experiments.peers import peer_run
from recpipe.experiments.peers.peer_protocol import (
    Log,
    Tuning,
    choose_setting,
    cut_earlier,
    filled,
    ndcg,
    popular,
    quality,
    read_log,
    serve,
)
from recpipe.experiments.peers.peer_run import PEERS, environment, run_peers

DAY = pd.Timedelta(days=1)
START = pd.Timestamp("2011-01-01")


def a_log(rows, days=30, horizon=10, window=10):
    events = pd.DataFrame([(user, item, START + day * DAY) for user, item, day in rows], columns=["user_id", "item_id", "ts"])
    return Log(events, START + days * DAY, horizon * DAY, window * DAY, pd.DataFrame(columns=["k", "user_id"]), [])


def test_the_earlier_cut_takes_users_who_were_new_then():
    old = [("old", "a", 0), ("old", "b", 21), ("old", "c", 29)]
    # two items of one moment: with k = 1 the second is neither wanted nor missed
    new = [("new", "a", 20), ("new", "b", 20), ("new", "a", 21), ("new", "c", 22), ("new", "d", 29.5)]
    tuning = cut_earlier(a_log(old + new))
    assert tuning.cutoff == START + 20 * DAY
    assert tuning.events.user_id.tolist() == ["old"]
    assert tuning.k == [1, 3]
    assert tuning.supports == [["a"], ["a", "b", "c"]]
    assert tuning.wanted == [{"c", "d"}, {"d"}]
    assert tuning.ignored == [{"b"}, set()]


def test_what_comes_after_the_horizon_is_not_wanted():
    tuning = cut_earlier(a_log([("old", "a", 0), ("new", "a", 21), ("new", "b", 24), ("new", "c", 29)], horizon=5, window=10))
    assert tuning.cutoff == START + 25 * DAY  # one horizon before the end
    assert tuning.k == []
    tuning = cut_earlier(a_log([("old", "a", 0), ("new", "a", 25), ("new", "b", 26), ("new", "c", 29.9)], horizon=5, window=5))
    assert tuning.wanted[0] == {"b", "c"}


def test_ndcg_is_that_of_the_protocol():
    assert ndcg(["a", "b", "c"], {"a"}) == 1
    assert ndcg(["x", "a"], {"a"}) == pytest.approx(1 / math.log2(3))
    assert ndcg(["x", "a"], {"a", "b"}) == pytest.approx((1 / math.log2(3)) / (1 + 1 / math.log2(3)))
    assert ndcg([], {"a"}) == 0
    assert ndcg([f"i{n}" for n in range(10)], {f"i{n}" for n in range(30)}) == pytest.approx(1)


def test_quality_weighs_every_k_alike_and_takes_the_ignored_out():
    tuning = Tuning(pd.DataFrame(), START, [1, 1, 3], [[], [], []], [{"a"}, {"a"}, {"a"}], [{"x"}, set(), set()])
    assert quality(tuning, [["x", "a"], ["b"], ["a"]]) == pytest.approx((0.5 + 1) / 2)


def make_of(events, setting):
    """A peer whose setting is what it says to everyone."""
    return lambda supports: [[setting["says"]] for _ in supports]


def test_the_setting_with_the_best_lists_before_the_cutoff_is_chosen_and_the_first_of_equals():
    tuning = cut_earlier(a_log([("old", "a", 0), ("old", "z", 1), ("new", "s", 21), ("new", "b", 22)]))
    settings = [{"says": "a"}, {"says": "b", "name": 1}, {"says": "b", "name": 2}]
    # what is popular before the cut, a and z, follows in every list and is not what came next
    assert choose_setting(tuning, settings, make_of) == (settings[1], 1.0)


def test_a_figure_is_given_only_where_settings_were_compared():
    tuning = cut_earlier(a_log([("old", "a", 0), ("old", "z", 1), ("new", "s", 21), ("new", "b", 22)]))
    assert choose_setting(tuning, [{"says": "b"}], make_of) == ({"says": "b"}, None)
    nobody = cut_earlier(a_log([("old", "a", 0), ("old", "z", 1)]))
    assert choose_setting(nobody, [{"says": "a"}, {"says": "b"}], make_of) == ({"says": "a"}, None)


def test_popular_items_are_those_of_the_last_month_then_of_all_time():
    rows = [
        ("u", item, day)
        for item, day in (("old", 0), ("old", 0), ("old", 1), ("b", 40), ("a", 41), ("c", 42), ("c", 43), ("z", 2))
    ]
    log = a_log(rows, days=50)
    assert popular(log.events, log.cutoff) == ["c", "a", "b", "old", "z"]


def test_lists_are_filled_up_without_the_support_and_without_repeats():
    popularity = [f"p{n}" for n in range(80)]
    out = filled(["x", "p1", "s", "x"], ["s", "p0"], popularity)
    assert out[:4] == ["x", "p1", "p2", "p3"]
    assert len(out) == len(set(out)) == 50
    assert not {"s", "p0"} & set(out)
    assert filled(["x"], ["p0"], ["p0", "p1"]) == ["x", "p1"]


def test_everyone_is_served_and_those_without_support_get_what_is_popular(write_split, tables, tmp_path):
    log = read_log(write_split(tables))
    served = serve(log, lambda supports: [["i069", support[0]] for support in supports], tmp_path / "out" / "peer.parquet")
    recs = pd.read_parquet(tmp_path / "out" / "peer.parquet")
    assert served["lists"] == len(tables["users"])
    counts = recs.groupby(["k", "user_id"]).agg(first=("rank", "min"), last=("rank", "max"), items=("item_id", "nunique"))
    assert len(counts) == len(tables["users"])
    assert (counts == [1, 50, 50]).all(axis=None)
    assert recs.merge(tables["support"], on=["k", "user_id", "item_id"]).empty
    top = recs[recs["rank"] == 1].set_index("k").item_id
    assert set(top[[1, 3]]) == {"i069"}
    assert set(top[[0]]) == {popular(log.events, log.cutoff)[0]}


def test_supports_come_oldest_first(write_split, tables):
    tables["support"] = tables["support"].sort_values("position", ascending=False)
    log = read_log(write_split(tables))
    wanted = tables["support"].sort_values("position").groupby("user_id").item_id.apply(list).to_dict()
    assert log.supports == [wanted.get(user, []) for user in tables["users"].user_id]


def test_unknown_peers_and_wrong_splits_are_refused_before_anything_is_made(tmp_path, write_split, tables):
    with pytest.raises(RecpipeError, match="Peer nonsense is unknown"):
        run_peers(tmp_path, tmp_path / "out", tmp_path / "envs", only=["nonsense"])
    with pytest.raises(RecpipeError, match="is no split of the benchmark"):
        run_peers(tmp_path, tmp_path / "out", tmp_path / "envs")
    assert not (tmp_path / "envs").exists()


def test_requirements_are_pinned_and_shipped():
    for peer in PEERS.values():
        lines = [
            line for line in (peer_run.HERE / peer.requirements).read_text().splitlines() if line and not line.startswith("#")
        ]
        assert lines
        assert all("==" in line for line in lines)
        assert (peer_run.HERE / peer.script).is_file()


def test_a_script_that_fails_is_told_in_a_sentence():
    with pytest.raises(RecpipeError, match=r"The peer x failed: python.* ended with code 3"):
        peer_run._run([sys.executable, "-c", "raise SystemExit(3)"], "The peer x failed")


@pytest.mark.slow
def test_an_environment_is_made_once_and_anew_when_its_requirements_change(tmp_path):
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("# nothing\n")
    python = environment(tmp_path / "envs", "none", requirements)
    assert python.is_file()
    marker = python.parent / "left.txt"
    marker.touch()
    assert environment(tmp_path / "envs", "none", requirements) == python
    assert marker.exists()
    (python.parent.parent / "complete").unlink()  # as if it had been killed half way
    environment(tmp_path / "envs", "none", requirements)
    assert not marker.exists()
    requirements.write_text("# nothing more\n")
    assert environment(tmp_path / "envs", "none", requirements) != python


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PEERS))
def test_a_peer_serves_a_split_in_its_own_environment(name, write_split, tables, tmp_path):
    envs = os.environ.get("PEER_ENVIRONMENTS", "")
    if not envs:
        pytest.skip("PEER_ENVIRONMENTS names no folder for the environments of the peers (some hundred MB are fetched)")
    files = run_peers(write_split(tables), tmp_path / "out", Path(envs), only=[name], quick=True)
    for file in files:
        recs = pd.read_parquet(file)
        assert recs.groupby(["k", "user_id"]).ngroups == len(tables["users"])
        assert not recs.duplicated(["k", "user_id", "item_id"]).any()
        assert recs.merge(tables["support"], on=["k", "user_id", "item_id"]).empty
        kind = tables["support"].assign(kind=tables["support"].item_id.str[1:].astype(int) % 5).groupby("user_id").kind.first()
        top = recs[(recs.k == 3) & (recs["rank"] <= 5)]
        share = (top.item_id.str[1:].astype(int) % 5 == top.user_id.map(kind)).mean()
        assert share > (0.7 if name == "implicit" else 0.0)  # two passes over a tiny log teach a network little
        notes = json.loads(file.with_suffix(".json").read_text())
        assert notes["setting"]
        assert notes["ndcg_before_cutoff"] is None  # of one setting nothing was chosen
