"""The requests to Docker or Kubernetes for a job, as plain values: everything that is submitted is made here."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting

IMAGE_USER = (50_000, 0)
"""User and group of docker/Dockerfile, for workers that run as root: a job never does."""

ALONG = (
    *("timezone", "encoder", "seed", "registered_model", "train_weeks"),
    *("new_user_days", "few_items", "lookback_days", "last_events", "half_life_days", "last_queries", "event_weights"),
    *("top_k", "metric_k", "bootstrap_draws", "min_users"),
)
"""The settings that go along with a job: what learning reads. No address and no secret is among them, and none gets there by itself."""

CONTAINER = "base"
"""Name of the one container of a pod, the one whose log the provider reads."""


@dataclass(frozen=True)
class Task:
    """Which task of which run a job belongs to; all its tries have the same."""

    dag: str
    task: str
    run: str
    index: int = -1

    @property
    def name(self) -> str:
        """Name of the container: one a task of a run, so that a retry finds what an earlier try left."""
        words = "\n".join((self.dag, self.task, self.run, str(self.index)))
        return f"recpipe-{re.sub(r'[^a-z0-9-]', '-', self.task.lower())[:40]}-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class Job:
    """A command and what it needs of a machine.

    Attributes
    ----------
    command
        Program and arguments; no shell sees them.
    env
        All the variables that the image does not set itself.
    home
        Folder that is mounted, by the path that it has on the worker.
    volume
        What is mounted there.
    user
        User and group.
    gpus, cpus, memory_mb
        How many; 0 for none (GPUs), or no limit.
    seconds
        After which a pod is stopped; 0: never.
    """

    image: str
    command: tuple[str, ...]
    env: dict[str, str]
    home: str
    volume: str
    user: tuple[int, int]
    gpus: int
    cpus: float
    memory_mb: int
    seconds: int = 0


def check(settings: Settings) -> None:
    """Refuse a place that lacks a setting.

    Raises
    ------
    BadSetting
        If it lacks its image, or the pod its claim.
    """
    place = settings.jobs.job_place
    if place != "process" and not settings.jobs.job_image:
        raise BadSetting(f"RECPIPE_JOB_PLACE is {place}, and RECPIPE_JOB_IMAGE is empty: name the image, such as recpipe:gpu.")
    if place == "kubernetes" and not settings.jobs.job_volume:
        raise BadSetting("RECPIPE_JOB_PLACE is kubernetes: name the claim of the volume of the home in RECPIPE_JOB_VOLUME.")


def make_job(settings: Settings, command: Sequence[str], env: Mapping[str, str] | None = None, seconds: float = 0) -> Job:
    """Return a job of these settings, for the user of this process.

    Parameters
    ----------
    settings
        ``RECPIPE_JOB_*``, and those that go along.
    command
        Program and arguments.
    env
        Variables beside `environment`.
    seconds
        Time limit; 0 for none.
    """
    home = str(settings.places.home.resolve())
    user = (os.getuid(), os.getgid()) if os.getuid() else IMAGE_USER
    return Job(
        image=settings.jobs.job_image,
        command=tuple(str(word) for word in command),
        env={**environment(settings), **(env or {})},
        home=home,
        volume=settings.jobs.job_volume or home,
        user=user,
        gpus=settings.jobs.job_gpus,
        cpus=settings.jobs.job_cpus,
        memory_mb=round(settings.jobs.job_memory_gb * 1024),
        seconds=round(seconds),
    )


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that go along: the home, what of `ALONG` differs from its default, and no secret."""
    values = {name: value for name, value in settings.differing().items() if name in ALONG}
    along = {f"RECPIPE_{name.upper()}": value if isinstance(value, str) else json.dumps(value) for name, value in values.items()}
    return {
        # the user of the worker need not be one of the image, and has no home there
        **{"HOME": "/tmp", "PYTHONUNBUFFERED": "1", "RECPIPE_ENV_FILE": "", "RECPIPE_CONFIG_FILE": ""},  # noqa: S108
        **{"RECPIPE_HOME": str(settings.places.home.resolve())},
        **along,
    }


def container(job: Job, task: Task) -> dict[str, Any]:
    """Return the body of Docker's request ``POST /containers/create``."""
    host: dict[str, Any] = {
        "Mounts": [{"Type": "bind" if job.volume.startswith("/") else "volume", "Source": job.volume, "Target": job.home}],
        "Init": True,  # the job is no process 1, which signals do not end
        "CapDrop": ["ALL"],
        "SecurityOpt": ["no-new-privileges"],
    }
    if job.gpus:
        host["DeviceRequests"] = [{"Driver": "", "Count": job.gpus, "Capabilities": [["gpu"]]}]
    if job.cpus:
        host["NanoCpus"] = round(job.cpus * 1e9)
    if job.memory_mb:
        host["Memory"] = job.memory_mb * 2**20
    body = {
        "Image": job.image,
        "Cmd": list(job.command),
        "Env": [f"{name}={value}" for name, value in sorted(job.env.items())],
        "User": f"{job.user[0]}:{job.user[1]}",
        "HostConfig": host,
    }
    same = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
    labels = {"recpipe.dag": task.dag, "recpipe.task": task.task, "recpipe.run": task.run, "recpipe.spec": same}
    return {**body, "Labels": labels}


def pod(job: Job) -> dict[str, Any]:
    """Return the pod of a job; the provider adds its name, its namespace, and the labels of its run."""
    limits: dict[str, str] = {"nvidia.com/gpu": str(job.gpus)} if job.gpus else {}
    if job.cpus:
        limits["cpu"] = f"{job.cpus:g}"
    if job.memory_mb:
        limits["memory"] = f"{job.memory_mb}Mi"
    spec: dict[str, Any] = {
        "restartPolicy": "Never",
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": job.user[0],
            "runAsGroup": job.user[1],
            "fsGroup": job.user[1],
            "fsGroupChangePolicy": "OnRootMismatch",
        },
        "containers": [
            {
                "name": CONTAINER,
                "image": job.image,
                # Kubernetes reads $(NAME) in a command, and two dollars as one
                "command": [word.replace("$", "$$") for word in job.command],
                "env": [{"name": name, "value": value.replace("$", "$$")} for name, value in sorted(job.env.items())],
                "resources": {"limits": limits},
                "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
                "volumeMounts": [{"name": "home", "mountPath": job.home}],
            }
        ],
        "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": job.volume}}],
    }
    if job.gpus:
        spec["tolerations"] = [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}]
    if job.seconds:
        spec["activeDeadlineSeconds"] = job.seconds
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"labels": {"app": "recpipe"}}, "spec": spec}
