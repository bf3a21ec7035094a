"""The set-up of Airflow, asked in a process of its own, which imports Airflow (`recpipe.airflow.backfill.setup_probe`)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.local.home import airflow_home, process_environment
from recpipe.maintenance.doctor.finding import Finding, ok, warn, wrong

PROBE_SECONDS: Final = 120
FOREIGN: Final = (
    "AIRFLOW_HOME",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD",
    "AIRFLOW__CORE__EXECUTOR",
)
"""Variables that say that Airflow is set up by the environment, and not in the embedded home."""


def airflow(settings: Settings) -> Iterator[Finding]:
    """Ask the probe once, and look at each of its answers."""
    environment = _environment(settings)
    if environment is None:
        yield warn("airflow", f"it was never started in {settings.places.home}", "Start it: recpipe up")
        return
    known = _probe(environment)
    if known is None:
        yield wrong(
            "airflow", "it cannot be asked: its configuration or its installation is broken", "Run `airflow info`: it says why."
        )
        return
    for look in (database, pools, command, dags, keys):
        yield look(known)


def embedded() -> bool:
    """Whether Airflow lives in the home, since the environment names no other."""
    return not any(os.environ.get(name) for name in FOREIGN)


def database(known: Mapping[str, Any]) -> Finding:
    """Say whether the database answers, and is one for this executor."""
    kind, executor = str(known["database"]), str(known["executor"]).rsplit(".", 1)[-1]
    if known["database_error"]:
        remedy = (
            "Look at AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, and run `airflow db check`; a new one is made by `airflow db migrate`."
        )
        return wrong("database", f"Airflow's database ({kind}) does not answer: {known['database_error']}", remedy)
    if kind == "sqlite" and executor != "LocalExecutor":
        says = f"Airflow's database is SQLite, which workers of {executor} on other machines cannot use"
        return wrong("database", says, "Use Postgres (docker/compose.yaml), or LocalExecutor.")
    one = "; good for one machine, use Postgres for more" if kind == "sqlite" else ""
    return ok("database", f"{kind} with {executor} answers{one}")


def pools(known: Mapping[str, Any]) -> Finding:
    """Say whether there is a pool for training."""
    slots = known["pools"].get("gpu")
    if slots:
        return ok("pools", f"gpu has {slots} {'slot' if slots == 1 else 'slots'}")
    says = "the pool gpu has no slot: training waits for ever" if slots == 0 else "there is no pool gpu: training never starts"
    return wrong("pools", says, "airflow pools set gpu 1 'training jobs: one slot a GPU, at least one'")


def command(known: Mapping[str, Any]) -> Finding:
    """Say whether Airflow knows the provider's command."""
    if known["backfill"]:
        return ok("provider", "`airflow dags backfill` is there")
    says = "`airflow dags backfill` is missing: Airflow does not see recpipe as a provider"
    return wrong("provider", says, f"Install recpipe into Airflow's environment: {sys.executable} -m pip install .")


def dags(known: Mapping[str, Any]) -> Finding:
    """Say whether every DAG file can be imported."""
    broken = known["broken_dags"]
    if not broken and not known["dags"]:
        return wrong(
            "dags", "there are none in Airflow's folder of DAGs", "Set AIRFLOW__CORE__DAGS_FOLDER to what `recpipe dags` prints."
        )
    if not broken:
        return ok("dags", f"{known['dags']} are imported without errors")
    file, error = next(iter(broken.items()))
    return wrong(
        "dags", f"{len(broken)} DAG files cannot be imported; {file}: {error}", "Mend them: airflow dags list-import-errors"
    )


def keys(known: Mapping[str, Any]) -> Finding:
    """Say whether the secrets are set that Airflow's processes have to share."""
    if known["everybody_is_admin"]:
        says = "everybody who reaches Airflow's pages is an admin, without a login"
        return wrong("keys", says, "Set AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS to False.")
    if known["unset"]:
        remedy = "Set them from a secrets backend, or with *_CMD; a Fernet key: python -c \"from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())\""  # fmt: skip
        return wrong("keys", f"not set: {', '.join(known['unset'])}; each process makes its own", remedy)
    return ok("keys", "the Fernet key, the API's secret key and the JWT secret are set")


def _environment(settings: Settings) -> dict[str, str] | None:
    """Return the environment of the installation; None if there is none yet."""
    if not embedded():
        return dict(os.environ)
    return process_environment(settings) if (airflow_home(settings.places) / "airflow.cfg").is_file() else None


def _probe(environment: Mapping[str, str]) -> dict[str, Any] | None:
    words = [sys.executable, "-m", "recpipe.airflow.backfill.setup_probe"]
    try:
        done = subprocess.run(words, env=dict(environment), capture_output=True, text=True, check=False, timeout=PROBE_SECONDS)
        return dict(json.loads(done.stdout.strip().splitlines()[-1])) if done.returncode == 0 else None
    except (subprocess.TimeoutExpired, ValueError, IndexError):
        return None
