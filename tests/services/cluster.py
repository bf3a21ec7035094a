"""Airflow on Postgres with Celery workers, and MLflow on Postgres and S3: what docker/compose.yaml describes, on this machine.

Commands and environment are read from compose.yaml; only addresses, folders and patience are other ones.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]  # its stubs are no dependency
from programs import Program, free_port, wait_until
from stores import KEYS, PASSWORDS, Stores

from recpipe.config.settings import Settings, load_settings
from recpipe.local.home import ENVIRONMENT

REPOSITORY = Path(__file__).parents[2]
DOCKER = REPOSITORY / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())["services"]
ADMIN = ("admin", "of-the-tests-4")
STOP_SECONDS = 8.0
PATIENCE = {
    # a worker that was killed is missed after half a minute; what it had not begun is handed to another after two, so that a
    # busy machine is not taken for a dead one
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "30",
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "120",
    "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
    "RECPIPE_RETRY_SECONDS": "1",
    "RECPIPE_POLL_SECONDS": "0.5",
    "RECPIPE_BACKFILL_WAIT_MINUTES": "0.5",
}


@dataclass
class Cluster:
    """A running Airflow and MLflow.

    Attributes
    ----------
    stores
        PostgreSQL, Redis and S3 beneath.
    folder
        Logs of the programs; ``folder / "data"`` is the home that every worker shares, with the task logs in ``airflow/logs``.
    environment
        The whole environment in which ``airflow``, ``recpipe`` and Python work on the cluster.
    settings
        recpipe's settings as the tasks read them.
    programs
        By name: api-server, scheduler, dag-processor, triggerer, worker-1, worker-2, worker-gpu, mlflow. Each that ends by
        itself is started again, as compose's ``restart: unless-stopped`` would; what stands in ``left_dead`` is not.
    """

    stores: Stores
    folder: Path
    environment: dict[str, str]
    settings: Settings
    programs: dict[str, Program]
    left_dead: set[str] = field(default_factory=set)
    _over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Address of Airflow's pages and API."""
        return f"http://127.0.0.1:{self.environment['AIRFLOW__API__PORT']}"

    def start(self, words: Sequence[str]) -> subprocess.Popen[str]:
        """Start a command (``airflow``, ``recpipe``, ``python`` …) on the cluster; its output is one pipe."""
        return subprocess.Popen(
            [shutil.which(words[0], path=self.environment["PATH"]) or words[0], *words[1:]], env=self.environment, cwd=self.folder,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *words: str, seconds: float = 500) -> str:
        """Run a command on the cluster and return what it said; fails if it fails."""
        process = self.start(words)
        try:
            said = process.communicate(timeout=seconds)[0]
        finally:
            process.kill()
        assert process.returncode == 0, f"{' '.join(words)}\n{said[-6000:]}"
        return said

    def kill(self, name: str) -> None:
        """End a program and all its processes with -9; it stays dead until `revive`."""
        self.left_dead.add(name)
        self.programs[name].kill()

    def revive(self, name: str) -> None:
        """Start a program again that was killed."""
        self.programs[name].start()
        self.left_dead.discard(name)

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Ask Airflow's database."""
        import psycopg2

        connection = psycopg2.connect(self.stores.database("airflow", "postgresql"))
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def api(self, path: str, token: str = "", data: Mapping[str, Any] | None = None) -> Any:
        """Ask Airflow's API; raises HTTPError."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})}
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, headers)  # noqa: S310  # our own address
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def token(self) -> str:
        """Log the administrator in, and return the token for `api`."""
        return str(self.api("/auth/token", data={"username": ADMIN[0], "password": ADMIN[1]})["access_token"])

    def keep(self) -> None:
        """Start again what ends by itself, until the cluster is stopped."""
        while not self._over.wait(0.5):
            for name, program in self.programs.items():
                if name not in self.left_dead and not program.alive and not self._over.is_set():
                    program.start()

    def stop(self) -> None:
        """Stop everything but the stores."""
        self._over.set()
        for program in self.programs.values():
            program.ask_to_end()
        until = time.monotonic() + STOP_SECONDS
        for program in self.programs.values():
            program.stop(seconds=max(0.0, until - time.monotonic()))


def start_cluster(stores: Stores, shop: Mapping[str, str]) -> Cluster:
    """Start Airflow and MLflow on the stores, with the settings of a shop, and return them when they are healthy."""
    folder = stores.folder / "cluster"
    ports = {name: free_port() for name in ("api-server", "mlflow")}
    environment = _environment(stores, folder, ports, shop)
    programs = {
        name: Program(name, command, env, folder) for name, (command, env) in _commands(environment, stores, ports).items()
    }
    cluster = Cluster(stores, folder, environment, _settings(environment), programs)
    try:
        cluster.run("bash", str(DOCKER / "init.sh"))
        for program in programs.values():
            program.start()
        wait_until("Airflow and MLflow are healthy", lambda: _healthy(cluster), list(programs.values()), seconds=300)
    except BaseException:
        cluster.stop()
        raise
    threading.Thread(target=cluster.keep, daemon=True).start()
    return cluster


def _environment(stores: Stores, folder: Path, ports: Mapping[str, int], shop: Mapping[str, str]) -> dict[str, str]:
    """Return what compose.yaml sets, with addresses and folders of this machine."""
    from cryptography.fernet import Fernet

    data = folder / "data"
    (data / "landing").mkdir(parents=True)
    _copy_dags(folder / "dags")
    given = {
        **PASSWORDS, "AIRFLOW_FERNET_KEY": Fernet.generate_key().decode(), "AIRFLOW_SECRET_KEY": "of-the-tests-5" * 4,
        "AIRFLOW_JWT_SECRET": "of-the-tests-6" * 5, "RECPIPE_FIRST_DAY": shop["RECPIPE_FIRST_DAY"], "S3_ACCESS_KEY": KEYS["AWS_ACCESS_KEY_ID"],
    }  # fmt: skip
    here = _addresses(stores, ports)
    composed = {name: here(_filled(value, given)) for name, value in COMPOSE["scheduler"]["environment"].items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "RECPIPE_", "MLFLOW_", "AWS_"))}
    return {
        **kept, **ENVIRONMENT, **composed, **PATIENCE, **shop,
        "PATH": f"{_programs_here(folder)}:{kept['PATH']}",
        "AIRFLOW_HOME": str(data / "airflow"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(folder / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(REPOSITORY / "plugins"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(ports["api-server"]),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{ports['api-server']}",
        "AIRFLOW__API__WORKERS": "1",
        "RECPIPE_HOME": str(data),
        "RECPIPE_ENV_FILE": "",
        "ADMIN_USER": ADMIN[0], "ADMIN_PASSWORD": ADMIN[1], "GPUS": "1",
    }  # fmt: skip


def _addresses(stores: Stores, ports: Mapping[str, int]) -> Any:
    """Return what puts addresses of this machine where compose.yaml has its services'."""
    known = {
        "@postgres/": f"@127.0.0.1:{stores.postgres_port}/", "@redis:6379": f"@127.0.0.1:{stores.redis_port}",
        "s3:9000": f"127.0.0.1:{stores.s3_port}", "api-server:8080": f"127.0.0.1:{ports['api-server']}",
        "127.0.0.1:8080": f"127.0.0.1:{ports['api-server']}", "127.0.0.1:5000": f"127.0.0.1:{ports['mlflow']}",
        "http://mlflow:5000": f"http://127.0.0.1:{ports['mlflow']}",
    }  # fmt: skip

    def here(value: str) -> str:
        for there, address in known.items():
            value = value.replace(there, address)
        return value

    return here


