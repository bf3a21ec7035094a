"""A job runs in a process of its own: its log is the task's, its failure shows its last lines, and it ends with the task."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout
from kinds_shop import FACTS, shop_of_kinds

from recpipe.airflow.jobs.process_job import JobOperator


def job(code: str, **env: str) -> JobOperator:
    return JobOperator(task_id="job", command=[sys.executable, "-c", code], env=env)


def test_its_lines_stand_in_the_task_log(monkeypatch: pytest.MonkeyPatch) -> None:
    operator = job("import os, sys; print('out', os.environ['SAID']); print('err', file=sys.stderr)", SAID="hello")
    lines: list[str] = []
    monkeypatch.setattr(JobOperator, "log", SimpleNamespace(info=lambda text, *words: lines.append(text % words), warning=print))
    operator.execute({})
    assert lines == ["out hello", "err"]


def test_it_fails_with_its_last_lines() -> None:
    with pytest.raises(AirflowException) as caught:
        job("for i in range(30): print('line', i)\nraise SystemExit(3)").execute({})
    assert not isinstance(caught.value, AirflowFailException), "a crash may be tried again"
    first, *lines = str(caught.value).splitlines()
    assert first.endswith("ended with exit code 3. Its last lines:")
    assert lines == [f"line {i}" for i in range(15, 30)]


def test_a_job_that_ends_well_and_leaves_nothing_has_failed(tmp_path: Path) -> None:
    file = tmp_path / "summary.json"
    with pytest.raises(AirflowException, match=r"ended with exit code 0. But it left no .*summary.json where this worker looks"):
        JobOperator(task_id="job", command=[sys.executable, "-c", "print('done')"], makes=str(file)).execute({})
    code = "import pathlib, sys; pathlib.Path(sys.argv[1]).touch()"
    JobOperator(task_id="job", command=[sys.executable, "-c", code, str(file)], makes=str(file)).execute({})


def test_what_recpipe_refuses_is_not_tried_again() -> None:
    operator = JobOperator(task_id="job", command=["recpipe", "days", "--newest", "none"])
    with pytest.raises(AirflowFailException, match="recpipe ended with exit code 2"):
        operator.execute({})


def test_a_job_may_use_the_threads_that_tasks_may_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    job("import os; assert 'OMP_NUM_THREADS' not in os.environ").execute({})


STUBBORN = """
import subprocess, sys, pathlib, os, time, signal
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
time.sleep(99)
"""

TASK = """
import sys
from recpipe.airflow.jobs.process_job import JobOperator
import signal
operator = JobOperator(task_id="job", command=[sys.executable, "-c", sys.argv[1], sys.argv[2]])
signal.signal(signal.SIGTERM, lambda *_: operator.on_kill())
operator.execute({})
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["the task is killed", "the worker dies of kill -9"])
def test_the_whole_group_ends_with_the_task(tmp_path: Path, number: int) -> None:
    pids = tmp_path / "pids"
    task = subprocess.Popen([sys.executable, "-c", TASK, STUBBORN, str(pids)], stderr=subprocess.PIPE, text=True)
    until = time.monotonic() + 60
    while not pids.exists() or not pids.read_text():
        assert time.monotonic() < until, "the job did not start"
        time.sleep(0.1)
    started = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    time.sleep(0.3)  # until the child ignores SIGTERM
    task.send_signal(number)
    _, left = psutil.wait_procs(started, timeout=20)
    assert not left
    assert task.wait(timeout=20) != 0
    if number == signal.SIGTERM:
        assert "ended with exit code" in task.stderr.read()


def test_the_time_limit_of_the_task_ends_the_job_and_what_it_started(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    operator = JobOperator(task_id="job", command=[sys.executable, "-c", STUBBORN, str(pids)])
    with pytest.raises(AirflowTaskTimeout), timeout(8):  # by then it has written its pids, on a busy machine, too
        operator.execute({})
    started = [psutil.Process(int(pid)) for pid in pids.read_text().split()]
    operator.on_kill()  # as the task runner does
    _, left = psutil.wait_procs(started, timeout=20)
    assert not left


@pytest.fixture(scope="module")
def training_input(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small shop of the tests of learning, as `export` leaves it."""
    from recpipe.dataset.folder import write_episodes_folder

    folder = tmp_path_factory.mktemp("input")
    write_episodes_folder(folder, shop_of_kinds(), FACTS)
    return folder


SMALL = {"steps": 40, "warmup_steps": 5, "batch_users": 16, "width": 8, "cutoffs": 4, "evaluate_every": 5, "patience": 100}


@pytest.mark.slow
def test_a_retry_goes_on_from_the_checkpoint_to_the_same_bytes(
    tmp_path: Path, training_input: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.json").write_text(json.dumps({**SMALL, "device": "cpu"}))

    def train(out: str) -> JobOperator:
        words = ["recpipe", "train", "--episodes", str(training_input), "--out", str(tmp_path / out)]
        return JobOperator(
            task_id="train", command=[*words, "--settings", str(tmp_path / "small.json")], env={"OMP_NUM_THREADS": "1"}
        )

    lines: list[str] = []

    def hear(text: str, *words: object) -> None:
        lines.append(text % words)
        if killed and lines[-1].startswith("step 15 of"):
            for process in psutil.Process().children(recursive=True):
                if "--out" in process.cmdline() and "tether" not in " ".join(process.cmdline()):
                    process.kill()

    monkeypatch.setattr(JobOperator, "log", SimpleNamespace(info=hear, warning=print))
    killed = False
    train("in_one_go").execute({})
    killed = True
    with pytest.raises(AirflowException, match="recpipe ended with exit code 137"):
        train("twice").execute({})
    assert not (tmp_path / "twice" / "config.json").exists()
    killed, lines[:] = False, []
    train("twice").execute({})
    assert any(line.startswith("going on from step ") for line in lines)
    assert not any(line.startswith("step 0 of") for line in lines)
    for name in ("config.json", "model.safetensors", "metrics.jsonl", "summary.json", "checkpoint.safetensors"):
        assert (tmp_path / "twice" / name).read_bytes() == (tmp_path / "in_one_go" / name).read_bytes(), name


def test_what_a_job_leaves_behind_is_ended(tmp_path: Path) -> None:
    pids = tmp_path / "pids"
    code = (
        "import subprocess, sys, pathlib; child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], "
        f"stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL); pathlib.Path({str(pids)!r}).write_text(str(child.pid))"
    )
    job(code).execute({})
    until = time.monotonic() + 5
    while psutil.pid_exists(int(pids.read_text())) and time.monotonic() < until:
        try:
            if psutil.Process(int(pids.read_text())).status() == psutil.STATUS_ZOMBIE:
                return
        except psutil.NoSuchProcess:
            return
        time.sleep(0.1)
    assert not psutil.pid_exists(int(pids.read_text()))


def test_the_command_is_templated() -> None:
    assert "command" in JobOperator.template_fields
