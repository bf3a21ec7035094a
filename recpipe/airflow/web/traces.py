"""The origin of rows and models: each writing of a day of a table, and MLflow's record of a model version."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from typing import Any
from urllib.parse import quote

from recpipe.airflow.links import WRITERS
from recpipe.airflow.web.page_context import mlflow_version, verdict_of
from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.lake.day_record import DayRecord
from recpipe.lake.lake import Lake


def written(settings: Settings, table: str, day: date) -> dict[str, Any]:
    """Return what the register says of a day of a table: every time it was written, the one that counts first.

    Keys: ``times`` (dictionaries of ``record``, ``model`` and ``run``, addresses or empty), ``verdict`` (path under the reports).
    """
    times = [
        {"record": record, "model": _model(settings, record), "run": _run(settings, record)}
        for record in _newest_first(settings, table, day)
    ]
    return {"times": times, "verdict": verdict_of(settings.places, table, day)}


def in_mlflow(settings: Settings, name: str, what: str) -> str:
    """Return the address of a model version in MLflow, or of the run that it came from.

    Parameters
    ----------
    settings
        Where MLflow is.
    name
        Number of the version, or the sha256 of its model folder, which is known before it is registered.
    what
        ``model`` or ``run``.

    Raises
    ------
    MissingModel
        If no such version is registered.
    """
    from recpipe.local.home import mlflow_pages
    from recpipe.registry.store import client, impatience
    from recpipe.registry.versions import all_versions

    with impatience():
        store = client(settings)
        found = next((v for v in all_versions(store, settings.promotion) if name in (str(v.number), v.content)), None)
        if found is None:
            raise MissingModel(
                f"No version {name[:12]} of {settings.promotion.registered_model} is registered: either the task register did not come to its "
                f"end yet, or recpipe maintain has removed the version because nothing used it."
            )
        if what == "model":
            return mlflow_version(settings, str(found.number))
        experiment = store.get_run(found.run_id).info.experiment_id
    return f"{mlflow_pages(settings)}/#/experiments/{experiment}/runs/{found.run_id}"


def _newest_first(settings: Settings, table: str, day: date) -> Iterator[DayRecord]:
    return reversed(Lake.from_settings(settings).history(table, day))


def _model(settings: Settings, record: DayRecord) -> str:
    """Return the address of the registered version that made the rows; empty where they were made by a rule."""
    number = (record.model_version or "").partition("+")[0]
    return mlflow_version(settings, number) if re.fullmatch(r"\d+", number) else ""


def _run(settings: Settings, record: DayRecord) -> str:
    """Return the address of Airflow's run that wrote the day; empty where a command did."""
    from recpipe.local.home import airflow_pages

    if record.run_id == "local" or record.table not in WRITERS:
        return ""
    return f"{airflow_pages(settings)}/dags/{WRITERS[record.table]}/runs/{quote(record.run_id)}"
