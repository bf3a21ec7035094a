"""What surrounds the page: the settings of this installation, and where its other pages stand."""

from __future__ import annotations

import re
from datetime import date

from recpipe.config import Settings, load_settings


def read_settings() -> Settings:
    """Return the settings, read anew for each question: a server runs for months."""
    return load_settings()


def mlflow_version(settings: Settings, version: str) -> str:
    """Return the address of a model version in MLflow; empty where the rows were made by something else."""
    from recpipe.local.home import mlflow_pages

    if not re.fullmatch(r"\d+", version):
        return ""
    return f"{mlflow_pages(settings)}/#/models/{settings.registered_model}/versions/{version}"


def verdict_of(settings: Settings, table: str, day: date) -> str:
    """Return the path of a verdict page under the reports; empty where there is none."""
    path = f"verdicts/{table}-{day}.html"
    return path if (settings.reports / path).is_file() else ""
