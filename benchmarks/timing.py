"""The clock of the benchmarks: the best of several turns, work and peer in turn so that both meet the same machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Result:
    """Seconds for an amount of work, ours and the peer's."""

    name: str
    unit: str
    amount: float
    seconds: float
    peer: str
    peer_seconds: float


def best(work: Callable[[], object], peer: Callable[[], object], turns: int = 3) -> tuple[float, float]:
    """Return the shortest time of each, in seconds."""
    times: tuple[list[float], list[float]] = ([], [])
    for _ in range(turns):
        for what, found in zip((work, peer), times, strict=True):
            start = time.perf_counter()
            what()
            found.append(time.perf_counter() - start)
    return min(times[0]), min(times[1])
