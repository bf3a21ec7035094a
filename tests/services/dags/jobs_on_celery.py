"""### Jobs on the queue `gpu`, for tests/services/test_jobs_celery.py: a training, and commands that a test writes."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, Param

from recpipe.airflow.jobs.job_operator import job
from recpipe.config.settings import load_settings

SETTINGS = load_settings()
TRAIN = [
    "recpipe",
    "train",
    "--episodes",
    "{{ params.episodes }}",
    "--out",
    "{{ params.out }}",
    "--settings",
    "{{ params.settings }}",
]
CODE = [sys.executable, "-c", "{{ params.code }}", "{{ params.out }}"]


def declare(dag_id: str, command: list[str], **kwargs: Any) -> DAG:
    names = ("episodes", "out", "settings", "code")
    with DAG(dag_id, schedule=None, params={name: Param("", type="string") for name in names}) as dag:
        env = {"OMP_NUM_THREADS": "1"}
        job(
            SETTINGS, task_id="job", command=command, env=env, queue="gpu", pool="gpu", retry_delay=timedelta(seconds=1), **kwargs
        )
    return dag


train = declare("celery_train", TRAIN, retries=2)
code = declare("celery_code", CODE, retries=2)
limited = declare("celery_limited", CODE, retries=0, execution_timeout=timedelta(seconds=10))
