"""A job on the Celery queue of the GPU: its log, and its end with the task, whether that is killed, out of time or without a worker."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
from kinds_shop import FACTS, shop_of_kinds

pytest.importorskip("airflow.providers.celery", reason="needs the Celery provider: make test-services installs it")

from cluster import Cluster
from programs import runs, wait_until

pytestmark = pytest.mark.timeout(1800)  # the first test waits for the services, too

SMALL = {
    "steps": 300, "warmup_steps": 5, "batch_users": 16, "width": 8, "cutoffs": 4, "evaluate_every": 5, "patience": 1000, "device": "cpu",
}  # fmt: skip
WITH_CHILD = """
import os, pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(300)"])
pathlib.Path(sys.argv[1]).write_text(f"{os.getpid()} {child.pid}")
print("up", flush=True)
time.sleep(300)
"""


def trigger(cluster: Cluster, dag: str, run: str, **conf: str) -> None:
    cluster.run("airflow", "dags", "trigger", dag, "--run-id", run, "--conf", json.dumps(conf))


def task(cluster: Cluster, run: str) -> tuple[str, int, str]:
    """State, try and queue of the job of a run."""
    ((state, number, queue),) = cluster.query("SELECT state, try_number, queue FROM task_instance WHERE run_id = %s", run) or [
        ("", 0, "")
    ]
    return str(state), int(number or 0), str(queue)


def log(cluster: Cluster, dag: str, run: str, number: int) -> str:
    """The log of a try as the page has it: messages, and with them the errors."""
    path = f"/api/v2/dags/{dag}/dagRuns/{run}/taskInstances/job/logs/{number}"
    lines = cluster.api(path, cluster.token())["content"]
    return "\n".join(json.dumps(line) for line in lines)


def jobs_of(out: Path) -> list[psutil.Process]:
    """The processes of the job that writes there."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(out) in process.cmdline() and runs(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The small shop of the tests of learning, and the settings of a training of some seconds."""
    from recpipe.dataset.folder import write_episodes_folder

    folder = tmp_path_factory.mktemp("training")
    write_episodes_folder(folder / "input", shop_of_kinds(), FACTS)
    (folder / "settings.json").write_text(json.dumps(SMALL))
    return {"episodes": str(folder / "input"), "settings": str(folder / "settings.json")}


def test_a_worker_that_dies_takes_the_job_along_and_the_retry_goes_on_to_the_same_bytes(
    airflow_cluster: Cluster, training: dict[str, str], tmp_path: Path
) -> None:
    alone, out = tmp_path / "alone", tmp_path / "twice"
    options = ["--episodes", training["episodes"], "--settings", training["settings"]]
    airflow_cluster.run("env", "OMP_NUM_THREADS=1", "recpipe", "train", *options, "--out", str(alone))

    trigger(airflow_cluster, "celery_train", "killed", out=str(out), **training)
    checkpoint = out / "checkpoint.safetensors"
    wait_until("a checkpoint", checkpoint.exists, seconds=400)
    first = checkpoint.stat().st_mtime_ns  # of step 0: going on from it would show nothing
    wait_until("a further one", lambda: checkpoint.stat().st_mtime_ns > first, seconds=100)
    at_work = jobs_of(out)
    worker = [one for one in airflow_cluster.programs["worker-gpu"].members() if one not in at_work]
    assert at_work
    for one in worker:
        one.kill()
    wait_until("the job ends with its worker", lambda: not any(runs(one) for one in at_work), seconds=60)
    assert not (out / "config.json").exists(), "it was done before the worker died"

    wait_until("the second try is done", lambda: task(airflow_cluster, "killed")[0] in ("success", "failed"), seconds=400)
    assert task(airflow_cluster, "killed") == ("success", 2, "gpu")
    said = log(airflow_cluster, "celery_train", "killed", 2)
    assert re.search(r"going on from step [1-9]", said)
    assert "step 0 of" not in said
    assert "step 300 of" in said
    for name in ("config.json", "model.safetensors", "metrics.jsonl", "summary.json"):
        assert (out / name).read_bytes() == (alone / name).read_bytes(), name


def started(cluster: Cluster, dag: str, run: str, out: Path) -> list[psutil.Process]:
    """Trigger a run whose job has a child that ignores SIGTERM, and return both."""
    trigger(cluster, dag, run, code=WITH_CHILD, out=str(out))
    wait_until("the job is up", lambda: out.exists() and " " in out.read_text(), seconds=400)
    return [psutil.Process(int(number)) for number in out.read_text().split()]


def test_a_task_that_a_person_marks_failed_ends_its_job(airflow_cluster: Cluster, tmp_path: Path) -> None:
    processes = started(airflow_cluster, "celery_code", "marked", tmp_path / "pids")
    path = "/api/v2/dags/celery_code/dagRuns/marked/taskInstances/job"
    patch(airflow_cluster, path, {"new_state": "failed"})
    wait_until("the job ends with its task", lambda: not any(runs(one) for one in processes))
    assert task(airflow_cluster, "marked")[:2] == ("failed", 1)


def patch(cluster: Cluster, path: str, body: dict[str, Any]) -> None:
    answer = requests.patch(cluster.url + path, json=body, headers={"Authorization": f"Bearer {cluster.token()}"}, timeout=60)
    assert answer.status_code == 200, answer.text


def test_a_task_out_of_time_ends_its_job(airflow_cluster: Cluster, tmp_path: Path) -> None:
    processes = started(airflow_cluster, "celery_limited", "late", tmp_path / "pids")
    wait_until("it is out of time", lambda: task(airflow_cluster, "late")[0] == "failed", seconds=400)
    wait_until("the job ends with its task", lambda: not any(runs(one) for one in processes), seconds=60)
    assert "Timeout" in log(airflow_cluster, "celery_limited", "late", 1)


@pytest.mark.parametrize(("code", "tries"), [(2, 1), (3, 3)], ids=["a refusal", "a crash"])
def test_a_refusal_is_not_tried_again_and_a_crash_is(airflow_cluster: Cluster, code: int, tries: int) -> None:
    run = f"ends_with_{code}"
    trigger(airflow_cluster, "celery_code", run, code=f"print('said before the end'); raise SystemExit({code})")
    wait_until("it is given up", lambda: task(airflow_cluster, run)[0] == "failed", seconds=400)
    assert task(airflow_cluster, run) == ("failed", tries, "gpu")
    said = log(airflow_cluster, "celery_code", run, 1)
    assert f"ended with exit code {code}. Its last lines:" in said
    assert said.count("said before the end") >= 1
