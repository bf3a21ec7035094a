"""The DAG of a task: wait for its day, plan, make its shards, publish. A DAG file names the task and writes its runbook."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import DAG, Param, dag, get_current_context, task

from recpipe.airflow import metrics
from recpipe.airflow.defaults import DAILY, day_param, default_args, refusals, run_day, run_limit, run_settings, schedule, table
from recpipe.airflow.links import link, table_links
from recpipe.airflow.sensors import DaySensor
from recpipe.config.settings import Settings


def model_version_param() -> Param:
    """Return the parameter ``model_version``, for tasks that ask a model of the registry."""
    return Param(
        "",
        type="string",
        pattern="^[0-9]*$",
        title="Model version",
        description="Version in the registry to use; empty: the one that serves the day, or served it when it was published.",
    )


def task_dag(
    settings: Settings,
    dag_id: str,
    name: str,
    *,
    reads: Sequence[str],
    doc: str | None,
    description: str,
    waits_for: Mapping[str, tuple[int, int]] | None = None,
    registered: bool = False,
    minutes: float = 60,
    tags: Sequence[str] = ("tier-2",),
) -> DAG:
    """Return the daily DAG of one of `recpipe.tables.families`.

    Parameters
    ----------
    settings
        Dates, patience, shards.
    dag_id
        Name of the DAG and of its file.
    name, reads, registered
        As the task has them. They are said again here, since to import the task is dear and a DAG file is read every
        half minute; a test holds the two together.
    doc
        The runbook: the docstring of the DAG file.
    description
        What it does, in a line.
    waits_for
        What has to be published before, as `DaySensor` takes it; ``events`` of the day by default, which are taken in last.
    minutes
        Time limit of a step.
    tags
        Beside ``recpipe``, ``daily`` and ``task``.
    """
    params = {"day": day_param()} | ({"model_version": model_version_param()} if registered else {})

    @dag(
        **schedule(settings, DAILY),
        dag_id=dag_id,
        doc_md=doc,
        description=description,
        tags=["recpipe", "daily", "task", *tags],
        max_active_runs=4,
        **run_limit(),
        params=params,
        default_args=default_args(settings, minutes=minutes),
    )
    def build() -> None:
        wait_for_day = DaySensor(task_id="wait_for_day", needs=dict(waits_for or {"events": (0, 0)}))
        plans = _plan(settings, name, reads)()
        wait_for_day >> plans
        link(_publish(settings, name)(plans, _make(name).expand(part=plans)), *table_links(name))

    return build()


def _plan(settings: Settings, name: str, reads: Sequence[str]) -> Any:
    @task(inlets=[table(settings, one) for one in reads])
    def plan() -> list[dict[str, Any]]:
        """Resolve once what the run reads: version and table versions; returns the plan, once a shard."""
        from recpipe.pipeline.plan import plan_day
        from recpipe.tables.families import task_of

        with run_day() as (now, day):
            version = get_current_context()["params"].get("model_version", "")
            planned = plan_day(now, task_of(name), day, version)
        return [{"plan": planned.as_json(), "shard": shard} for shard in range(planned.shards)]

    return plan


def _make(name: str) -> Any:
    @task(map_index_template="shard {{ task.op_kwargs['part']['shard'] }}")
    def make(part: dict[str, Any]) -> str:
        """Make the rows of one shard; returns the staged file."""
        from recpipe.pipeline.run_plan import RunPlan
        from recpipe.pipeline.shards import stage_shard
        from recpipe.tables.families import task_of

        with refusals():
            return stage_shard(run_settings(), task_of(name), RunPlan.from_json(part["plan"]), part["shard"])

    return make


def _publish(settings: Settings, name: str) -> Any:
    @task(outlets=[table(settings, name)])
    def publish(plans: list[dict[str, Any]], files: list[str]) -> int:
        """Audit the rows and publish them; returns their number."""
        from recpipe.pipeline.publish import publish_day
        from recpipe.pipeline.run_plan import RunPlan
        from recpipe.tables.families import task_of

        with refusals():
            now, planned = run_settings(), RunPlan.from_json(plans[0]["plan"])
            rows = publish_day(now, task_of(name), planned, list(files))
            metrics.tell(now, planned.day, name)
        return rows

    return publish
