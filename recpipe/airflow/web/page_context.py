"""The surroundings of the page: the settings of this installation, and the addresses of its other pages."""

from __future__ import annotations

import re
from datetime import date

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings, load_settings


def read_settings() -> Settings:
    """Return the settings, read anew for each question: a server runs for months."""
    return load_settings()


def with_key(settings: Settings) -> Settings:
    """Return settings with the key of user ids: of Airflow's connection ``recpipe_user_key`` where they have none.

    Tasks ask Airflow's API for it (`recpipe.airflow.defaults.with_key`); a server looks into its own backends.

    Raises
    ------
    BadSetting
        If the connection is there and has no password.
    """
    from airflow.exceptions import AirflowNotFoundException
    from airflow.models.connection import Connection
    from pydantic import SecretStr

    from recpipe.airflow.secrets import READ
    from recpipe.user_ids.keys import has_key

    if has_key(settings.privacy):
        return settings
    try:
        connection = Connection.get_connection_from_secrets("recpipe_user_key")
    except AirflowNotFoundException:
        return settings
    return settings.changed(user_key=SecretStr(READ["user_key"](connection)))


def mlflow_version(settings: Settings, version: str) -> str:
    """Return the address of a model version in MLflow; empty where the rows were made by something else."""
    from recpipe.local.home import mlflow_pages

    if not re.fullmatch(r"\d+", version):
        return ""
    return f"{mlflow_pages(settings)}/#/models/{settings.promotion.registered_model}/versions/{version}"


def verdict_of(places: PlaceSettings, table: str, day: date) -> str:
    """Return the path of a verdict page under the reports; empty where there is none."""
    path = f"verdicts/{table}-{day}.html"
    return path if (places.reports / path).is_file() else ""
