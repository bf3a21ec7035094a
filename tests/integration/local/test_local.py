"""The embedded home starts, says how it is, keeps to this machine, and stops with everything it started."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import psutil
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadSetting, RecpipeError
from recpipe.local import services as rooms
from recpipe.local.home import airflow_environment, login, settings_environment, write_home
from recpipe.local.services import down, status, up

SERVICES = ["api-server", "scheduler", "dag-processor", "triggerer", "mlflow"]


def test_keys_are_made_once_and_only_their_owner_reads_them(settings: Settings) -> None:
    write_home(settings)
    folder = settings.places.home / "airflow"
    before = {name: (folder / name).read_text() for name in ("keys.json", "login.json", "airflow.cfg")}
    write_home(settings)
    for name, text in before.items():
        assert (folder / name).read_text() == text
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_a_home_that_never_started_has_no_login(settings: Settings) -> None:
    with pytest.raises(BadSetting, match="recpipe up"):
        login(settings)


def test_settings_reach_the_services_as_they_are(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    told = settings.changed(event_types={"cancel": "return"}, rating_bounds=(0.0, 10.0), timezone="Asia/Tokyo")
    for name, value in settings_environment(told).items():
        monkeypatch.setenv(name, value)
    assert load_settings() == told.changed(home=told.places.home.resolve())


def test_folders_that_a_person_names_from_here_reach_the_services_whole(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    named = {"lake": "my/lake", "landing": "drop", "encoder": "my-encoder", "mlflow_uri": "sqlite:///runs/mlflow.db"}
    told = settings_environment(settings.changed(**named))
    assert {name: told[f"RECPIPE_{name.upper()}"] for name in named} == {
        "lake": f"{tmp_path}/my/lake",
        "landing": f"{tmp_path}/drop",
        "encoder": f"{tmp_path}/my-encoder",
        "mlflow_uri": f"sqlite:///{tmp_path}/runs/mlflow.db",
    }
    elsewhere = {"lake": "s3://shop/lake", "mlflow_uri": "http://mlflow:5000"}
    told = settings_environment(settings.changed(**elsewhere))
    assert {name: told[f"RECPIPE_{name.upper()}"] for name in elsewhere} == elsewhere


def test_another_airflow_of_the_shell_is_left_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "postgresql://somebody/else")
    from recpipe.local.home import process_environment

    assert "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN" not in process_environment(settings)


def test_secrets_reach_the_services_and_are_not_printed(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from recpipe.local.home import process_environment

    secrets = {
        "RECPIPE_WEBHOOK": "https://example.org/s3cret",
        "RECPIPE_SMTP": "smtp://me:s3cret@example.org",
        "RECPIPE_USER_KEY": "5e" * 32,
        "RECPIPE_LANDING_OPTIONS": '{"aws_secret_access_key": "s3cret"}',
    }
    (tmp_path / "recpipe.env").write_text("".join(f"{name}={value}\n" for name, value in secrets.items()))
    monkeypatch.setenv("RECPIPE_ENV_FILE", str(tmp_path / "recpipe.env"))
    monkeypatch.setenv("AIRFLOW_CONN_RECPIPE_SMTP", "smtp://example.org")
    told = load_settings(home=settings.places.home)
    for printed in (
        repr(told),
        str(told.model_dump()),
        told.model_dump_json(),
        str(airflow_environment(told)),
        CliRunner().invoke(app, ["env"]).output,
    ):
        assert "s3cret" not in printed
        assert "5e5e" not in printed
    given = process_environment(told)
    assert {name: given[name] for name in secrets} == secrets
    assert given["AIRFLOW_CONN_RECPIPE_SMTP"] == "smtp://example.org"


def test_a_taken_port_is_named_before_anything_starts(settings: Settings) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(RecpipeError, match=f"Port {port} .* api-server .* RECPIPE_AIRFLOW_PORT"):
            up(settings.changed(airflow_port=port))
    assert not (settings.places.home / "run").exists()


def test_a_process_id_of_another_program_is_not_taken_for_a_service(settings: Settings) -> None:
    file = settings.places.home.resolve() / "run" / "scheduler.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"pid": os.getpid(), "created": 1.0}))
    assert [state.pid for state in status(settings)] == [None] * 5
    assert down(settings) == []


def test_down_stops_what_a_service_started_even_in_groups_of_its_own(settings: Settings) -> None:
    write_home(settings)
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(99)'], process_group=0); time.sleep(99)"  # fmt: skip
    rooms._start(settings, rooms.Service("scheduler", (sys.executable, "-c", child)), print)
    leader = rooms._process(settings.places, "scheduler")
    assert leader is not None
    until = time.monotonic() + 10
    while not (started := rooms._session(leader.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    assert len(started) == 1
    time.sleep(0.5)  # until it ignores SIGTERM
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rooms, "STOP_SECONDS", 1.0)
        assert down(settings) == ["scheduler"]
    _, left = psutil.wait_procs([leader, *started], timeout=5)
    assert not left


def test_down_stops_what_a_killed_service_left(settings: Settings) -> None:
    write_home(settings)
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(99)'], process_group=0); time.sleep(99)"
    rooms._start(settings, rooms.Service("scheduler", (sys.executable, "-c", child)), print)
    leader = rooms._process(settings.places, "scheduler")
    assert leader is not None
    until = time.monotonic() + 10
    while not (started := rooms._session(leader.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    leader.kill()
    leader.wait(5)
    assert status(settings)[1].pid is None
    assert down(settings) == ["scheduler"]
    _, left = psutil.wait_procs(started, timeout=1)
    assert not left
    assert down(settings) == []


def test_down_does_not_say_of_what_still_runs_that_it_is_stopped(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the process is another user's, or hangs in the disk: no signal ends it."""
    write_home(settings)
    rooms._start(settings, rooms.Service("triggerer", (sys.executable, "-c", "import time; time.sleep(99)")), print)
    process = rooms._process(settings.places, "triggerer")
    assert process is not None
    with monkeypatch.context() as patch:
        patch.setattr(rooms, "_send", lambda _process, _number: None)
        patch.setattr(rooms, "STOP_SECONDS", 0.1)
        patch.setattr(rooms, "KILL_SECONDS", 0.1)
        with pytest.raises(RecpipeError, match=f"Not stopped, though killed \\(processes of triggerer: {process.pid}\\)"):
            down(settings)
    assert down(settings) == ["triggerer"], "it is still known"


