"""What would be submitted to Docker and to Kubernetes, written down by hand; and which task a declaration becomes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from recpipe.airflow.jobs.failure import failed
from recpipe.airflow.jobs.job_operator import job, processes
from recpipe.airflow.jobs.process_job import JobOperator
from recpipe.airflow.jobs.spec import IMAGE_USER, Job, Task, container, environment, make_job, pod
from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadSetting

TASK = Task("train_meta_model", "train", "scheduled__2026-03-02T00:00:00+00:00")
TRAIN = Job(
    image="registry.example.org/recpipe:gpu",
    command=("recpipe", "train", "--out", "/data/work/m"),
    env={"RECPIPE_HOME": "/data", "PYTHONUNBUFFERED": "1"},
    home="/data",
    volume="recpipe_data",
    user=(50_000, 0),
    gpus=2,
    cpus=1.5,
    memory_mb=16_384,
    seconds=7200,
)
SECRETS = {
    "RECPIPE_WEBHOOK": "https://hooks.example.org/hush-1",
    "RECPIPE_SMTP": "smtp://me:hush-2@mail.example.org",
    "RECPIPE_USER_KEY": "hush-3-" + 40 * "x",
    "RECPIPE_STORAGE_OPTIONS": '{"AWS_SECRET_ACCESS_KEY": "hush-4"}',
    "RECPIPE_MLFLOW_URI": "postgresql://mlflow:hush-5@db/mlflow",
    "AWS_SECRET_ACCESS_KEY": "hush-6",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "postgresql://airflow:hush-7@db/airflow",
}


def test_the_container_that_docker_is_asked_for() -> None:
    assert container(TRAIN, TASK) == {
        "Image": "registry.example.org/recpipe:gpu",
        "Cmd": ["recpipe", "train", "--out", "/data/work/m"],
        "Env": ["PYTHONUNBUFFERED=1", "RECPIPE_HOME=/data"],
        "User": "50000:0",
        "HostConfig": {
            "Mounts": [{"Type": "volume", "Source": "recpipe_data", "Target": "/data"}],
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "DeviceRequests": [{"Driver": "", "Count": 2, "Capabilities": [["gpu"]]}],
            "NanoCpus": 1_500_000_000,
            "Memory": 17_179_869_184,
        },
        "Labels": {
            "recpipe.dag": "train_meta_model",
            "recpipe.task": "train",
            "recpipe.run": "scheduled__2026-03-02T00:00:00+00:00",
            "recpipe.spec": "bd206d3893ff73e462494c25e0a965fa16d655a3b2f6143015756ad1fa609e2c",
        },
    }


def test_a_folder_of_the_host_without_gpu_or_limits() -> None:
    bare = Job("recpipe:cpu", ("recpipe", "train"), {}, "/srv/home", "/srv/home", (1000, 1000), 0, 0.0, 0)
    body = container(bare, TASK)
    assert body["HostConfig"] == {
        "Mounts": [{"Type": "bind", "Source": "/srv/home", "Target": "/srv/home"}],
        "Init": True,
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
    }
    assert body["User"] == "1000:1000"
    spec = pod(bare)["spec"]
    assert spec["containers"][0]["resources"] == {"limits": {}}
    assert not {"tolerations", "activeDeadlineSeconds"} & set(spec)


def test_the_pod_that_kubernetes_is_asked_for() -> None:
    assert pod(TRAIN) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"labels": {"app": "recpipe"}},
        "spec": {
            "restartPolicy": "Never",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 50_000,
                "runAsGroup": 0,
                "fsGroup": 0,
                "fsGroupChangePolicy": "OnRootMismatch",
            },
            "containers": [
                {
                    "name": "base",
                    "image": "registry.example.org/recpipe:gpu",
                    "command": ["recpipe", "train", "--out", "/data/work/m"],
                    "env": [{"name": "PYTHONUNBUFFERED", "value": "1"}, {"name": "RECPIPE_HOME", "value": "/data"}],
                    "resources": {"limits": {"nvidia.com/gpu": "2", "cpu": "1.5", "memory": "16384Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "home", "mountPath": "/data"}],
                }
            ],
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "recpipe_data"}}],
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "activeDeadlineSeconds": 7200,
        },
    }


def test_kubernetes_fills_nothing_into_an_argument() -> None:
    odd = Job("i", ("recpipe", "$(RECPIPE_HOME)", "$$x", "; rm -rf /"), {"A": "$(B)"}, "/d", "c", (1, 1), 0, 0.0, 0)
    (only,) = pod(odd)["spec"]["containers"]
    assert only["command"] == ["recpipe", "$$(RECPIPE_HOME)", "$$$$x", "; rm -rf /"]
    assert only["env"] == [{"name": "A", "value": "$$(B)"}]


def test_what_is_set_is_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = load_settings(
        home=tmp_path, job_image="i:1", job_gpus=3, job_cpus=4, job_memory_gb=1.5, job_volume="claim", job_place="docker"
    )
    monkeypatch.setattr(os, "getuid", lambda: 1234)
    monkeypatch.setattr(os, "getgid", lambda: 99)
    made = make_job(settings, ["recpipe", "train"], {"MORE": "yes"}, seconds=90.0)
    assert (made.image, made.gpus, made.cpus, made.memory_mb, made.volume) == ("i:1", 3, 4.0, 1536, "claim")
    assert (made.home, made.user, made.seconds) == (str(tmp_path), (1234, 99), 90)
    assert made.env["MORE"] == "yes"
    assert make_job(load_settings(home=tmp_path, job_image="i:1"), ["x"]).volume == str(tmp_path)
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert make_job(settings, ["x"]).user == IMAGE_USER


def test_what_goes_along_holds_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SECRETS.items():
        if not name.startswith("RECPIPE_") or name.removeprefix("RECPIPE_").lower() in Settings.fields():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("RECPIPE_TIMEZONE", "Europe/London")
    monkeypatch.setenv("RECPIPE_EVENT_WEIGHTS", '{"view": 0.5}')
    monkeypatch.setenv("RECPIPE_JOB_IMAGE", "i")
    settings = load_settings(home=tmp_path)
    assert environment(settings) == {
        "HOME": "/tmp",
        "PYTHONUNBUFFERED": "1",
        "RECPIPE_ENV_FILE": "",
        "RECPIPE_CONFIG_FILE": "",
        "RECPIPE_HOME": str(tmp_path),
        "RECPIPE_TIMEZONE": "Europe/London",
        "RECPIPE_EVENT_WEIGHTS": '{"view": 0.5}',
    }
    made = make_job(settings, ["recpipe", "train"])
    assert "hush" not in json.dumps([container(made, TASK), pod(made)])
    # and it is read as it was meant
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(settings).items():
        monkeypatch.setenv(name, value)
    assert load_settings().history.event_weights == settings.history.event_weights


def test_every_try_has_the_same_name_and_another_run_another() -> None:
    assert TASK.name == "recpipe-train-" + TASK.name[-12:]
    others = [Task("other", TASK.task, TASK.run), Task(TASK.dag, TASK.task, "manual__1"), Task(TASK.dag, TASK.task, TASK.run, 3)]
    assert len({TASK.name, *(other.name for other in others)}) == 4
    assert Task(TASK.dag, TASK.task, TASK.run).name == TASK.name


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"job_place": "docker"}, "RECPIPE_JOB_PLACE is docker, and RECPIPE_JOB_IMAGE is empty"),
        ({"job_place": "kubernetes"}, "RECPIPE_JOB_PLACE is kubernetes, and RECPIPE_JOB_IMAGE is empty"),
        ({"job_place": "kubernetes", "job_image": "i"}, "name the claim of the volume of the home in RECPIPE_JOB_VOLUME"),
    ],
)
def test_a_place_that_lacks_a_setting_is_refused_when_it_is_declared(given: dict[str, str], sentence: str) -> None:
    with pytest.raises(BadSetting, match=sentence):
        job(load_settings(**given), task_id="train", command=["recpipe", "train"])


def test_a_declaration_becomes_the_task_of_its_place() -> None:
    here = job(load_settings(), task_id="train", command=["recpipe"], pool="gpu", execution_timeout=timedelta(hours=2))
    assert type(here) is JobOperator
    assert (here.pool, here.execution_timeout) == ("gpu", timedelta(hours=2))
    limited = job(load_settings(job_minutes=30), task_id="train", command=["recpipe"], execution_timeout=timedelta(hours=2))
    assert limited.execution_timeout == timedelta(minutes=30)
    there = job(load_settings(job_place="docker", job_image="i"), task_id="train", command=["recpipe"], pool="gpu")
    assert (type(there).__name__, there.pool, there.template_fields) == ("DockerJob", "gpu", ("command", "makes"))


@pytest.mark.parametrize("place", [{}, {"job_place": "docker", "job_image": "i"}])
@pytest.mark.parametrize(("gpus", "slots"), [(0, 1), (1, 1), (4, 4)])
def test_a_job_that_shares_its_work_takes_a_slot_a_gpu(place: dict[str, str], gpus: int, slots: int) -> None:
    settings = load_settings(job_gpus=gpus, **place)
    assert processes(settings) == slots
    assert job(settings, task_id="t", command=["recpipe"], pool="gpu", shares_work=True).pool_slots == slots
    assert job(settings, task_id="t", command=["recpipe"], pool="gpu").pool_slots == 1


def test_the_default_place_imports_nothing_of_the_others() -> None:
    code = (
        "import sys; import airflow.sdk; before = set(sys.modules); from recpipe.airflow.jobs import job_operator as jobs; "
        "from recpipe.config import load_settings; jobs.job(load_settings(), task_id='t', command=['x']); "
        "new = set(sys.modules) - before; print({m.split('.')[0] for m in new} & {'docker', 'kubernetes', 'requests'}, "
        "[m for m in new if m.startswith('recpipe.airflow.jobs.') and m.endswith(('docker_job', 'kubernetes_job'))])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-1] == "set() []"


def test_how_it_ended_is_said_whatever_the_place() -> None:
    assert str(failed("recpipe", 137, ["a", "b"], "It had no memory left.")) == (
        "recpipe ended with exit code 137. It had no memory left. Its last lines:\na\nb"
    )
    assert str(failed("recpipe", None, [])) == "recpipe did not end by itself. Its last lines:"
    assert str(failed("x", 1, [str(n) for n in range(20)])).splitlines()[1:] == [str(n) for n in range(5, 20)]
