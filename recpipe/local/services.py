"""The services of the embedded home: start, watch, stop.

A service is a process that leads a session of its own; everything it starts (executor workers, tasks, jobs) stays in
that session and is stopped with it. ``HOME/run/NAME.json`` says which process it is, ``HOME/logs/NAME.log`` what it said.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.errors import RecpipeError
from recpipe.local import home as places

log = logging.getLogger(__name__)

BEATING = ("scheduler", "dag-processor", "triggerer")
START_SECONDS = 180.0
STOP_SECONDS = 15.0
KILL_SECONDS = 5.0


@dataclass(frozen=True)
class Service:
    """How one service is started and where it listens (0: nowhere)."""

    name: str
    command: tuple[str, ...]
    port: int = 0


@dataclass(frozen=True)
class ServiceState:
    """What `status` says of one service."""

    name: str
    pid: int | None
    healthy: bool
    url: str


def services(settings: Settings) -> list[Service]:
    """Return the services of the home, in the order they are started."""
    airflow = (sys.executable, "-m", "airflow")
    warm = (sys.executable, "-m", "recpipe.local.warm", ",".join(settings.local.preload))
    found = [
        Service("api-server", (*airflow, "api-server"), settings.local.airflow_port),
        # logs are read from disk by the api-server, so nobody has to serve them on a port
        Service("scheduler", (*warm, "scheduler", "--skip-serve-logs")),
        Service("dag-processor", (*airflow, "dag-processor")),
        Service("triggerer", (*airflow, "triggerer", "--skip-serve-logs")),
    ]
    if places.serves_mlflow(settings.places):
        found.append(Service("mlflow", _mlflow(settings), settings.local.mlflow_port))
    return found


def _mlflow(settings: Settings) -> tuple[str, ...]:
    return (
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(settings.local.mlflow_port),
        "--allowed-hosts", "127.0.0.1:*,localhost:*",  # no page of the web whose name points here
        "--workers", "1", "--backend-store-uri", settings.places.tracking_uri, "--no-serve-artifacts",
        "--default-artifact-root", (settings.places.home.resolve() / "mlflow" / "artifacts").as_uri(),
    )  # fmt: skip


def up(settings: Settings, say: Callable[[str], None] = log.info) -> list[ServiceState]:
    """Start what does not run yet and wait until all of it is healthy.

    Parameters
    ----------
    settings
        Names the home and the ports.
    say
        Is told of the progress, a line a time.

    Raises
    ------
    RecpipeError
        If a port is taken, a DAG file cannot be imported, or a service dies or is not healthy in time; the text names
        the log to read.
    """
    missing = [service for service in services(settings) if _process(settings.places, service.name) is None]
    if missing:
        _check_ports(missing)
        places.write_home(settings)
        early = [service for service in missing if service.name == "mlflow"]  # it does not need Airflow's database
        if early:
            _make_database(settings.places)
        for service in early:
            _start(settings, service, say)
        say("preparing Airflow's database, pools and DAGs")
        _prepare(settings)
        for service in missing:
            if service not in early:
                _start(settings, service, say)
    return _wait(settings, say)


def _make_database(places: PlaceSettings) -> None:
    """See that MLflow's file is whole before its server opens it; the server would not notice that it was killed while it made it."""
    from recpipe.local.mlflow_database import ready

    ready(places.tracking_uri)


def status(settings: Settings) -> list[ServiceState]:
    """Say of each service whether it runs and is healthy."""
    running = {
        service.name: found for service in services(settings) if (found := _process(settings.places, service.name)) is not None
    }
    healthy = _health(settings, running)
    urls = {"api-server": places.base_url(settings), "mlflow": places.mlflow_url(settings.local)}
    states = []
    for service in services(settings):
        process = running.get(service.name)
        states.append(
            ServiceState(
                service.name,
                process.pid if process else None,
                process is not None and healthy.get(service.name, False),
                urls.get(service.name, ""),
            )
        )
    return states


def down(settings: Settings, say: Callable[[str], None] = log.info) -> list[str]:
    """Stop every service with all that it started, also where the service itself has ended; returns the names of those that ran.

    Raises
    ------
    RecpipeError
        If something still runs afterwards; the text names the processes.
    """
    running = {service.name: found for service in services(settings) if (found := _with_all(settings.places, service.name))}
    for name, group in running.items():
        say(f"stopping {name} (process {group[-1].pid})")
        for member in group:
            _send(member, signal.SIGTERM)
    _, left = psutil.wait_procs([member for group in running.values() for member in group], timeout=STOP_SECONDS)
    late = [member for name in running for member in _with_all(settings.places, name)]
    for member in {*left, *late}:
        _send(member, signal.SIGKILL)
    psutil.wait_procs({*left, *late}, timeout=KILL_SECONDS)
    still = {name: group for name in running if (group := _with_all(settings.places, name))}
    for name in running.keys() - still.keys():
        _pid_file(settings.places, name).unlink(missing_ok=True)
    if still:
        named = "; ".join(f"{name}: {', '.join(str(member.pid) for member in group)}" for name, group in still.items())
        raise RecpipeError(
            f"Not stopped, though killed (processes of {named}): see who owns them and what they wait for (`ps -fp`)."
        )
    return list(running)


# --- processes


def _pid_file(places: PlaceSettings, name: str) -> Path:
    return places.home.resolve() / "run" / f"{name}.json"