def test_a_sign_of_life_of_the_one_before_does_not_make_a_service_healthy(settings: Settings) -> None:
    """Airflow's monitor calls a scheduler healthy for half a minute after it was killed, and so the next one at once."""
    write_home(settings)
    beat = {"at": "2001-01-01T00:00:00+00:00"}

    class Monitor(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = {"scheduler": {"status": "healthy", "latest_scheduler_heartbeat": beat["at"]}}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Monitor) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        here = settings.changed(airflow_port=server.server_port)
        rooms._start(here, rooms.Service("scheduler", (sys.executable, "-c", "import time; time.sleep(99)")), print)
        assert not status(here)[1].healthy
        beat["at"] = datetime.now(UTC).isoformat()
        assert status(here)[1].healthy
        server.shutdown()
    assert down(settings) == ["scheduler"]


@pytest.mark.slow
def test_every_airflow_process_of_the_home_creates_backfills_whole(settings: Settings) -> None:
    write_home(settings)
    code = (
        "from airflow import settings; from sqlalchemy import event; from sqlalchemy.engine import Engine; "
        "from recpipe.airflow.backfill import savepoints; settings.initialize(); print(event.contains(Engine, 'savepoint', savepoints._begin))"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW__")}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**environment, **airflow_environment(settings)},
    )
    assert done.stdout.split()[-1] == "True"


@pytest.mark.slow
def test_what_is_imported_ahead_starts_no_python_thread() -> None:
    names = ",".join(Settings.fields()["preload"].get_default(call_default_factory=True))
    code = f"from recpipe.local.warm import preload; preload('{names}'.split(',')); import threading; print(threading.active_count())"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ, **{"DO_NOT_TRACK": "1"}}
    )
    assert done.stdout.split()[-1] == "1"


@pytest.mark.xdist_group("services")
@pytest.mark.slow
class TestRunning:
    """On a home that runs."""

    def test_every_service_is_healthy_and_a_second_up_starts_nothing(self, services: Settings) -> None:
        before = status(services)
        assert [(state.name, state.healthy) for state in before] == [(name, True) for name in SERVICES]
        assert up(services) == before

    def test_nothing_listens_beyond_this_machine(self, services: Settings) -> None:
        for state in status(services):
            leader = psutil.Process(state.pid)
            for process in [leader, *leader.children(recursive=True)]:
                try:
                    connections = process.net_connections("inet")
                except psutil.NoSuchProcess:  # one that read a DAG file, and is done
                    continue
                assert {c.laddr.ip for c in connections if c.status == psutil.CONN_LISTEN} <= {"127.0.0.1"}

    def test_the_pool_of_the_gpu_has_a_slot(self, services: Settings) -> None:
        token = _token(services)
        url = f"http://127.0.0.1:{services.local.airflow_port}/api/v2/pools/gpu"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request) as answer:  # noqa: S310
            assert json.load(answer)["slots"] == 1

    def test_another_name_of_this_machine_reaches_no_page_of_mlflow(self, services: Settings) -> None:
        """A page of the web that has its name point here (DNS rebinding) would otherwise read the models with a person's browser."""
        address = f"http://127.0.0.1:{services.local.mlflow_port}/ajax-api/2.0/mlflow/registered-models/search"
        for name in (f"127.0.0.1:{services.local.mlflow_port}", f"localhost:{services.local.mlflow_port}"):
            assert urllib.request.urlopen(urllib.request.Request(address, headers={"Host": name})).status == 200
        for name in (f"rebound.example.org:{services.local.mlflow_port}", "10.0.0.1"):
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(urllib.request.Request(address, headers={"Host": name}))

    def test_pages_want_the_login(self, services: Settings) -> None:
        with pytest.raises(urllib.error.HTTPError, match="401"):
            urllib.request.urlopen(f"http://127.0.0.1:{services.local.airflow_port}/api/v2/pools")

    def test_the_environment_holds_no_secret(self, services: Settings) -> None:
        keys = json.loads((services.places.home / "airflow" / "keys.json").read_text())
        assert not set(keys.values()) & set(airflow_environment(services).values())


def _token(settings: Settings) -> str:
    user, password = login(settings)
    request = urllib.request.Request(
        f"http://127.0.0.1:{settings.local.airflow_port}/auth/token",
        data=json.dumps({"username": user, "password": password}).encode(),
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310
        return str(json.load(answer)["access_token"])
