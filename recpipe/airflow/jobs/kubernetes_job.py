"""A job as a Kubernetes pod, by the operator of the Kubernetes provider.

The task makes the pod and hands it to the triggerer, so no worker is held while it runs, and one that is restarted loses nothing: a try
finds the pod of an earlier one by what Airflow keeps of it, or by its labels. The cluster is that of the connection
``kubernetes_default``, without one the worker's own, or that of its kubeconfig.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk.exceptions import AirflowException

from recpipe.airflow.jobs.failure import failed, require_made
from recpipe.airflow.jobs.spec import CONTAINER, make_job, pod
from recpipe.config.settings import Settings

LOOK_SECONDS = 10
LOG_SECONDS = 30
"""Time between two readings of the pod's log; its lines stand in the task's log by way of the triggerer."""

START_MINUTES = 120
"""How long a pod may wait for a GPU and its image, where the task has no time limit."""


class PodJob(KubernetesPodOperator):  # type: ignore[misc]  # the provider is typed for itself alone
    """Runs a command in a pod.

    Parameters
    ----------
    settings
        Image, GPUs, claim, namespace, limits.
    command
        Program and arguments, templated.
    env
        Variables beside those that go along.
    makes
        File that it leaves, templated; without it the job has failed, whatever its exit code.
    """

    template_fields: Sequence[str] = ("command", "makes")

    def __init__(
        self,
        *,
        settings: Settings,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        makes: str = "",
        **kwargs: Any,
    ) -> None:
        limit = kwargs.get("execution_timeout") or kwargs.get("default_args", {}).get("execution_timeout")
        wait = int(limit.total_seconds()) if limit else START_MINUTES * 60
        super().__init__(
            name=f"recpipe-{kwargs['task_id']}",
            namespace=settings.jobs.job_namespace or None,
            base_container_name=CONTAINER,
            automount_service_account_token=False,
            termination_message_policy="FallbackToLogsOnError",
            startup_timeout_seconds=wait,
            deferrable=True,
            durable=True,
            poll_interval=LOOK_SECONDS,
            logging_interval=LOG_SECONDS,
            log_events_on_failure=True,
            log_pod_spec_on_failure=False,
            **kwargs,
        )
        self.command = command
        self.env = dict(env or {})
        self.makes = makes
        self._settings = settings

    def execute(self, context: Any) -> Any:
        """Make the pod, or find that of an earlier try, and leave the waiting to the triggerer."""
        seconds = self.execution_timeout.total_seconds() if self.execution_timeout else 0
        # set here, after templates were rendered: an argument is never read as one
        self.pod_template_dict = pod(make_job(self._settings, self.command, self.env, seconds))
        return super().execute(context)

    def cleanup(self, pod: Any, remote_pod: Any, xcom_result: Any = None, context: Any = None) -> None:
        """Remove the pod, and fail with the job's exit code and last lines if it failed, or left nothing."""
        try:
            super().cleanup(pod, remote_pod, xcom_result, context)
        except AirflowException:
            code, said, why = how_it_ended(remote_pod)
            raise failed(self.command[0], code, said, why) from None
        if remote_pod is not None and remote_pod.status.phase == "Succeeded":
            require_made(self.command[0], self.makes)


def how_it_ended(remote_pod: Any) -> tuple[int | None, list[str], str]:
    """Return the exit code of a pod's job (None: it came to none), its last lines, and what Kubernetes says of it."""
    status = remote_pod.status
    ended = next((one.state.terminated for one in status.container_statuses or [] if one.name == CONTAINER), None)
    stopped = f"Kubernetes stopped its pod: {status.reason}." if status.reason else ""
    if ended is None:
        return None, [status.message] if status.message else [], stopped or f"Its pod was {status.phase} when its time was up."
    why = "It had no memory left." if ended.reason == "OOMKilled" else stopped
    return ended.exit_code, (ended.message or "").splitlines(), why
