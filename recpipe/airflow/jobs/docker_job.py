"""A job in a Docker container: its lines in the task log, stopped with the task, found again by a retry.

The engine is the one that ``DOCKER_HOST`` names (``DOCKER_TLS_VERIFY``, ``DOCKER_CERT_PATH``), else this machine's; logins to
registries are those of the Docker configuration of the worker's user.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env

from docker import APIClient
from recpipe.airflow.jobs.failure import LAST_LINES, failed, require_made
from recpipe.airflow.jobs.spec import Task, container, make_job
from recpipe.config.settings import Settings

GRACE_SECONDS = 10


def connect() -> APIClient:
    """Return a client of the Docker engine.

    Raises
    ------
    AirflowException
        If it does not answer.
    """
    given = kwargs_from_env()
    try:
        return APIClient(**given)
    except DockerException as error:
        where = given.get("base_url", "of this machine")
        raise AirflowException(
            f"The Docker engine {where} does not answer: {error}. See whether it runs, and whether this worker's user may use it."
        ) from None


class DockerJob(BaseOperator):
    """Runs a command in a container.

    Parameters
    ----------
    settings
        Image, GPUs, volume, limits.
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
        super().__init__(**kwargs)
        self.command = command
        self.env = dict(env or {})
        self.makes = makes
        self._settings = settings
        self._container = ""

    def execute(self, context: Any) -> None:
        """Run the container, or go on with the one that an earlier try left running; line by line into the log."""
        ti = context["ti"]
        task = Task(ti.dag_id, ti.task_id, ti.run_id, ti.map_index if ti.map_index is not None else -1)
        body = container(make_job(self._settings, self.command, self.env), task)
        client = connect()
        self._container = self._find(client, task.name, body) or self._start(client, task.name, body)
        last: deque[str] = deque(maxlen=LAST_LINES)
        # a connection that breaks here leaves the container to the retry, which finds it
        try:
            for line in lines(client.logs(self._container, stream=True, follow=True)):
                self.log.info("%s", line)
                last.append(line)
            code = client.wait(self._container)["StatusCode"]
            memory = client.inspect_container(self._container)["State"].get("OOMKilled", False)
        except NotFound:
            raise failed(self.command[0], None, last, f"Its container {task.name} was removed while it ran.") from None
        remove(client, self._container)
        if code:
            raise failed(self.command[0], code, last, "It had no memory left." if memory else "")
        require_made(self.command[0], self.makes, last)

    def on_kill(self) -> None:
        """Stop the container and remove it."""
        if not self._container:
            return
        client = connect()  # of its own: the other one is in the middle of an answer
        with suppress(APIError):
            client.stop(self._container, timeout=GRACE_SECONDS)
        remove(client, self._container)

    def _find(self, client: APIClient, name: str, body: dict[str, Any]) -> str:
        """Return the container that an earlier try left running; one that ended, or does something else, is removed."""
        try:
            left = client.inspect_container(name)
        except NotFound:
            return ""
        if left["State"]["Running"] and left["Config"]["Labels"].get("recpipe.spec") == body["Labels"]["recpipe.spec"]:
            self.log.info("An earlier try left the container %s running: this one goes on with it.", name)
            return str(left["Id"])
        self.log.info("An earlier try left the container %s; it is removed.", name)
        remove(client, left["Id"])
        return ""

    def _start(self, client: APIClient, name: str, body: dict[str, Any]) -> str:
        """Create the container and start it; its image is fetched where the engine has none."""
        try:
            made = client.create_container_from_config(body, name)
        except ImageNotFound:
            self.log.info("Fetching the image %s.", body["Image"])
            for said in client.pull(body["Image"], stream=True, decode=True):
                if "error" in said:
                    raise AirflowException(f"The image {body['Image']} cannot be fetched: {said['error']}.") from None
            made = client.create_container_from_config(body, name)
        self.log.info("The job runs in the container %s (%s).", name, made["Id"][:12])
        # known before it runs: a task that is killed in between stops it
        self._container = str(made["Id"])
        client.start(self._container)
        return self._container


def lines(chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield whole lines of a stream of bytes that may break anywhere."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    rest = ""
    for chunk in chunks:
        *whole, rest = (rest + decoder.decode(chunk)).split("\n")
        yield from (line.rstrip("\r") for line in whole)
    if rest:
        yield rest


def remove(client: APIClient, which: str) -> None:
    """Remove a container, running or not; one that is gone, or just going, is no error."""
    with suppress(APIError):
        client.remove_container(which, force=True)
