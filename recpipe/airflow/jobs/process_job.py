"""A job as a process of the worker: a child of the task, with its log in the task log, that ends with the task.

On Celery it is a process of whichever worker took the task, so that the queue says where it runs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowException

from recpipe.airflow.jobs.failure import LAST_LINES, failed, require_made

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def launch(command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[str]:
    """Start a command as a local process whose output is one stream of lines, and which cannot outlive this process.

    Parameters
    ----------
    command
        Program and arguments; ``recpipe`` is the one of this Python.
    env
        The whole environment.
    """
    program = [sys.executable, "-m", "recpipe.cli"] if command[0] == "recpipe" else [command[0]]
    return subprocess.Popen(
        [sys.executable, "-m", "recpipe.local.tether", *program, *command[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=dict(env),
    )


class JobOperator(BaseOperator):
    """Runs a command and fails with its last lines.

    A retry runs the same command: one that writes checkpoints into the folder that it is given goes on from them.

    Parameters
    ----------
    command
        Program and arguments, templated.
    env
        Variables beside those of the worker.
    makes
        File that it leaves, templated; without it the job has failed, whatever its exit code.
    """

    template_fields: Sequence[str] = ("command", "makes")

    def __init__(self, *, command: Sequence[str], env: Mapping[str, str] | None = None, makes: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command = command
        self.env = dict(env or {})
        self.makes = makes
        self._process: subprocess.Popen[str] | None = None

    def execute(self, context: Any) -> None:
        """Run the command, line by line into the log."""
        # tasks are held to one thread each; a job has its pool slot, and the machine
        inherited = {name: value for name, value in os.environ.items() if name not in ONE_THREAD}
        self._process = launch(self.command, {**inherited, "PYTHONUNBUFFERED": "1", **self.env})
        last: deque[str] = deque(maxlen=LAST_LINES)
        if self._process.stdout is None:
            raise AirflowException("The job has no output to read.")
        for line in self._process.stdout:
            self.log.info("%s", line.rstrip("\n"))
            last.append(line.rstrip("\n"))
        code = self._process.wait()
        if code:
            raise failed(self.command[0], code, last)
        require_made(self.command[0], self.makes, last)

    def on_kill(self) -> None:
        """Stop the command and whatever it started."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
