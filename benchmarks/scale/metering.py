"""CPU seconds, wall seconds and peak memory of a stage, one line of JSON each, and a guard against a machine out of memory.

CPU seconds are the measure: wall seconds swing with whatever else the machine does.
"""

from __future__ import annotations

import json
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CLEAR: str = "5"
"""What resets the peak of resident memory in ``/proc/self/clear_refs``."""


def cpu_seconds() -> float:
    """Return user and system seconds of this process and of its children that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def memory_mb(name: str = "VmHWM") -> float:
    """Return resident memory in MB: its peak since the last reset (``VmHWM``), or now (``VmRSS``)."""
    return _kilobytes(Path("/proc/self/status"), name) / 1024


def _kilobytes(file: Path, name: str) -> int:
    return next(int(line.split()[1]) for line in file.read_text().splitlines() if line.startswith(name))


def say(**found: Any) -> None:
    """Print a finding as one line of JSON."""
    print(json.dumps(found), flush=True)


@contextmanager
def metered(stage: str, **amounts: int) -> Iterator[None]:
    """Print what a block costs.

    Parameters
    ----------
    stage
        What the block does.
    amounts
        Amounts that it works through, such as ``users``; each is printed a CPU second, too.
    """
    Path("/proc/self/clear_refs").write_text(CLEAR)
    cpu, wall, before = cpu_seconds(), time.perf_counter(), memory_mb("VmRSS")
    yield
    cpu, wall = cpu_seconds() - cpu, time.perf_counter() - wall
    rates = {f"{unit}_per_cpu_s": round(amount / max(cpu, 1e-9), 1) for unit, amount in amounts.items()}
    memory = {"rss_before_mb": round(before), "peak_mb": round(memory_mb())}
    say(stage=stage, cpu=round(cpu, 2), wall=round(wall, 2), **memory, **amounts, **rates)


def timed(owner: Any, name: str, stage: str) -> None:
    """Replace a function of a module or class by itself with a meter around it."""
    real: Callable[..., Any] = getattr(owner, name)

    def inner(*args: Any, **words: Any) -> Any:
        with metered(stage):
            return real(*args, **words)

    setattr(owner, name, inner)


def guard_memory(limit_mb: float, spare_mb: float = 1200) -> None:
    """End this process as soon as it holds more than a limit, or the machine has less than some to spare."""

    def watch() -> None:
        while True:
            held, spare = memory_mb("VmRSS"), _kilobytes(Path("/proc/meminfo"), "MemAvailable") / 1024
            if held > limit_mb or spare < spare_mb:
                say(stopped=f"{held:.0f} MB held, {spare:.0f} MB to spare")
                os._exit(9)
            time.sleep(0.1)

    threading.Thread(target=watch, daemon=True).start()