def _filled(value: str, given: Mapping[str, str]) -> str:
    """Fill in the variables of compose.yaml as docker compose does: with a default, an error, or another text where one is set."""

    def fill(found: re.Match[str]) -> str:
        name, how, other = found.groups()
        if how == "+":
            return other if given.get(name) else ""
        return given.get(name, other or "")

    return re.sub(r"\$\{(\w+)(?::([-?+])([^}]*))?\}", fill, value)


def _programs_here(folder: Path) -> Path:
    """Make programs that run in the environment of these tests, where the image has them on its path."""
    place = folder / "bin"
    place.mkdir()
    python = shlex.quote(sys.executable)
    for name, words in {"airflow": "-m airflow", "mlflow": "-m mlflow", "recpipe": "-m recpipe.cli", "python": ""}.items():
        (place / name).write_text(f'#!/bin/sh\nexec {python} {words} "$@"\n')
        (place / name).chmod(0o755)
    return place


def _copy_dags(place: Path) -> None:
    for source in (REPOSITORY / "dags", Path(__file__).parent / "dags"):
        if source.is_dir():
            shutil.copytree(source, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))


def _commands(
    environment: dict[str, str], stores: Stores, ports: Mapping[str, int]
) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return command and environment of every program, as compose.yaml has them."""
    bin_here = environment["PATH"].partition(":")[0]

    def command(service: str, **other: str) -> list[str]:
        program, *words = [other.get(word, word) for word in COMPOSE[service]["command"]]
        return [f"{bin_here}/{program}", *words]

    found = {name: (command(name), environment) for name in ("api-server", "scheduler", "dag-processor")}
    # logs are read from the folder that all share, so nobody has to serve them on a port
    found["triggerer"] = ([*command("triggerer"), "--skip-serve-logs"], environment)
    for name, service in {"worker-1": "worker", "worker-2": "worker", "worker-gpu": "worker-gpu"}.items():
        words = [*command(service, **{"4": "2"}), "--skip-serve-logs", "--celery-hostname", f"{name}@%h"]
        found[name] = (words, environment)
    here = _addresses(stores, ports)
    own = {
        name: here(_filled(value, {**PASSWORDS, "S3_ACCESS_KEY": "recpipe"}))
        for name, value in COMPOSE["mlflow"]["environment"].items()
    }
    words = command("mlflow", **{"0.0.0.0": "127.0.0.1", "5000": str(ports["mlflow"])})  # noqa: S104  # it is replaced
    found["mlflow"] = ([*words, "--workers", "1"], {**environment, **own})
    return found


def _settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that the environment names, without leaving it set."""
    before = dict(os.environ)
    os.environ.update({name: value for name, value in environment.items() if name.startswith("RECPIPE_")})
    try:
        return load_settings()
    finally:
        os.environ.clear()
        os.environ.update(before)


def _healthy(cluster: Cluster) -> bool:
    try:
        parts = cluster.api("/api/v2/monitor/health")
        with urllib.request.urlopen(f"{cluster.settings.places.mlflow_uri}/health", timeout=10) as answer:  # noqa: S310
            healthy = answer.status == 200
        cluster.api("/execution/health")
    except (urllib.error.URLError, OSError, ValueError):
        return False
    states = [(parts.get(name) or {}).get("status") for name in ("scheduler", "dag_processor", "triggerer")]
    files = len(list((cluster.folder / "dags").glob("*.py")))
    ready = all("ready." in program.log.read_text() for name, program in cluster.programs.items() if name.startswith("worker"))
    return ready and healthy and states == ["healthy"] * 3 and cluster.query("SELECT count(*) FROM serialized_dag")[0][0] >= files
