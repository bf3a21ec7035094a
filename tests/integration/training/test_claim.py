"""Runs that were given one folder work one after the other, and whatever says which input a run has is read once."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recpipe.dataset.folder import read_episodes_folder
from recpipe.errors import BadSetting, RecpipeError
from recpipe.files import write_whole
from recpipe.training import loop as train_module
from recpipe.training.config import Config
from recpipe.training.folder_claim import alone
from recpipe.training.loop import train
from recpipe.training.tuning import search

CONFIG = Config(
    learner="prototypical",
    steps=4,
    warmup_steps=1,
    batch_users=16,
    width=8,
    cutoffs=3,
    evaluate_every=2,
    patience=100,
    device="cpu",
)
HOLD = """
import sys
from pathlib import Path
from recpipe.training.folder_claim import alone
with alone(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    return process


@pytest.mark.parametrize("end", ["in peace", "killed"])
def test_who_comes_second_waits_until_the_first_has_ended(tmp_path, end):
    process, said = holder(tmp_path / "out"), []

    def told(text: str) -> None:
        said.append(text)
        if end == "killed":
            process.send_signal(signal.SIGKILL)
        else:
            process.stdin.close()

    with alone(tmp_path / "out", told):
        assert process.wait(timeout=20) == (-signal.SIGKILL if end == "killed" else 0)
    assert said == [f"another run works in {tmp_path / 'out'}: waiting until it has ended"]


def test_a_folder_that_is_free_is_held_without_a_word(tmp_path):
    for _ in range(2):
        with alone(tmp_path / "out", pytest.fail):
            pass


def test_threads_that_write_one_file_leave_a_whole_one(tmp_path):
    texts = [str(number).encode() * 50_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda text: write_whole(tmp_path / "file", text), texts * 5))
    assert (tmp_path / "file").read_bytes() in texts
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.fixture
def own_input(training_input, tmp_path) -> Path:
    return Path(shutil.copytree(training_input, tmp_path / "input"))


def other_seed(folder: Path) -> None:
    """What another export into the same folder leaves."""
    whole = json.loads((folder / "facts.json").read_text())
    whole["facts"]["seed"] += 1
    (folder / "facts.json").write_text(json.dumps(whole))


def test_an_input_that_is_replaced_while_a_run_works_does_not_give_it_its_name(own_input, tmp_path, monkeypatch, capsys):
    look_back, before = train_module.look_back, (own_input / "facts.json").read_text()

    def meanwhile(given):
        other_seed(own_input)
        return look_back(given)

    monkeypatch.setattr(train_module, "look_back", meanwhile)
    train(own_input, tmp_path / "out", CONFIG)
    monkeypatch.setattr(train_module, "look_back", look_back)
    train(own_input, tmp_path / "out", CONFIG)
    assert "the checkpoint is of another input or other settings: starting anew" in capsys.readouterr().out
    (own_input / "facts.json").write_text(before)
    monkeypatch.setattr(train_module, "look_back", meanwhile)
    train(own_input, tmp_path / "first", CONFIG)
    (own_input / "facts.json").write_text(before)
    monkeypatch.setattr(train_module, "look_back", look_back)
    train(own_input, tmp_path / "first", CONFIG)
    assert "going on from step 4" in capsys.readouterr().out


def test_a_search_whose_input_is_replaced_ends_with_a_sentence(own_input, tmp_path, monkeypatch):
    base = CONFIG

    def replaced(progress):
        if progress.state == "complete":
            other_seed(own_input)

    with pytest.raises(BadSetting, match="is another one than when this began"):
        search(own_input, tmp_path / "search", 2, {"width": (8,)}, seed=1, base=base, on_trial=replaced)


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"format": 1, "facts": [], "sha256": {}}', '{"format": 1, "facts": {}}', "\x00"]
)
def test_a_damaged_input_is_named(own_input, text):
    (own_input / "facts.json").write_text(text)
    with pytest.raises(RecpipeError, match=r"facts\.json.*[Ee]xport .*again|format None"):
        read_episodes_folder(own_input)
