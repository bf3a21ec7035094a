"""The addition to Airflow's command line: ``airflow dags backfill``. The only room that imports Airflow.

This module is imported by every ``airflow`` command, so it imports nothing itself.
"""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """Return what Airflow's providers manager wants to know of this package."""
    return {
        "package-name": "recpipe",
        "name": "recpipe",
        "description": "Nightly recommendations; adds the command `airflow dags backfill`.",
        "cli": ["recpipe.airflow.backfill.cli_command.add_backfill_command"],
    }
