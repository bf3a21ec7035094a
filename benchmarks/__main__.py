"""The benchmarks in one run, a line each: recpipe's time, the peer's time, and their ratio."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "2")

from benchmarks.adapt import adaptation, scoring
from benchmarks.ingest import ingestion
from benchmarks.rank import ranking
from benchmarks.timing import Result


def main() -> None:
    """Run all benchmarks in a folder of their own."""
    with tempfile.TemporaryDirectory() as folder:
        for benchmark in (ingestion, adaptation, scoring, ranking):
            for result in benchmark(Path(folder)):
                show(result)


def show(result: Result) -> None:
    """Print a result as one line."""
    rate, peer = result.amount / result.seconds, result.amount / result.peer_seconds
    print(
        f"{result.name:<34} {rate:>12,.0f} {result.unit}/s   {peer:>12,.0f} by {result.peer:<44} ratio {rate / peer:.2f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
