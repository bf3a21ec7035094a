"""A job as a pod: the real provider talks over HTTP to a Kubernetes API that records what is asked, and runs pods as processes."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

pytest.importorskip("airflow.providers.cncf.kubernetes", reason="needs the Kubernetes provider: make test-services installs it")

from airflow.providers.cncf.kubernetes.triggers.pod import KubernetesPodTrigger
from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred

from recpipe.airflow.jobs import kubernetes_job
from recpipe.airflow.jobs.job_operator import job
from recpipe.config.settings import load_settings

IMAGE = "registry.example.org/recpipe:gpu"


class Pod:
    """A pod as the API shows it, and the process that stands for its container."""

    def __init__(self, body: dict[str, Any]) -> None:
        self.body, self.output = body, Path(tempfile.mkstemp()[1])
        self.created = datetime.now(UTC).isoformat()
        (self.spec,) = body["spec"]["containers"]
        words = [word.replace("$$", "$") for word in self.spec["command"]]
        env = {one["name"]: one["value"].replace("$$", "$") for one in self.spec["env"]}
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(words, env=env, stdout=output, stderr=subprocess.STDOUT)

    def show(self) -> dict[str, Any]:
        code = self.process.poll()
        state: dict[str, Any] = {"running": {"startedAt": self.created}}
        if code is not None:
            said = "".join(self.output.read_text().splitlines(keepends=True)[-80:])[-2048:]
            state = {"terminated": {"exitCode": code % 256, "reason": "Completed" if code == 0 else "Error", "message": said}}
        phase = "Running" if code is None else "Failed" if code else "Succeeded"
        ready = {"name": "base", "image": IMAGE, "imageID": "", "ready": code is None, "restartCount": 0, "state": state}
        about = {**self.body["metadata"], "creationTimestamp": self.created}
        status = {"phase": phase, "startTime": self.created, "containerStatuses": [ready]}
        return {**self.body, "metadata": about, "status": status}


class Cluster:
    """The part of the Kubernetes API that the provider uses."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.on_log: Callable[[], None] = lambda: None

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        self.asked.append((method, path, query, body))
        if path.endswith("/events"):
            return 200, {"kind": "EventList", "apiVersion": "events.k8s.io/v1", "metadata": {}, "items": []}
        _, name, part = re.fullmatch(r"/api/v1/namespaces/([^/]+)/pods/?([^/]*)/?(.*)", path).groups()
        if method == "POST":
            pod = self.pods[body["metadata"]["name"]] = Pod(body)
            return 201, pod.show()
        if not name:
            found = [pod.show() for pod in self.pods.values() if self.matches(pod, query.get("labelSelector", ""))]
            return 200, {"kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": found}
        if name not in self.pods:
            return 404, {"kind": "Status", "code": 404, "reason": "NotFound"}
        return 200, self.change(method, self.pods[name], part, body)

    def change(self, method: str, pod: Pod, part: str, body: Any) -> Any:
        if part == "log":
            self.on_log()
            return pod.output.read_bytes()
        if method == "PATCH":
            pod.body["metadata"]["labels"].update(body["metadata"]["labels"])
        if method == "DELETE":
            pod.process.kill()
            pod.process.wait()
            self.pods.pop(pod.body["metadata"]["name"])
        return pod.show()

    @staticmethod
    def matches(pod: Pod, selector: str) -> bool:
        labels = pod.body["metadata"]["labels"]
        for one in filter(None, selector.split(",")):
            name, sign, value = re.fullmatch(r"!?([\w./-]+)(!?=)?(.*)", one).groups()
            fits = labels.get(name) == value if sign == "=" else labels.get(name) != value if sign else name not in labels
            if not fits:
                return False
        return True

    def calls(self, method: str, end: str = "") -> list[Any]:
        return [body for asked, path, _, body in self.asked if asked == method and path.endswith(end)]


