"""Settings of runs, notices, upkeep and the embedded home."""

from __future__ import annotations

import hashlib
import re
from typing import Final, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from recpipe.config import checks
from recpipe.config.part import Part

LONGEST_NAME: Final = 150
"""Characters of a run's id that its folders are named after."""


class RunSettings(Part):
    """A run of a DAG: its id, and its patience."""

    wait_minutes: float = Field(180.0, ge=0, le=20_160, description="how long a scheduled run waits for its delivery")
    backfill_wait_minutes: float = Field(1.0, ge=0, le=20_160, description="how long a backfill run waits for its delivery")
    run_id: str = Field("local", description="recorded in the register; DAG tasks set it to Airflow's run id")
    retries: int = Field(2, ge=0, le=100, description="times that a task is tried again")
    retry_seconds: float = Field(60.0, gt=0, le=86_400, description="wait before the first retry; it doubles each time")
    poll_seconds: float = Field(30.0, gt=0, le=86_400, description="time between two looks of a waiting sensor")

    @field_validator("run_id")
    @classmethod
    def _run(cls, value: str) -> str:
        checks.name_of_run(value)
        return value

    @property
    def run_name(self) -> str:
        """The run's id as the name of a folder or file: different ids have different names."""
        plain = re.sub(r"[^A-Za-z0-9_.-]", "_", self.run_id)
        if plain == self.run_id and len(plain) <= LONGEST_NAME:
            return plain
        return f"{plain[:LONGEST_NAME]}-{hashlib.sha256(self.run_id.encode(errors='surrogatepass')).hexdigest()[:8]}"


class NoticeSettings(Part):
    """Where notices go."""

    webhook: SecretStr = Field(
        SecretStr(""),
        exclude=True,
        description="URL that notices are posted to; empty: Airflow's connection recpipe_webhook, or they are only logged",
    )
    smtp: SecretStr = Field(
        SecretStr(""),
        exclude=True,
        description="mail server for notices, smtp://user:password@host:587 (STARTTLS) or smtps://…; empty: Airflow's connection "
        "recpipe_smtp, or no mail",
    )
    mail_to: list[str] = Field(default_factory=list, description="addresses that notices are mailed to")
    mail_from: str = Field("recpipe@localhost", description="sender of the mails")
    deadline_hours: float = Field(
        0.0, ge=0, le=336, description="hours after the shop's midnight at which late lists of the night are told of; 0: never"
    )


class UpkeepSettings(Part):
    """What is kept, and for how long (`recpipe maintain`, the DAG maintain_tables)."""

    keep_days: int = Field(
        35,
        ge=2,
        le=36_500,
        description="days for which replaced versions of a table stay readable: a run planned longer ago is planned anew",
    )
    keep_model_days: int = Field(
        90,
        ge=1,
        le=36_500,
        description="days for which a model version is kept that was never promoted and made nothing that is published",
    )
    keep_scratch_days: int = Field(
        7,
        ge=2,
        le=36_500,
        description="days for which the scratch of a run is kept (staged rows, training folders, fetched models)",
    )
    keep_vectors_mb: int = Field(
        0,
        ge=0,
        le=1_000_000_000,
        description="size (MB) above which a cache of text vectors is emptied; 0: never. They are computed again when asked for",
    )


class LocalSettings(Part):
    """The embedded home (`recpipe up`)."""

    airflow_port: int = Field(8080, gt=0, lt=65_536, description="port of Airflow's pages and API, on 127.0.0.1")
    mlflow_port: int = Field(5000, gt=0, lt=65_536, description="port of MLflow's pages, on 127.0.0.1")
    airflow_pages: str = Field("", description="address of Airflow's pages as a browser opens it; the embedded home's if empty")
    mlflow_pages: str = Field(
        "",
        description="address of MLflow's pages as a browser opens it; RECPIPE_MLFLOW_URI if that is http, else the embedded home's",
    )
    dags_folder: str = Field(
        "", description="folder of the DAG files; those that recpipe brings if empty (`recpipe dags` prints it)"
    )
    plugins_folder: str = Field("", description="folder of further Airflow plugins; plugins/ beside the package if empty")
    parallel_tasks: int = Field(4, gt=0, le=10_000, description="tasks that run at a time on this machine")
    gpus: int = Field(
        0, ge=0, le=1_024, description="GPUs of this machine, 0: counted; the pool gpu gets that many slots, at least one"
    )
    train_slots: int = Field(
        0, ge=0, le=1_024, description="slots of the pool gpu, where they are not one a GPU: without one, a training needs a core"
    )
    dags_paused: bool = Field(True, description="new DAGs wait to be unpaused")
    preload: list[str] = Field(
        default_factory=lambda: [
            *("great_expectations", "pandas", "deltalake", "pyarrow.dataset", "duckdb", "scipy.sparse", "pydantic_settings"),
            *("mlflow.pyfunc", "matplotlib.figure", "torch", "transformers.models.auto.modeling_auto"),
            "transformers.models.bert.modeling_bert",
        ],
        description="modules that the scheduler imports once, so that every task finds them imported",
    )

    @model_validator(mode="after")
    def _a_port_each(self) -> Self:
        if self.airflow_port == self.mlflow_port:
            raise ValueError(f"RECPIPE_AIRFLOW_PORT and RECPIPE_MLFLOW_PORT are both {self.airflow_port}: give each its own")
        return self
