"""Each check of the doctor sees a real fault, says what to do, and tells no secret."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pyarrow as pa
import pytest
from typer.testing import CliRunner

from recpipe.cli.command import app
from recpipe.config.settings import Settings, load_settings
from recpipe.contract import ITEMS
from recpipe.lake.lake import Lake
from recpipe.maintenance.doctor import CHECKS, airflow_setup, examine, machine, places, running_services, served_models
from recpipe.maintenance.doctor.finding import Finding

DAY = date(2011, 9, 1)


def levels(found: object) -> list[str]:
    return [finding.level for finding in found]


def bad(found: object) -> Finding:
    """Return the one finding that is not well; it has a remedy."""
    (one,) = [finding for finding in found if finding.level != "ok"]
    assert one.remedy
    return one


@contextmanager
def served(answers: dict[str, str], ahead: float = 0.0, host: str = "127.0.0.1") -> Iterator[int]:
    """Answer some paths, by a clock that is so many seconds ahead; gives the port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = answers.get(self.path)
            self.send_response(404 if text is None else 200)
            self.end_headers()
            self.wfile.write((text or "").encode())

        do_HEAD = do_GET  # noqa: N815

        def date_time_string(self, timestamp: float | None = None) -> str:
            return format_datetime(datetime.now(UTC) + timedelta(seconds=ahead), usegmt=True)

        def log_message(self, *_: object) -> None:
            return

    server = HTTPServer((host, 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def with_(settings: Settings, **changes: object) -> Settings:
    return load_settings(**{"home": settings.places.home, "airflow_port": 16_999, "mlflow_port": 16_998, **changes})


# --- the machine


def test_another_version_than_the_lock_is_wrong(settings: Settings, tmp_path: Path) -> None:
    lock = tmp_path / "requirements.txt"
    lock.write_text("numpy==0.1\npyarrow==0.2  # via x\nno-such-library==1\n")
    direct, others = machine.versions(settings, lock)
    assert (direct.level, others.level) == ("wrong", "warn")
    assert "numpy" in direct.says
    assert "pyarrow" in direct.says
    assert "no-such-library is missing (lock: 1)" in others.says
    assert levels(machine.versions(settings)) == ["ok"]


def test_without_a_lock_beside_it_the_ranges_of_the_package_count(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert levels(machine.versions(settings, tmp_path / "none.txt")) == ["ok"]
    monkeypatch.setattr(machine.metadata, "requires", lambda name: ["numpy<1", "no-such-library", "pytest<1; extra == 'dev'"])
    (found,) = machine.versions(settings, tmp_path / "none.txt")
    assert found.level == "wrong"
    assert "no-such-library is missing" in found.says
    assert "numpy" in found.says
    assert "pytest" not in found.says


def test_another_python_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(machine.python(settings)) == ["ok"]
    monkeypatch.setattr(machine.platform, "python_version", lambda: "3.9.1")
    assert bad(machine.python(settings)).level == "wrong"


def test_a_slip_in_the_name_of_a_setting_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert levels(machine.environment(settings)) == ["ok"]
    monkeypatch.setenv("RECPIPE_TIMEZON", "secret-value")
    found = bad(machine.environment(settings))
    assert found == Finding("settings", "warn", "RECPIPE_TIMEZON is no setting", "Did you mean RECPIPE_TIMEZONE?")


def test_a_disk_without_room_is_wrong(settings: Settings, tmp_path: Path) -> None:
    """On a file system of 50 MB, where this user may mount one."""
    assert set(levels(machine.disk(settings))) <= {"ok", "warn"}
    small = tmp_path / "small"
    small.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=50m", "tmpfs", small], check=False, capture_output=True)
    if mounted.returncode:
        pytest.skip("this user may not mount a file system")
    try:
        assert bad(machine.disk(load_settings(home=small))).level == "wrong"
    finally:
        subprocess.run(["umount", small], check=True)


@pytest.mark.parametrize(("ahead", "level"), [(0, "ok"), (20, "warn"), (-600, "wrong")])
def test_a_server_whose_clock_is_off_is_told(settings: Settings, ahead: float, level: str) -> None:
    with served({}, ahead) as port:
        (found,) = machine.clock(with_(settings, airflow_port=port))
    assert found.level == level
    assert ("behind this machine's clock" in found.says) == (ahead < 0)


def test_files_that_go_meanwhile_keep_no_disk_from_being_looked_at(settings: Settings) -> None:
    folder, ended = Path(settings.places.lake_root) / "items", threading.Event()

    def come_and_go() -> None:
        while not ended.is_set():
            folder.mkdir(parents=True, exist_ok=True)
            for number in range(20):
                (folder / str(number)).touch()
            shutil.rmtree(folder)

    other = threading.Thread(target=come_and_go)
    other.start()
    try:
        for _ in range(300):
            assert set(levels(machine.disk(settings))) <= {"ok", "warn"}
    finally:
        ended.set()
        other.join()


def test_a_disk_whose_clock_is_off_is_told(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    now = time.time
    monkeypatch.setattr(machine.time, "time", lambda: now() - 3600)
    found = bad(machine.clock(with_(settings)))
    assert found.level == "wrong"
    assert "file system" in found.says


@pytest.mark.slow
def test_a_gpu_that_torch_does_not_see_is_wrong(settings: Settings) -> None:
    found = bad(machine.gpu(with_(settings, gpus=99)))
    assert found.level == "wrong"
    assert "of 99 GPUs" in found.says


def test_no_gpu_is_asked_for_where_jobs_run_elsewhere(settings: Settings) -> None:
    assert levels(machine.gpu(with_(settings, gpus=99, job_place="docker", job_image="recpipe:gpu"))) == ["ok"]


# --- places


def test_a_folder_that_cannot_be_written_is_wrong(settings: Settings) -> None:
    assert "wrong" not in levels(places.folders(settings))
    before = sorted(settings.places.home.iterdir())
    settings.places.reports.write_text("a file where a folder has to be")
    found = [finding for finding in places.folders(settings) if finding.level == "wrong"]
    assert [finding.says for finding in found] == [f"{settings.places.reports} (reports) cannot be written: it is no folder"]
    settings.places.reports.unlink()
    assert sorted(settings.places.home.iterdir()) == before


FULL = """
import resource, sys
from recpipe.config import load_settings
from recpipe.maintenance.doctor import places
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
settings = load_settings(home=sys.argv[1])
print([finding.level for check in (places.folders, places.store) for finding in check(settings) if finding.check != "landing"])
"""


def test_a_disk_that_takes_no_byte_more_is_wrong(settings: Settings) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, settings.places.home], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "['wrong', 'wrong', 'wrong', 'wrong']"
    assert not [path for path in settings.places.home.rglob("*") if "doctor" in path.name]


SMALL_DISK = """
import contextlib, json, subprocess, sys
from recpipe.config import load_settings
from recpipe.maintenance.doctor import places
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", sys.argv[1]], check=True)
with open(f"{sys.argv[1]}/rest", "wb", buffering=0) as rest, contextlib.suppress(OSError):
    while rest.write(bytes(4096)):
        pass
settings = load_settings(home=sys.argv[1])
print(json.dumps([[finding.says, finding.remedy] for finding in [*places.folders(settings), *places.store(settings)]]))
"""


def test_a_full_disk_is_called_one_and_nobody_is_told_to_change_owners(settings: Settings) -> None:
    own_disk = ["unshare", "--map-root-user", "--mount"]
    if not shutil.which("unshare") or subprocess.run([*own_disk, "true"], check=False, capture_output=True).returncode:
        pytest.skip("this machine lets nobody mount a small disk of their own")
    done = subprocess.run(
        [*own_disk, sys.executable, "-c", SMALL_DISK, settings.places.home], capture_output=True, text=True, check=True
    )
    said = [(says, remedy) for says, remedy in json.loads(done.stdout) if "cannot be written" in says]
    assert len(said) == 4  # home, work, reports, lake
    for says, remedy in said:
        assert "the disk is full" in says
        assert "recpipe maintain" in remedy
        assert "chown" not in remedy


def test_the_lake_refuses_a_second_commit_and_nothing_stays_of_the_test(settings: Settings) -> None:
    assert levels(places.store(settings)) == ["ok"]
    assert not Path(settings.places.lake_root).exists()
    Path(settings.places.lake_root).write_text("no folder")
    assert bad(places.store(settings)).level == "wrong"


def test_a_landing_that_is_not_there_is_told(settings: Settings) -> None:
    assert bad(places.folders(settings)).check == "landing"
    settings.places.landing_root.mkdir(parents=True)
    assert set(levels(places.folders(settings))) == {"ok"}


def test_secrets_that_others_can_read_are_wrong(settings: Settings) -> None:
    file = settings.places.home / "airflow" / "login.json"
    file.parent.mkdir()
    file.write_text('{"admin": "hidden"}')
    file.chmod(0o640)
    found = bad(places.modes(settings))
    assert (found.level, found.remedy) == ("wrong", f"chmod 600 {file.resolve()}")
    file.chmod(0o600)
    assert levels(places.modes(settings)) == ["ok"]


# --- services

HEALTHY = {
    "metadatabase": {"status": "healthy"},
    **{name: {"status": "healthy", f"latest_{name}_heartbeat": "2026-01-01T00:00:00+00:00"} for name in running_services.PARTS},
}


def test_a_part_of_airflow_that_is_down_is_wrong(settings: Settings) -> None:
    down = {**HEALTHY, "scheduler": {**HEALTHY["scheduler"], "status": "unhealthy"}}
    for parts, expected in ((HEALTHY, ["ok", "ok", "ok"]), (down, ["wrong", "ok", "ok"])):
        with served({"/api/v2/monitor/health": json.dumps(parts)}) as port:
            found = list(running_services.airflow_health(with_(settings, airflow_port=port)))
        assert levels(found) == expected
    assert "scheduler is not healthy: its last heartbeat was" in found[0].says
    with served({"/api/v2/monitor/health": "<html>"}) as port:
        assert "another program" in list(running_services.airflow_health(with_(settings, airflow_port=port)))[-1].says


def test_what_is_not_started_is_told_with_the_command(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW_HOME")
    found = [bad(check(with_(settings))) for check in (running_services.airflow_health, running_services.mlflow_health)]
    assert [(one.level, one.remedy) for one in found] == [("warn", "Start it: recpipe up")] * 2
    assert bad(airflow_setup.airflow(with_(settings))) == Finding(
        "airflow", "warn", f"it was never started in {settings.places.home}", "Start it: recpipe up"
    )
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "CeleryExecutor")
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://127.0.0.1:16997")
    assert bad(running_services.airflow_health(with_(settings))).level == "wrong"
    assert bad(running_services.mlflow_health(with_(settings, mlflow_uri="http://127.0.0.1:16997"))).level == "wrong"


def test_another_version_of_mlflow_is_told(settings: Settings) -> None:
    with served({"/health": "OK", "/version": "1.27.0"}) as port:
        found = bad(running_services.mlflow_health(with_(settings, mlflow_uri=f"http://127.0.0.1:{port}")))
    assert found.level == "warn"
    assert "1.27.0" in found.says


def test_mlflow_that_the_whole_network_reaches_is_told(settings: Settings) -> None:
    with served({}) as port:
        assert levels(running_services.exposure(with_(settings, mlflow_port=port))) == ["ok"]
    with served({}, host="0.0.0.0") as port:  # noqa: S104
        found = bad(running_services.exposure(with_(settings, mlflow_port=port)))
    assert "asks for no login" in found.says


def test_a_webhook_that_cannot_be_reached_is_wrong_and_not_named(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as gone:
        gone.bind(("127.0.0.1", 0))
        monkeypatch.setenv("AIRFLOW__CELERY__BROKER_URL", f"redis://:hidden@127.0.0.1:{gone.getsockname()[1]}/0")
        address = f"http://127.0.0.1:{gone.getsockname()[1]}/hidden"
        found = list(running_services.channels(with_(settings, webhook=address, smtp=address, mail_to=["a@b.c"])))
    assert [(finding.check, finding.level) for finding in found] == [("webhook", "wrong"), ("mail", "wrong"), ("broker", "wrong")]
    assert "hidden" not in str(found)
    monkeypatch.delenv("AIRFLOW__CELERY__BROKER_URL")
    with served({}) as port:
        assert levels(running_services.channels(with_(settings, webhook=f"http://127.0.0.1:{port}/hidden"))) == ["ok"]
    assert bad(running_services.channels(with_(settings))).check == "notices"


# --- Airflow


@pytest.fixture(scope="module")
def ill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """What the probe says of an Airflow with a broken DAG file, without the pool and the secrets, where everybody is admin."""
    home = tmp_path_factory.mktemp("ill")
    (home / "dags").mkdir()
    (home / "dags" / "torn.py").write_text("from airflow.sdk import dag\nraise ValueError('torn')\n")
    (home / "airflow.cfg").write_text("[core]\nfernet_key =\n")
    with sqlite3.connect(home / "airflow.db") as database:
        database.execute("CREATE TABLE slot_pool (id INTEGER, pool TEXT, slots INTEGER)")
        database.execute("INSERT INTO slot_pool VALUES (1, 'default_pool', 128)")
    conf = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW_CONFIG": str(home / "airflow.cfg"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(home / "dags"),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "True",
        "AIRFLOW__API__SECRET_KEY": "hidden",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    known = airflow_setup._probe({**kept, **conf})
    assert known is not None
    return known


def test_the_probe_sees_what_is_there(ill: dict[str, object]) -> None:
    assert "hidden" not in json.dumps(ill)
    assert ill["database_error"] == ""
    assert ill["pools"] == {"default_pool": 128}
    assert ill["broken_dags"] == {"torn.py": "ValueError: torn"}
    assert ill["unset"] == ["AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET"]
    assert ill["everybody_is_admin"] is True
    assert airflow_setup.command(ill).level == "ok"


def test_what_airflow_lacks_is_wrong(ill: dict[str, object]) -> None:
    assert airflow_setup.pools(ill).says == "there is no pool gpu: training never starts"
    assert airflow_setup.pools({**ill, "pools": {"gpu": 0}}).level == "wrong"
    assert airflow_setup.pools({**ill, "pools": {"gpu": 2}}).says == "gpu has 2 slots"
    assert "torn.py: ValueError: torn" in airflow_setup.dags(ill).says
    assert airflow_setup.dags({**ill, "broken_dags": {}}).level == "wrong"
    assert airflow_setup.dags({**ill, "broken_dags": {}, "dags": 13}).level == "ok"
    assert "without a login" in airflow_setup.keys(ill).says
    assert "JWT_SECRET" in airflow_setup.keys({**ill, "everybody_is_admin": False}).says
    assert airflow_setup.keys({**ill, "everybody_is_admin": False, "unset": []}).level == "ok"
    assert airflow_setup.database(ill).level == "ok"
    assert airflow_setup.database({**ill, "executor": "CeleryExecutor"}).level == "wrong"
    assert airflow_setup.database({**ill, "database_error": "OperationalError"}).level == "wrong"
    assert airflow_setup.command({**ill, "backfill": False}).level == "wrong"


def test_an_airflow_that_cannot_be_asked_is_wrong(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(settings.places.home))
    (settings.places.home / "airflow").mkdir()
    (settings.places.home / "airflow" / "__init__.py").write_text(
        "raise SystemExit(3)"
    )  # something else of this name is found first
    monkeypatch.setenv("AIRFLOW__CORE__EXECUTOR", "LocalExecutor")
    assert bad(airflow_setup.airflow(settings)).level == "wrong"


# --- models and keys


def test_another_key_than_the_lakes_is_wrong(settings: Settings) -> None:
    keyed = with_(settings, user_key="ab" * 32)
    assert levels(served_models.user_key(keyed)) == ["ok"]
    rows = pa.Table.from_pylist([{"day": DAY, "item_id": "a", "title": "cup", "available": True}], schema=ITEMS.schema)
    Lake.from_settings(keyed).publish("items", [DAY], rows)
    assert levels(served_models.user_key(keyed)) == ["ok"]
    for other in (with_(settings, user_key="cd" * 32), with_(settings, user_key="short")):
        assert bad(served_models.user_key(other)).level == "wrong"
    found = bad(served_models.user_key(with_(settings)))  # it may stand in a connection, which the doctor does not ask
    assert (found.level, "recpipe_user_key" in found.remedy) == ("warn", True)
    assert "abab" not in str(bad(served_models.user_key(with_(settings, user_key="cd" * 32))))


def test_an_encoder_that_does_not_load_and_no_champion_are_told(settings: Settings) -> None:
    found = list(served_models.encoder_and_champion(with_(settings, encoder=str(settings.places.home / "gone"))))
    assert [(finding.check, finding.level) for finding in found] == [("encoder", "wrong"), ("champion", "warn")]


def test_a_champion_of_another_encoder_is_wrong(settings: Settings) -> None:
    from recpipe.registry.store import client, experiment_id

    store = client(settings)
    run = store.create_run(experiment_id(store, settings.places)).info
    store.log_param(run.run_id, "encoder", "feed" * 16)
    store.create_registered_model(settings.promotion.registered_model)
    tags = {"content": "0", "trained_until": "2011-09-01", "fitted_until": "2011-09-01", "promoted_on": "2011-09-01"}
    store.create_model_version(settings.promotion.registered_model, run.artifact_uri, run.run_id, tags=tags)
    champion = served_models._champion(settings)
    assert champion == ("1", "feed" * 16)
    assert bad(served_models._compared(settings, champion, "beef" * 16)).level == "wrong"
    assert levels(served_models._compared(settings, champion, "feed" * 16)) == ["ok"]
    name, tags = settings.promotion.registered_encoder, {**tags, "content": "feed" * 16}
    store.create_registered_model(name)
    store.create_model_version(name, run.artifact_uri, run.run_id, tags=tags)
    assert levels(served_models._compared(settings, champion, "beef" * 16)) == ["ok"]  # nights read with the registered one


# --- the whole


def test_a_check_that_breaks_is_a_finding_without_its_text(settings: Settings) -> None:
    def broken(settings: Settings) -> list[Finding]:
        raise ValueError("hidden")

    (found,) = examine(settings, {"store": broken})
    assert (found.check, found.level) == ("store", "wrong")
    assert "hidden" not in str(found)


def test_the_command_tells_a_bad_setting_and_ends_with_1() -> None:
    done = CliRunner().invoke(app, ["doctor", "--json"], env={"RECPIPE_TOP_K": "none"})
    assert done.exit_code == 1
    (found,) = json.loads(done.output)
    assert (found["check"], found["level"]) == ("settings", "wrong")
    assert "RECPIPE_TOP_K" in found["says"]


def test_the_command_shows_a_line_a_finding(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in CHECKS.keys() - {"python", "modes"}:
        monkeypatch.delitem(CHECKS, name)
    environment = {"RECPIPE_HOME": str(settings.places.home)}
    done = CliRunner().invoke(app, ["doctor"], env=environment)
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[-1] == "0 wrong, 0 to look at, of 2 findings."
    (settings.places.home / "airflow").mkdir()
    (settings.places.home / "airflow" / "airflow.cfg").touch(0o644)
    done = CliRunner().invoke(app, ["doctor"], env=environment)
    assert done.exit_code == 1
    assert "       -> chmod 600 " in done.output