class Handler(BaseHTTPRequestHandler):
    cluster: Cluster

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        status, said = self.cluster.answer(self.command, parts.path, dict(parse_qsl(parts.query)), body)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/plain" if isinstance(said, bytes) else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_DELETE = do_PATCH = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    cluster = Cluster()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"cluster": cluster}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    one = {"name": "here", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "here", "clusters": [one], "users": [{"name": "me", "user": {}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me", "namespace": "default"}}],
    }  # fmt: skip
    extra = json.dumps({"kube_config": json.dumps(config)})
    monkeypatch.setenv("AIRFLOW_CONN_KUBERNETES_DEFAULT", json.dumps({"conn_type": "kubernetes", "extra": extra}))
    monkeypatch.setattr(kubernetes_job, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(kubernetes_job, "LOG_SECONDS", 0.5)
    yield cluster
    for pod in cluster.pods.values():
        pod.process.kill()
        pod.process.wait()
    server.shutdown()
    server.server_close()


class Kept(dict):
    """What Airflow keeps of a task from try to try."""

    def set(self, key: str, value: Any) -> None:
        self[key] = value


def context(kept: Kept, number: int = 1) -> dict[str, Any]:
    ti = SimpleNamespace(
        dag_id="train_meta_model", task_id="train", run_id="manual__1", map_index=-1, try_number=number,
        start_date=datetime.now(UTC), xcom_push=lambda **_: None,
    )  # fmt: skip
    return {"ti": ti, "run_id": ti.run_id, "dag": SimpleNamespace(), "task_state_store": kept}


def declared(code: str, home: Path, limit: timedelta | None = timedelta(hours=2), makes: str = "", **settings: Any) -> Any:
    given = {"job_place": "kubernetes", "job_image": IMAGE, "job_volume": "recpipe-data", "job_namespace": "shop", **settings}
    command = [sys.executable, "-c", code]
    return job(load_settings(home=home, **given), task_id="train", command=command, execution_timeout=limit, makes=makes)


def begin(operator: Any, about: dict[str, Any]) -> TaskDeferred:
    """The worker's part: it leaves the pod to the triggerer."""
    with pytest.raises(TaskDeferred) as caught:
        operator.execute(about)
    return caught.value


def wait(left: TaskDeferred) -> dict[str, Any]:
    """The triggerer's part: the trigger as it was stored, in a process that knows nothing else."""
    path, kwargs = left.trigger.serialize()
    assert path == "airflow.providers.cncf.kubernetes.triggers.pod.KubernetesPodTrigger"

    async def first() -> Any:
        return await anext(KubernetesPodTrigger(**kwargs).run())

    return asyncio.run(first()).payload


def heard(operator: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []

    def keep(text: str, *words: Any, **_: Any) -> None:
        lines.append(str(text) % words if words else str(text))

    log = SimpleNamespace(info=keep, warning=keep, error=keep, debug=lambda *_: None, exception=keep)
    monkeypatch.setattr(type(operator), "log", log)
    return lines


def test_kubernetes_is_asked_for_exactly_this_pod(cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_WEBHOOK", "https://hooks.example.org/hush")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    operator = declared("print('$(RECPIPE_HOME) {{ 1 + 1 }}')", tmp_path, job_gpus=2, job_memory_gb=8, job_cpus=4, seed=7)
    begin(operator, context(Kept()))
    (body,) = cluster.calls("POST", "/namespaces/shop/pods")
    name, labels = body["metadata"].pop("name"), body["metadata"].pop("labels")
    assert re.fullmatch(r"recpipe-train-[a-z0-9]+", name)
    assert re.fullmatch(r"[\d.]+", labels.pop("airflow_version"))
    assert labels == {
        "app": "recpipe", "dag_id": "train_meta_model", "task_id": "train", "run_id": "manual__1", "try_number": "1",
        "kubernetes_pod_operator": "True", "airflow_kpo_in_cluster": "False",
    }  # fmt: skip
    user, group = (os.getuid(), os.getgid()) if os.getuid() else (50_000, 0)
    assert drop_empty(body) == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"namespace": "shop"},
        "spec": {
            "restartPolicy": "Never",
            "hostNetwork": False,
            "automountServiceAccountToken": False,
            "activeDeadlineSeconds": 7200,
            "securityContext": {
                "runAsNonRoot": True, "runAsUser": user, "runAsGroup": group, "fsGroup": group, "fsGroupChangePolicy": "OnRootMismatch",
            },
            "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}],
            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": "recpipe-data"}}],
            "containers": [
                {
                    "name": "base",
                    "image": IMAGE,
                    "command": [sys.executable, "-c", "print('$$(RECPIPE_HOME) {{ 1 + 1 }}')"],
                    "env": [
                        {"name": "HOME", "value": "/tmp"}, {"name": "PYTHONUNBUFFERED", "value": "1"},
                        {"name": "RECPIPE_CONFIG_FILE", "value": ""}, {"name": "RECPIPE_ENV_FILE", "value": ""},
                        {"name": "RECPIPE_HOME", "value": str(tmp_path)},
                        {"name": "RECPIPE_SEED", "value": "7"},
                    ],
                    "resources": {"limits": {"nvidia.com/gpu": "2", "cpu": "4", "memory": "8192Mi"}},
                    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                    "volumeMounts": [{"name": "home", "mountPath": str(tmp_path)}],
                    "terminationMessagePolicy": "FallbackToLogsOnError",
                }
            ],
        },
    }  # fmt: skip
    assert "hush" not in json.dumps(cluster.asked)


def drop_empty(value: Any) -> Any:
    """What an empty list or map says is what its absence says."""
    if isinstance(value, dict):
        return {key: left for key, one in value.items() if (left := drop_empty(one)) not in ({}, [])}
    return [drop_empty(one) for one in value] if isinstance(value, list) else value


def test_the_triggerer_waits_and_the_task_goes_on_with_what_it_saw(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Kept()
    code = f"import pathlib, time\nprint('first')\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(.05)\nprint('last')"
    left = begin(declared(code, tmp_path), context(kept))
    assert (type(left.trigger), left.method_name) == (KubernetesPodTrigger, "trigger_reentry")
    assert left.timeout > timedelta(hours=2), "the trigger ends it first, and removes the pod"
    # it ends when the triggerer has read its lines for the first time
    cluster.on_log = (tmp_path / "go").touch
    event = wait(left)
    assert event["status"] == "success"
    resumed = declared("", tmp_path)  # another process, with the task as the DAG file declares it
    lines = heard(resumed, monkeypatch)
    getattr(resumed, left.method_name)(context(kept), event)
    assert any("last" in line for line in lines)
    assert cluster.pods == {}


@pytest.mark.parametrize(("code", "error"), [(2, AirflowFailException), (3, AirflowException)])
def test_it_fails_with_its_last_lines_and_a_refusal_for_good(cluster: Cluster, tmp_path: Path, code: int, error: type) -> None:
    kept = Kept()
    operator = declared(f"for i in range(30): print('line', i)\nraise SystemExit({code})", tmp_path)
    event = wait(begin(operator, context(kept)))
    assert event["status"] == "failed"
    with pytest.raises(AirflowException) as caught:
        declared("", tmp_path).trigger_reentry(context(kept), event)
    assert type(caught.value) is error
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(f"ended with exit code {code}. Its last lines:")
    assert lines == [f"line {i}" for i in range(15, 30)]
    assert cluster.pods == {}


def test_a_pod_that_sees_another_home_leaves_no_success(cluster: Cluster, tmp_path: Path) -> None:
    kept, makes = Kept(), str(tmp_path / "summary.json")
    event = wait(begin(declared("print('trained')", tmp_path, makes=makes), context(kept)))
    assert event["status"] == "success"
    with pytest.raises(AirflowException, match=r"ended with exit code 0\. But it left no .*summary\.json"):
        declared("", tmp_path, makes=makes).trigger_reentry(context(kept), event)
    assert cluster.pods == {}


def test_a_retry_of_a_failed_job_is_a_new_pod(cluster: Cluster, tmp_path: Path) -> None:
    kept = Kept()
    event = wait(begin(declared("raise SystemExit(3)", tmp_path), context(kept)))
    with pytest.raises(AirflowException):
        declared("", tmp_path).trigger_reentry(context(kept), event)
    begin(declared("import time; time.sleep(30)", tmp_path), context(kept, 2))
    assert len(cluster.calls("POST")) == 2


@pytest.mark.parametrize("store", [True, False], ids=["by what Airflow keeps", "by its labels"])
def test_a_try_finds_the_pod_that_a_restarted_worker_left(cluster: Cluster, tmp_path: Path, store: bool) -> None:
    kept, code = Kept(), "import time; print('up', flush=True); time.sleep(1.5)"
    first = begin(declared(code, tmp_path), context(kept))
    again = begin(declared(code, tmp_path), context(kept if store else Kept(), 2))
    assert len(cluster.calls("POST")) == 1
    assert again.trigger.pod_name == first.trigger.pod_name
    selectors = [query["labelSelector"] for *_, query, _ in cluster.asked if "labelSelector" in query]
    assert all("dag_id=train_meta_model" in one and "run_id=manual__1" in one and "try_number" not in one for one in selectors)
    assert wait(again)["status"] == "success"


def test_a_task_that_is_killed_takes_its_pod_with_it(cluster: Cluster, tmp_path: Path) -> None:
    operator = declared("import time; time.sleep(60)", tmp_path)
    left = begin(operator, context(Kept()))
    (pod,) = cluster.pods.values()
    operator.on_kill()  # before it was deferred
    assert len(cluster.calls("DELETE")) == 1
    assert pod.process.poll() is not None
    left = begin(declared("import time; time.sleep(60)", tmp_path), context(Kept()))
    (pod,) = cluster.pods.values()
    asyncio.run(KubernetesPodTrigger(**left.trigger.serialize()[1]).on_kill())  # after
    assert len(cluster.calls("DELETE")) == 2
    assert pod.process.poll() is not None


def test_the_time_limit_of_the_task_ends_the_pod(cluster: Cluster, tmp_path: Path) -> None:
    kept, limit = Kept(), timedelta(seconds=2)
    began = time.monotonic()
    event = wait(begin(declared("import time; print('busy', flush=True); time.sleep(60)", tmp_path, limit), context(kept)))
    assert event["status"] == "timeout"
    (pod,) = cluster.pods.values()
    with pytest.raises(AirflowException, match=r"did not end by itself\. Its pod was Running when its time was up\."):
        declared("", tmp_path, limit).trigger_reentry(context(kept), event)
    assert pod.process.poll() is not None
    assert cluster.pods == {}
    assert time.monotonic() - began < 40


def test_a_pod_may_wait_for_a_gpu_as_long_as_the_task_has_time(tmp_path: Path) -> None:
    assert declared("", tmp_path).startup_timeout_seconds == 7200
    assert declared("", tmp_path, job_minutes=5).startup_timeout_seconds == 300
    assert declared("", tmp_path, None).startup_timeout_seconds == 7200


def test_the_dag_declares_it_with_the_settings_of_the_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.dag_processing.dagbag import DagBag

    for name, value in {"PLACE": "kubernetes", "IMAGE": IMAGE, "VOLUME": "recpipe-data", "GPUS": "1"}.items():
        monkeypatch.setenv(f"RECPIPE_JOB_{name}", value)
    bag = DagBag(Path(__file__).parents[2] / "dags" / "train_meta_model.py")
    assert bag.import_errors == {}
    train = bag.dags["train_meta_model"].get_task("train")
    assert (type(train).__name__, train.pool, train.deferrable, train.durable) == ("PodJob", "gpu", True, True)
    assert train.execution_timeout == timedelta(hours=2)
    assert train.startup_timeout_seconds == 7200
    assert train.upstream_task_ids == {"export"}
