"""What every test may ask for."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import hypothesis
import pytest

from recpipe.config.settings import Settings, load_settings

for name in [name for name in os.environ if name.startswith(("RECPIPE_", "AIRFLOW", "MLFLOW_"))]:
    if not name.startswith("RECPIPE_TEST_"):  # what `make` and CI tell the tests
        del os.environ[name]  # a developer's own home must not leak into the tests
os.environ["RECPIPE_ENV_FILE"] = ""
os.environ["RECPIPE_CONFIG_FILE"] = ""

REPOSITORY = Path(__file__).parent.parent
# a busy machine is no failure of what is tested
hypothesis.settings.register_profile("patient", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("patient")
# Airflow reads its settings when it is first imported, so they stand here: a home for runs within the test process
os.environ.update(
    {
        "AIRFLOW_HOME": tempfile.mkdtemp(prefix="recpipe-tests-"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": "http://127.0.0.1:9/execution/",  # nobody's: not that of a running demo
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING",
    }
)
atexit.register(shutil.rmtree, os.environ["AIRFLOW_HOME"], ignore_errors=True)


TIERS = ("unit", "integration", "services")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test by the folder of its tier, and share them out to pytest-xdist's processes.

    A file is made by one process, so that what its tests share is made once; files that need the same costly thing name one group.
    The longest go first: a process that begins one at the end would be waited for.
    """
    for item in items:
        tier = item.path.relative_to(REPOSITORY / "tests").parts[0]
        if tier not in TIERS:
            raise pytest.UsageError(
                f"{item.nodeid} is in no tier: move it below tests/unit, tests/integration or tests/services."
            )
        item.add_marker(tier)
        if item.get_closest_marker("xdist_group") is None:
            item.add_marker(pytest.mark.xdist_group(str(item.path.relative_to(REPOSITORY))))
    slow = {_group(item) for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (_group(item) != "services", _group(item) not in slow))


def _group(item: pytest.Item) -> str:
    return str(item.get_closest_marker("xdist_group").args[0])


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings of a home of its own."""
    return load_settings(home=tmp_path / "home")


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Folder of the real logs that cannot be shipped."""
    folder = os.environ.get("RECPIPE_TEST_DATA", "")
    if not folder:
        pytest.skip("RECPIPE_TEST_DATA names no folder of further real logs")
    return Path(folder)


@pytest.fixture(scope="session")
def airflow_db() -> None:
    """Create the database of the Airflow home of this test process."""
    from airflow.utils import db

    db.initdb()


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class Receiver:
    """A webhook of somebody's chat."""

    url: str
    notices: list[dict[str, Any]]

    def wait_for(self, kind: str, seconds: float = 120) -> dict[str, Any]:
        """Return the newest notice of a kind, when there is one."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if found := [notice for notice in self.notices if notice["kind"] == kind]:
                return found[-1]
            time.sleep(0.2)
        raise AssertionError(f"nobody was told of anything that {kind}")


@dataclass
class Webhook:
    """A listener, and what was posted to it: path and body of each request, and the notices in all of them."""

    url: str = ""
    paths: list[str] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    notices: list[dict[str, Any]] = field(default_factory=list)

    def hear(self, path: str, body: dict[str, Any]) -> None:
        self.paths.append(path)
        self.bodies.append(body)
        self.notices.extend(body.get("notices", ()))


@contextmanager
def listening(hear: Callable[[str, dict[str, Any]], None]) -> Iterator[str]:
    """Listen on a port of this machine; gives the address, and tells path and body of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            hear(self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    """A webhook of one test."""
    heard = Webhook()
    with listening(heard.hear) as heard.url:
        yield heard


@pytest.fixture(scope="session")
def receiver() -> Iterator[Receiver]:
    """Where the services of `services` post their notices."""
    told: list[dict[str, Any]] = []
    with listening(lambda _, body: told.extend(body["notices"])) as address:
        yield Receiver(address, told)


def asked_before_promotion(dag_file: Path) -> str:
    """Return the code of train_meta_model as another DAG, where a person is asked of every candidate."""
    given = 'import os\n\nos.environ.update({"RECPIPE_APPROVAL_HOURS": "1", "RECPIPE_PROMOTION_MARGIN": "-2", "RECPIPE_MIN_USERS": "5"})\n'
    code = dag_file.read_text().replace("train_meta_model", "train_and_ask")
    head, future, rest = code.partition("from __future__ import annotations\n")
    return head + future + given + rest


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Settings]:
    """An embedded home whose Airflow and MLflow run, shared by all tests: the shipped shop's settings, the real DAGs, tiny ones."""
    from recpipe.demo.shop import SETTINGS
    from recpipe.local.services import down, up

    folder = tmp_path_factory.mktemp("services")
    dags = folder / "dags"
    shutil.copytree(REPOSITORY / "dags", dags, ignore=shutil.ignore_patterns("__pycache__"))
    for room in ("airflow/backfill", "end_to_end"):
        shutil.copytree(REPOSITORY / "tests" / "integration" / room / "dags", dags, dirs_exist_ok=True)
    (dags / "train_and_ask.py").write_text(asked_before_promotion(dags / "train_meta_model.py"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SETTINGS.items():
            patch.setenv(name, value)
        settings = load_settings(
            home=folder / "home", dags_folder=str(dags), airflow_port=free_port(), mlflow_port=free_port(),
            dags_paused=False, retry_seconds=1.0, backfill_wait_minutes=0.05, poll_seconds=0.5, train_options=["--steps", "20"],
            webhook=receiver.url,
        )  # fmt: skip
    try:
        up(settings)
        yield settings
    finally:
        down(settings)
