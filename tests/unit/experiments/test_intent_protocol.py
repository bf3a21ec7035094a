"""Promises of the intents' protocol on messages made by hand, without an encoder."""

import pandas as pd
import pytest

from recpipe.errors import BadSetting
from recpipe.experiments import intent_protocol
from recpipe.experiments.intent_protocol import PUBLISHED, Way, run, supports


def messages(intents=("lost card", "open hours"), train=6):
    rows = [("train", f"{intent} please {n}", intent) for intent in intents for n in range(train)]
    rows += [("train_2", f"{intent} please {n}", intent) for intent in intents for n in range(2)]
    rows += [("test", f"my {intent}", intent) for intent in intents]
    return pd.DataFrame(rows, columns=["split", "text", "intent"])


def test_each_draw_has_so_many_messages_of_every_intent_and_the_same_seed_the_same_ones():
    table = messages()
    found = dict(supports(table, 2, 3, 0))
    assert list(found) == [PUBLISHED, "0", "1", "2"]
    assert all(part["intent"].value_counts().tolist() == [2, 2] for part in found.values())
    assert all((found[name]["split"] == "train").all() for name in "012")
    assert len({tuple(part["text"]) for part in found.values()}) > 1
    pd.testing.assert_frame_equal(dict(supports(table, 2, 3, 0))["1"], found["1"])
    assert list(dict(supports(table, 3, 1, 0))) == ["0"]  # nobody published one of three


def test_answers_stand_in_the_order_of_the_test_and_its_intents_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(intent_protocol, "load_encoder", lambda folder, cache=None: type("None_", (), {"encode": None}))
    table = messages()
    for name, kept in (("a", table), ("b", table.assign(intent=table["intent"].where(table["split"] != "test", "hidden")))):
        kept.to_csv(tmp_path / f"{name}.csv", index=False)
        run(tmp_path / f"{name}.csv", tmp_path / f"{name}-out.csv", [2], 1, Way())
    assert (tmp_path / "a-out.csv").read_bytes() == (tmp_path / "b-out.csv").read_bytes()
    out = pd.read_csv(tmp_path / "a-out.csv")
    assert list(out.columns) == ["shots", "draw", "row", "text", "intent", "confidence"]
    assert out["draw"].astype(str).tolist() == [PUBLISHED] * 2 + ["0"] * 2
    assert out["intent"].tolist() == ["lost card", "open hours"] * 2


def test_what_is_wrong_is_said(tmp_path):
    messages(train=1).to_csv(tmp_path / "few.csv", index=False)
    messages().query("split != 'test'").to_csv(tmp_path / "blind.csv", index=False)
    with pytest.raises(BadSetting, match="has 1 messages in train; 3"):
        run(tmp_path / "few.csv", tmp_path / "o.csv", [3], 1, Way())
    with pytest.raises(BadSetting, match="no rows of split 'test'"):
        run(tmp_path / "blind.csv", tmp_path / "o.csv", [2], 1, Way())
    with pytest.raises(BadSetting, match="no adaptation 'full'"):
        run(tmp_path / "few.csv", tmp_path / "o.csv", [2], 1, Way(adapt="full"))
