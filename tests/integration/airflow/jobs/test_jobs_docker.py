"""A job in Docker: the real SDK talks over HTTP to an engine that records what is asked, and runs commands as processes."""

from __future__ import annotations

import json
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowTaskTimeout
from airflow.sdk.execution_time.timeout import timeout

from recpipe.airflow.jobs.job_operator import job
from recpipe.config.settings import load_settings

RUN = {"ti": SimpleNamespace(dag_id="train_meta_model", task_id="train", run_id="manual__1", map_index=-1)}
IMAGE = "registry.example.org/recpipe:gpu"


class Container:
    """What the engine knows of one: a process once it is started, its output in a file."""

    def __init__(self, name: str, body: dict[str, Any]) -> None:
        self.id, self.name, self.body = f"id-of-{name}-{time.monotonic_ns()}", name, body
        self.output = Path(tempfile.mkstemp()[1])
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        env = dict(one.split("=", 1) for one in self.body["Env"])
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(self.body["Cmd"], env=env, stdout=output, stderr=subprocess.STDOUT)

    def end(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def said(self) -> Iterator[bytes]:
        """Its output from the beginning, as it comes, until it ends."""
        with self.output.open("rb") as output:
            over = False
            while True:
                if chunk := output.read(7):  # breaks lines, and letters
                    yield chunk
                elif over:
                    return
                else:
                    over = not self.running
                    time.sleep(0.02)


class Engine:
    """The part of Docker's Engine API that a job uses."""

    def __init__(self) -> None:
        self.containers: dict[str, Container] = {}
        self.images = {IMAGE}
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []
        self.breaks = False

    def find(self, which: str) -> Container | None:
        return next((one for one in self.containers.values() if which in (one.id, one.name)), None)

    def answer(self, method: str, path: str, query: dict[str, str], body: Any) -> tuple[int, Any]:
        if path == "/version":
            return 200, {"ApiVersion": "1.47"}
        self.asked.append((method, path, query, body))
        if (method, path) == ("POST", "/containers/create"):
            if body["Image"] not in self.images:
                return 404, {"message": f"No such image: {body['Image']}"}
            if query["name"] in self.containers:
                return 409, {"message": "the name is in use"}
            made = self.containers[query["name"]] = Container(query["name"], body)
            return 201, {"Id": made.id, "Warnings": []}
        if path == "/images/create":
            if "nowhere" in query["fromImage"]:
                return 200, {"error": "manifest unknown"}
            self.images.add(f"{query['fromImage']}:{query['tag']}")
            return 200, {"status": "Pull complete"}
        which, action = re.fullmatch(r"/containers/([^/]+)/?(\w*)", path).groups()
        found = self.find(which)
        if found is None:
            return 404, {"message": f"No such container: {which}"}
        return getattr(self, action or "delete")(found)

    def json(self, one: Container) -> tuple[int, Any]:
        state = {"Running": one.running, "OOMKilled": one.process is not None and one.process.poll() == 137}
        return 200, {"Id": one.id, "State": state, "Config": {"Labels": one.body["Labels"], "Tty": False}}

    def start(self, one: Container) -> tuple[int, Any]:
        one.start()
        return 204, None

    def logs(self, one: Container) -> tuple[int, Any]:
        return 200, one.said()

    def wait(self, one: Container) -> tuple[int, Any]:
        if self.breaks:
            return 500, {"message": "the engine shuts down"}
        code = one.process.wait()
        return 200, {"StatusCode": code if code >= 0 else 128 - code}

    def stop(self, one: Container) -> tuple[int, Any]:
        one.end()
        return 204, None

    def delete(self, one: Container) -> tuple[int, Any]:
        one.end()
        self.containers.pop(one.name, None)
        return 204, None

    def calls(self, method: str, end: str) -> list[tuple[dict[str, str], Any]]:
        return [(query, body) for asked, path, query, body in self.asked if asked == method and path.endswith(end)]


class Handler(BaseHTTPRequestHandler):
    engine: Engine

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        size = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(size)) if size else None
        path = re.sub(r"^/v1\.\d+", "", parts.path)
        status, said = self.engine.answer(self.command, path, dict(parse_qsl(parts.query)), body)
        self.send_response(status)
        self.end_headers()
        if isinstance(said, Iterator):
            for chunk in said:
                self.wfile.write(struct.pack(">BxxxL", 1, len(chunk)) + chunk)
                if self.engine.breaks:
                    return
        elif said is not None:
            self.wfile.write(json.dumps(said).encode())

    do_POST = do_DELETE = do_GET  # noqa: N815

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Engine]:
    engine = Engine()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (Handler,), {"engine": engine}))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    monkeypatch.setenv("DOCKER_HOST", f"tcp://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    yield engine
    for one in list(engine.containers.values()):
        one.end()
    server.shutdown()
    server.server_close()


def declared(code: str, home: Path, image: str = IMAGE, makes: str = "", **settings: Any) -> Any:
    settings = load_settings(home=home, job_place="docker", job_image=image, **settings)
    return job(settings, task_id="train", command=[sys.executable, "-c", code], makes=makes)


def heard(operator: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(
        type(operator), "log", SimpleNamespace(info=lambda text, *words: lines.append(text % words), warning=print)
    )
    return lines


def until(condition: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_engine_is_asked_for_exactly_this(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_WEBHOOK", "https://hooks.example.org/hush")
    operator = declared("print('done')", tmp_path, job_volume="recpipe_data", job_gpus=2, job_memory_gb=4, job_cpus=2, seed=7)
    operator.execute(RUN)
    ((query, body),) = engine.calls("POST", "/create")
    assert re.fullmatch(r"recpipe-train-[0-9a-f]{12}", query["name"])
    assert len(body["Labels"].pop("recpipe.spec")) == 64
    user = f"{os.getuid()}:{os.getgid()}" if os.getuid() else "50000:0"
    assert body == {
        "Image": IMAGE,
        "Cmd": [sys.executable, "-c", "print('done')"],
        "Env": [
            "HOME=/tmp",
            "PYTHONUNBUFFERED=1",
            "RECPIPE_CONFIG_FILE=",
            "RECPIPE_ENV_FILE=",
            f"RECPIPE_HOME={tmp_path}",
            "RECPIPE_SEED=7",
        ],
        "User": user,
        "Labels": {"recpipe.dag": "train_meta_model", "recpipe.task": "train", "recpipe.run": "manual__1"},
        "HostConfig": {
            "Mounts": [{"Type": "volume", "Source": "recpipe_data", "Target": str(tmp_path)}],
            "DeviceRequests": [{"Driver": "", "Count": 2, "Capabilities": [["gpu"]]}],
            "Init": True,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "NanoCpus": 2_000_000_000,
            "Memory": 4 * 2**30,
        },
    }
    assert "hush" not in json.dumps(engine.asked)
    order = [f"{method} {path.rsplit('/', 1)[-1]}" for method, path, *_ in engine.asked if method == "POST"]
    assert order == ["POST create", "POST start", "POST wait"]
    assert engine.containers == {}, "it is removed at the end"


def test_its_lines_stand_in_the_task_log(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = declared("import sys; print('Ärger\\nzwei'); print('err', file=sys.stderr); print('no end', end='')", tmp_path)
    lines = heard(operator, monkeypatch)
    operator.execute(RUN)
    assert sorted(lines[1:]) == ["err", "no end", "zwei", "Ärger"]


@pytest.mark.parametrize(("code", "error"), [(2, AirflowFailException), (3, AirflowException)])
def test_it_fails_with_its_last_lines_and_a_refusal_for_good(engine: Engine, tmp_path: Path, code: int, error: type) -> None:
    with pytest.raises(AirflowException) as caught:
        declared(f"for i in range(30): print('line', i)\nraise SystemExit({code})", tmp_path).execute(RUN)
    assert type(caught.value) is error
    first, *lines = str(caught.value).splitlines()
    assert first.endswith(f"ended with exit code {code}. Its last lines:")
    assert lines == [f"line {i}" for i in range(15, 30)]
    assert engine.containers == {}


def test_a_container_that_sees_another_home_leaves_no_success(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(AirflowException, match=r"But it left no .*summary\.json .*has the same folder there") as caught:
        declared("print('trained')", tmp_path, makes=str(tmp_path / "summary.json")).execute(RUN)
    assert str(caught.value).endswith("Its last lines:\ntrained")


def test_a_job_without_memory_says_so(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(AirflowException, match=r"exit code 137\. It had no memory left\."):
        declared("raise SystemExit(137)", tmp_path).execute(RUN)


def test_a_task_that_is_killed_stops_its_container(engine: Engine, tmp_path: Path) -> None:
    operator = declared("import time; print('up'); time.sleep(60)", tmp_path)
    before = signal.signal(signal.SIGUSR1, lambda *_: operator.on_kill())  # as Airflow does: in the middle of reading
    kill = threading.Timer(0, lambda: (until(lambda: engine.calls("GET", "/logs")), os.kill(os.getpid(), signal.SIGUSR1)))
    kill.start()
    try:
        with pytest.raises(AirflowException, match=r"was removed while it ran|exit code 137"):
            operator.execute(RUN)
    finally:
        kill.join()
        signal.signal(signal.SIGUSR1, before)
    assert [query for query, _ in engine.calls("POST", "/stop")] == [{"t": "10"}]
    assert engine.containers == {}


def test_the_time_limit_of_the_task_ends_it(engine: Engine, tmp_path: Path) -> None:
    operator = declared("import time; time.sleep(60)", tmp_path)
    with pytest.raises(AirflowTaskTimeout), timeout(2):
        operator.execute(RUN)
    (one,) = engine.containers.values()
    operator.on_kill()  # as the task runner does
    assert not one.running
    assert engine.containers == {}


def left_behind(engine: Engine, operator: Any) -> str:
    """A worker that dies takes its connection with it, and nothing else."""
    engine.breaks = True
    with pytest.raises(Exception, match="the engine shuts down"):
        operator.execute(RUN)
    engine.breaks = False
    (one,) = engine.containers.values()
    return one.id


def test_a_retry_goes_on_with_the_container_that_still_runs(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = f"import pathlib, time\nprint('first')\nwhile not pathlib.Path({str(tmp_path / 'go')!r}).exists(): time.sleep(.05)\nprint('last')"
    left_behind(engine, declared(code, tmp_path))
    again = declared(code, tmp_path)
    lines = heard(again, monkeypatch)
    looked = threading.Thread(target=lambda: (until(lambda: len(engine.calls("GET", "/logs")) == 2), (tmp_path / "go").touch()))
    looked.start()
    again.execute(RUN)
    looked.join()
    assert len(engine.calls("POST", "/create")) == 1
    assert lines[1:] == ["first", "last"]
    assert "goes on with it" in lines[0]
    assert engine.containers == {}


@pytest.mark.parametrize("how", ["it ended", "it does something else"])
def test_a_retry_removes_what_it_cannot_go_on_with(engine: Engine, tmp_path: Path, how: str) -> None:
    code = "import time; print(1)" if how == "it ended" else "import time; print(1, flush=True); time.sleep(60)"
    first = left_behind(engine, declared(code, tmp_path))
    (one,) = engine.containers.values()
    until(lambda: not one.running or how != "it ended")
    declared(code if how == "it ended" else "print(2)", tmp_path).execute(RUN)
    assert len(engine.calls("POST", "/create")) == 2
    changes = [(method, path) for method, path, *_ in engine.asked if method == "DELETE" or path.endswith("/create")]
    assert changes[1:3] == [("DELETE", f"/containers/{first}"), ("POST", "/containers/create")]


def test_another_run_has_a_container_of_its_own(engine: Engine, tmp_path: Path) -> None:
    code = "import time; print(1, flush=True); time.sleep(60)"
    left_behind(engine, declared(code, tmp_path))
    other = {"ti": SimpleNamespace(**{**vars(RUN["ti"]), "run_id": "manual__2"})}
    declared("print(2)", tmp_path).execute(other)
    (left,) = engine.containers.values()
    assert left.running


def test_an_image_that_the_engine_lacks_is_fetched(engine: Engine, tmp_path: Path) -> None:
    engine.images.clear()
    declared("print(1)", tmp_path).execute(RUN)
    ((query, _),) = engine.calls("POST", "/images/create")
    assert query == {"fromImage": "registry.example.org/recpipe", "tag": "gpu"}
    with pytest.raises(AirflowException, match="The image nowhere:1 cannot be fetched: manifest unknown"):
        declared("print(1)", tmp_path, image="nowhere:1").execute(RUN)


def test_without_an_engine_it_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
    with pytest.raises(AirflowException, match=r"The Docker engine tcp://127\.0\.0\.1:9 does not answer"):
        declared("print(1)", tmp_path).execute(RUN)
