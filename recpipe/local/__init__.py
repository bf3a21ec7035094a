"""The embedded home: Airflow and MLflow on this machine, with SQLite, on 127.0.0.1, under one folder."""

from __future__ import annotations

from recpipe.local.home import airflow_environment, login, settings_environment, write_home
from recpipe.local.services import ServiceState, down, status, up

__all__ = ["ServiceState", "airflow_environment", "down", "login", "settings_environment", "status", "up", "write_home"]
