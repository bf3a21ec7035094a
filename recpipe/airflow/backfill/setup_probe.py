"""The state of an Airflow installation as JSON, for `recpipe doctor`: ``python -m recpipe.airflow.backfill.setup_probe``.

In a process of its own, since it imports Airflow and every DAG file. It changes nothing, and says no value of any secret.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

SECRETS = (("core", "fernet_key"), ("api", "secret_key"), ("api_auth", "jwt_secret"))


def probe() -> dict[str, Any]:
    """Return what `recpipe.maintenance.doctor.airflow_setup` asks: configuration, database, pools, command, DAG files."""
    from airflow.configuration import conf

    conn = conf.get("database", "sql_alchemy_conn")
    return {
        "executor": conf.get("core", "executor"),
        "database": conn.split(":", 1)[0].split("+", 1)[0],
        "everybody_is_admin": conf.getboolean("core", "simple_auth_manager_all_admins", fallback=False),
        "unset": _unset(conf.as_dict(display_source=True, display_sensitive=True, raw=True)),
        "backfill": _has_backfill(),
        **_database(conn),
        **_dags(),
    }


def _unset(values: dict[str, Any]) -> list[str]:
    """Return the names of secrets that nobody set: each process then makes its own, and they do not understand each other."""
    found = []
    for section, name in SECRETS:
        given = [values.get(section, {}).get(key) for key in (name, f"{name}_cmd", f"{name}_secret")]
        if section == "api_auth":
            given.append(values.get(section, {}).get("jwt_private_key_path"))
        # (what, where it comes from); an empty one is none
        if not any(entry and entry[0] and entry[1] != "default" for entry in given):
            found.append(f"AIRFLOW__{section.upper()}__{name.upper()}")
    return found


def _has_backfill() -> bool:
    from airflow.cli.cli_parser import airflow_commands

    groups = [command for command in airflow_commands if command.name == "dags"]
    return any(sub.name == "backfill" for group in groups for sub in getattr(group, "subcommands", ()))


def _database(conn: str) -> dict[str, Any]:
    """Return whether the database answers, and the slots of its pools; by the kind of its error alone where it does not."""
    from airflow.models.pool import Pool
    from airflow.utils.session import create_session
    from sqlalchemy import select
    from sqlalchemy.engine import make_url

    try:
        file = make_url(conn).database
        if conn.startswith("sqlite") and not (file and Path(file).is_file()):  # to ask would make an empty one
            return {"database_error": "there is none yet", "pools": {}}
        with create_session() as session:
            pools = {str(name): int(slots) for name, slots in session.execute(select(Pool.pool, Pool.slots))}
    except Exception as error:  # of any driver: its text holds the address, and the password in it
        return {"database_error": type(error).__name__, "pools": {}}
    return {"database_error": "", "pools": pools}


def _dags() -> dict[str, Any]:
    """Return how many DAGs there are, and the last line of the error of each file that cannot be imported, by file."""
    from airflow import settings
    from airflow.dag_processing.dagbag import DagBag

    settings.prepare_syspath_for_config_and_plugins()
    bag = DagBag()
    broken = {Path(file).name: error.strip().splitlines()[-1] for file, error in bag.import_errors.items()}
    return {"dags": len(bag.dags), "broken_dags": broken}


if __name__ == "__main__":
    print("\n" + json.dumps(probe()))
    sys.stdout.flush()
