"""The declaration of a job: the same in every DAG, whatever the place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from airflow.sdk import BaseOperator

from recpipe.airflow.jobs.process_job import JobOperator
from recpipe.airflow.jobs.spec import check
from recpipe.config.settings import Settings


def job(
    settings: Settings,
    *,
    task_id: str,
    command: Sequence[Any],
    env: Mapping[str, str] | None = None,
    makes: str = "",
    shares_work: bool = False,
    **kwargs: Any,
) -> BaseOperator:
    """Declare a task that runs a command in the place of the settings.

    Whatever the place: the command's lines stand in the task's log, it ends with the task, its exit code 2 is a refusal and is not
    tried again, another one fails with its last lines, and a retry runs the same command, which goes on from its checkpoint.

    Parameters
    ----------
    settings
        ``RECPIPE_JOB_*``.
    task_id
        Name of the task.
    command
        Program and arguments, templated; no shell sees them.
    env
        Variables beside those of the place.
    makes
        File that the command leaves, templated: exit code 0 without it is a failure.
    shares_work
        Whether the command starts a process a GPU (`processes`): then the task takes as many slots of its pool.
    **kwargs
        Arguments of any task: pool, queue, retries. ``RECPIPE_JOB_MINUTES`` is its time limit where it is set.

    Raises
    ------
    BadSetting
        If the place lacks a setting that it needs.
    """
    check(settings)
    given: dict[str, Any] = {"task_id": task_id, "command": command, "env": env, "makes": makes, **kwargs}
    if shares_work:
        given["pool_slots"] = processes(settings)
    if settings.jobs.job_minutes:
        given["execution_timeout"] = timedelta(minutes=settings.jobs.job_minutes)
    if settings.jobs.job_place == "docker":
        from recpipe.airflow.jobs.docker_job import DockerJob

        return DockerJob(settings=settings, **given)
    if settings.jobs.job_place == "kubernetes":
        from recpipe.airflow.jobs.kubernetes_job import PodJob

        return PodJob(settings=settings, **given)
    return JobOperator(**given)


def processes(settings: Settings) -> int:
    """Return how many processes a job that can share its work out starts: one a GPU of ``RECPIPE_JOB_GPUS``, and at least one."""
    return max(1, settings.jobs.job_gpus)
