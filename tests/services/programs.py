"""Programs that tests start: each leads a session of its own, and none outlives the tests, whatever becomes of them."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

import recpipe.local.tether as tether

PORTS = range(16400, 16500)
_given: set[int] = set()


def free_port() -> int:
    """Return a port of `PORTS` that nobody listens on and nobody was given."""
    for port in random.sample(PORTS, len(PORTS)):  # two of these at a time choose others
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if port not in _given and probe.connect_ex(("127.0.0.1", port)):
                _given.add(port)
                return port
    raise RuntimeError(f"None of the ports {PORTS.start} to {PORTS.stop - 1} is free.")


@dataclass
class Program:
    """A command under `recpipe.local.tether`: the end of this process, even by -9, is its end too.

    Attributes
    ----------
    name, command, environment
        What is started; the environment is the whole of it.
    folder
        Where its output goes, to ``NAME.log``, and where it runs.
    """

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    starts: int = 0

    @property
    def log(self) -> Path:
        """File of all that it said."""
        return self.folder / f"{self.name}.log"

    @property
    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def start(self) -> Program:
        """Start it, and return it."""
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, tether.__file__, *self.command], stdin=subprocess.PIPE, stdout=output, stderr=output,
                env=dict(self.environment), cwd=self.folder, start_new_session=True,
            )  # fmt: skip
        self.starts += 1
        return self

    def members(self) -> list[psutil.Process]:
        """Return its processes, all that it started among them."""
        if self.process is None:
            return []
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError, psutil.Error):
                if os.getsid(process.pid) == self.process.pid and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def kill(self) -> list[psutil.Process]:
        """End all its processes with -9, as the end of a machine would; returns them."""
        members = self.members()
        for member in members:
            with contextlib.suppress(psutil.Error):
                member.kill()
        if self.process is not None:
            self.process.wait()
        until = time.monotonic() + 10
        while any(runs(member) for member in members) and time.monotonic() < until:
            time.sleep(0.05)
        return members

    def ask_to_end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the program itself."""
        if self.process is not None and self.alive:
            with contextlib.suppress(psutil.Error):
                for child in psutil.Process(self.process.pid).children():
                    child.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, seconds: float = 10) -> None:
        """Ask it to end, then make it; nothing of it is left."""
        self.ask_to_end(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self.process is not None:
                self.process.wait(seconds)
        self.kill()

    def last_lines(self, count: int = 30) -> str:
        """Return the end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:]) if self.log.exists() else ""


def runs(process: psutil.Process) -> bool:
    """Whether a process has not ended; one that nobody has collected yet has."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def wait_until(what: str, true: Callable[[], bool], programs: Sequence[Program] = (), seconds: float = 180) -> None:
    """Wait until something is so; fails with the ends of the logs if it is not in time, or a program ended."""
    until = time.monotonic() + seconds
    while not true():
        dead = [program for program in programs if not program.alive]
        if dead or time.monotonic() > until:
            said = "\n".join(f"--- {program.log}\n{program.last_lines()}" for program in dead or programs)
            raise AssertionError(f"{what}: not so after {seconds:.0f} s, or a program ended.\n{said}")
        time.sleep(0.2)


def listens(port: int) -> bool:
    """Whether somebody listens on a port of this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
