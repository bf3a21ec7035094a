"""A command that does not outlive its starter: ``python -m recpipe.local.tether COMMAND…``.

The starter holds the other end of standard input. When that end closes, because the starter ended or was killed with -9, the
command's whole process group is stopped. A signal handler could not do that: SIGKILL cannot be caught.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from types import FrameType

PR_SET_PDEATHSIG = 1
GRACE_SECONDS = 10.0


def run(command: list[str]) -> int:
    """Run a command until it ends or standard input closes; returns its exit code, 128 + n after signal n."""
    job = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        process_group=0,
        preexec_fn=_die_with_parent if sys.platform == "linux" else None,  # no thread runs yet
    )

    def stop(number: int = signal.SIGTERM, _frame: FrameType | None = None) -> None:
        threading.Thread(target=_stop_group, args=(job,), daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    threading.Thread(target=_watch, args=(job,), daemon=True).start()
    code = job.wait()
    _kill_group(job, signal.SIGKILL)  # what the command left behind
    return code if code >= 0 else 128 - code


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _watch(job: subprocess.Popen[bytes]) -> None:
    while os.read(0, 1024):
        pass
    _stop_group(job)


def _stop_group(job: subprocess.Popen[bytes]) -> None:
    """Ask the group to end, so that a checkpoint can be finished, then make it."""
    _kill_group(job, signal.SIGTERM)
    until = time.monotonic() + GRACE_SECONDS
    while job.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    _kill_group(job, signal.SIGKILL)


def _kill_group(job: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(job.pid, number)
    except ProcessLookupError:
        return


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
