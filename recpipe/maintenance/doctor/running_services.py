"""Checks of the services: answers, health, and exposure."""

from __future__ import annotations

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import metadata
from typing import Any, Final
from urllib.parse import urlsplit

from recpipe.config.settings import Settings
from recpipe.local.home import base_url, mlflow_url, serves_mlflow
from recpipe.maintenance.doctor.airflow_setup import embedded
from recpipe.maintenance.doctor.finding import Finding, ok, warn, wrong

ANSWER_SECONDS: Final = 4.0
PARTS: Final = {"scheduler": "scheduler", "triggerer": "triggerer", "dag_processor": "dag-processor"}
PORTS: Final = {"https": 443, "http": 80, "smtps": 465, "smtp": 25, "redis": 6379, "rediss": 6379, "amqp": 5672}


def airflow_url(settings: Settings) -> str:
    """Return the address under which Airflow is asked: the environment's where it is set up there."""
    given = os.environ.get("AIRFLOW__API__BASE_URL", "")
    return base_url(settings) if embedded() or not given else given.rstrip("/")


def airflow_health(settings: Settings) -> Iterator[Finding]:
    """Say whether the api-server, scheduler, triggerer and DAG processor run."""
    text = _get(f"{airflow_url(settings)}/api/v2/monitor/health")
    if text is None:
        yield _not_running("airflow services", "Airflow does not answer", "recpipe up")
        return
    parts = _json(text)
    for key, name in PARTS.items():
        part = parts.get(key) or {}
        if part.get("status") == "healthy":
            yield ok("airflow services", f"{name} is healthy")
        else:
            beat = part.get(f"latest_{key}_heartbeat")
            since = f"its last heartbeat was {_ago(str(beat))}" if beat else "it never gave a sign"
            yield wrong(
                "airflow services",
                f"{name} is not healthy: {since}",
                f"Start it: `recpipe up`, or `airflow {name}`; read its log.",
            )
    if not parts:
        yield wrong(
            "airflow services",
            "another program answers at Airflow's address",
            "Look at RECPIPE_AIRFLOW_PORT and AIRFLOW__API__BASE_URL.",
        )


def mlflow_health(settings: Settings) -> Iterator[Finding]:
    """Say whether MLflow's database is whole, and whether MLflow answers, in this environment's version."""
    from recpipe.local.mlflow_database import fault_of, sqlite_file

    file = sqlite_file(settings.places.tracking_uri)
    if file is not None and (fault := fault_of(file)):
        says, _, remedy = fault.partition(". ")
        yield wrong("mlflow", says, remedy)
        return
    url = mlflow_url(settings.local) if serves_mlflow(settings.places) else settings.places.tracking_uri
    if not url.startswith("http"):
        yield ok("mlflow", "a database is used without a server")
        return
    if _get(f"{url}/health") is None:
        if serves_mlflow(settings.places):
            yield _not_running("mlflow", "its pages do not answer; recpipe works on its database without them", "recpipe up")
        else:
            yield wrong("mlflow", "the tracking server does not answer", "Start it, or mend RECPIPE_MLFLOW_URI.")
        return
    there, here = (_get(f"{url}/version") or "unknown").strip(), metadata.version("mlflow")
    if there == here:
        yield ok("mlflow", f"version {there} answers")
    else:
        yield warn(
            "mlflow",
            f"the server is version {there[:20]}, this environment has {here}",
            "Install the same version on both sides.",
        )


def exposure(settings: Settings) -> Iterator[Finding]:
    """Say whether somebody else on the network reaches pages that ask for no login, or send it in plain text."""
    listening = _listening_everywhere()
    for name, port, auth in (("Airflow", settings.local.airflow_port, True), ("MLflow", settings.local.mlflow_port, False)):
        if port not in listening:
            continue
        login = "its pages ask for a login, in plain http" if auth else "it asks for no login"
        remedy = "Bind it to 127.0.0.1, and put a proxy with TLS and a login before it (docs/security.md)."
        yield warn("exposure", f"{name} listens to the whole network on port {port}, and {login}", remedy)
    if not listening & {settings.local.airflow_port, settings.local.mlflow_port}:
        yield ok("exposure", "neither Airflow nor MLflow listens to the network on this machine")


def channels(settings: Settings) -> Iterator[Finding]:
    """Say whether the webhook, the mail server and the broker can be reached; nothing is sent."""
    asked = {
        "webhook": (settings.notices.webhook.get_secret_value(), "RECPIPE_WEBHOOK"),
        "mail": (settings.notices.smtp.get_secret_value(), "RECPIPE_SMTP"),
        "broker": (os.environ.get("AIRFLOW__CELERY__BROKER_URL", ""), "AIRFLOW__CELERY__BROKER_URL"),
    }
    for name, (url, setting) in asked.items():
        if not url:
            continue
        if _connects(url):  # the address may hold a secret: it is not said
            yield ok(name, "can be reached")
        else:
            yield wrong(
                name, f"the address in {setting} cannot be reached", f"Look at {setting}, at the name service, and at firewalls."
            )
    if not asked["webhook"][0] and not (asked["mail"][0] and settings.notices.mail_to):
        yield warn(
            "notices",
            "nobody is told of failures, unless Airflow's connection recpipe_webhook or recpipe_smtp says whom",
            "Make one of them, or set RECPIPE_WEBHOOK, or RECPIPE_SMTP and RECPIPE_MAIL_TO.",
        )


def _not_running(check: str, says: str, start: str) -> Finding:
    """Warn of a home that is not started, which is fine on a laptop; an installation that the environment names is down."""
    if embedded():
        return warn(check, f"not running: {says}", f"Start it: {start}")
    return wrong(check, f"not running: {says}", "Start its services, or mend AIRFLOW__API__BASE_URL.")


def _get(url: str) -> str | None:
    try:
        with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:  # noqa: S310  # of the settings
            return str(answer.read(100_000).decode(errors="replace"))
    except (urllib.error.URLError, OSError, ValueError):
        return None


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _ago(beat: str) -> str:
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(beat)).total_seconds()
    except (ValueError, TypeError):
        return "some time ago"
    return f"{seconds:,.0f} s ago"


def _listening_everywhere() -> set[int]:
    """Return the ports of this machine on which some program listens on every address."""
    import psutil

    try:
        found = psutil.net_connections("tcp")
    except (psutil.Error, OSError):
        return set()
    addresses: list[Any] = [entry.laddr for entry in found if entry.status == psutil.CONN_LISTEN]
    return {address.port for address in addresses if address.ip in ("0.0.0.0", "::")}  # noqa: S104  # compared, not bound


def _connects(url: str) -> bool:
    parts = urlsplit(url)
    try:
        port = parts.port or PORTS.get(parts.scheme.split("+")[0], 0)
        with socket.create_connection((parts.hostname or "", port), timeout=ANSWER_SECONDS):
            return True
    except (OSError, ValueError):
        return False