def _process(places: PlaceSettings, name: str) -> psutil.Process | None:
    """Return the running process of a service; a process id that was given to another program since does not count."""
    try:
        noted = json.loads(_pid_file(places, name).read_text())
        process = psutil.Process(noted["pid"])
        alive = abs(process.create_time() - noted["created"]) < 1 and process.status() != psutil.STATUS_ZOMBIE
    except (OSError, ValueError, KeyError, psutil.Error):
        return None
    return process if alive else None


def _with_all(places: PlaceSettings, name: str) -> list[psutil.Process]:
    """Return the processes of a service: what it started, the newest first, then itself.

    Tasks first: the scheduler waits for them otherwise. Of a service that has ended alone, those are left that have this home.
    """
    process = _process(places, name)
    if process is not None:
        return [*reversed(_session(process.pid)), process]
    try:
        noted = int(json.loads(_pid_file(places, name).read_text())["pid"])
    except (OSError, ValueError, KeyError):
        return []
    return [member for member in reversed(_session(noted)) if _home_of(member) == str(places.home.resolve())]


def _home_of(process: psutil.Process) -> str:
    try:
        return str(process.environ().get("RECPIPE_HOME", "")) if process.status() != psutil.STATUS_ZOMBIE else ""
    except (OSError, psutil.Error):
        return ""


def _session(leader: int) -> list[psutil.Process]:
    """Return the other processes of a session."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != leader and os.getsid(process.pid) == leader:
                found.append(process)
        except (OSError, psutil.Error):
            continue
    return found


def _send(process: psutil.Process, number: int) -> None:
    try:
        process.send_signal(number)
    except psutil.Error:
        log.debug("process %s had ended", process.pid)


def _start(settings: Settings, service: Service, say: Callable[[str], None]) -> None:
    path = places.logs(settings) / f"{service.name}.log"
    with path.open("ab") as output:
        process = subprocess.Popen(
            service.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=places.process_environment(settings),
            cwd=places.airflow_home(settings.places),
            start_new_session=True,
        )
    noted = {"pid": process.pid, "created": psutil.Process(process.pid).create_time()}
    _pid_file(settings.places, service.name).write_text(json.dumps(noted))
    say(f"starting {service.name} (process {process.pid}, log {path})")


def _check_ports(missing: list[Service]) -> None:
    for service in missing:
        if service.port and not _free(service.port):
            setting = "RECPIPE_MLFLOW_PORT" if service.name == "mlflow" else "RECPIPE_AIRFLOW_PORT"
            raise RecpipeError(
                f"Port {service.port} of 127.0.0.1, which {service.name} needs, is taken by another program. "
                f"Stop that program, or set {setting} to a free port."
            )


def _free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _prepare(settings: Settings) -> None:
    own = settings.local.train_slots or settings.local.gpus or len(list(Path("/dev").glob("nvidia[0-9]*")))
    slots = max(1, own, settings.jobs.job_gpus)  # a job that shares its work takes one a GPU, and would wait for ever
    path = places.logs(settings) / "prepare.log"
    with path.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-m", "recpipe.airflow.backfill.database_setup", str(slots)],
            env=places.process_environment(settings),
            cwd=places.airflow_home(settings.places),
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode:
        raise RecpipeError(f"Airflow could not be prepared: {_last_lines(path)} The whole of it stands in {path}.")


# --- health


def _wait(settings: Settings, say: Callable[[str], None]) -> list[ServiceState]:
    """Wait until every service is healthy, and return how they were found then; each is told of once."""
    told: set[str] = set()
    until = time.monotonic() + START_SECONDS
    while True:
        states = status(settings)
        for state in states:
            if state.pid is None:
                path = places.logs(settings) / f"{state.name}.log"
                raise RecpipeError(f"{state.name} ended while it was starting: {_last_lines(path)} Read {path}.")
            if state.healthy and state.name not in told:
                told.add(state.name)
                say(f"{state.name} is up")
        waiting = [state.name for state in states if not state.healthy]
        if not waiting:
            return states
        if time.monotonic() > until:
            raise RecpipeError(
                f"{', '.join(waiting)} did not become healthy in {START_SECONDS:.0f} s. Read the logs in "
                f"{places.logs(settings)}, then run `recpipe down` and `recpipe up`."
            )
        time.sleep(0.5)


def _health(settings: Settings, running: Mapping[str, psutil.Process]) -> dict[str, bool]:
    """Ask the services themselves: Airflow's monitor speaks for its four."""
    text = _get(f"{places.base_url(settings)}/api/v2/monitor/health")
    parts = json.loads(text) if text else {}
    found = {name: _beats(parts, name.replace("-", "_"), running[name]) for name in BEATING if name in running}
    # tasks talk to another part of the api-server, which is built at its first request: some seconds, so that comes here
    found["api-server"] = text is not None and _get(f"{places.base_url(settings)}/execution/health", seconds=60) is not None
    found["mlflow"] = _get(f"{places.mlflow_url(settings.local)}/health") is not None
    return found


def _beats(parts: Mapping[str, Any], key: str, process: psutil.Process) -> bool:
    """Return whether a part gave a sign of life since its process began: Airflow's monitor counts that of one before it, too."""
    part = parts.get(key) or {}
    last = part.get(f"latest_{key}_heartbeat")
    if part.get("status") != "healthy" or not last:
        return False
    try:
        return datetime.fromisoformat(str(last)).timestamp() >= process.create_time() - 1
    except psutil.Error:
        return False


def _get(url: str, seconds: float = 5) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310  # our own address, http
            return str(answer.read().decode())
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _last_lines(path: Path, count: int = 3) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()] if path.exists() else []
    return " / ".join(lines[-count:]) or "it said nothing."
