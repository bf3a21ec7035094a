"""The points of a run that learns, on their way to an MLflow run: in the background, and never in the way of learning."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

POINTS_AT_ONCE: Final = 500
CLOSE_SECONDS: Final = 30.0
"""How long the end of a run waits for points that are still on their way."""
AGAIN_SECONDS: Final = 5.0
"""How long a server that did not answer is left alone."""


class LiveRun:
    """Sends points to an MLflow run as they come.

    A server that does not answer is told once; points wait, and are sent where it answers again before the run ends.

    Parameters
    ----------
    run
        Id of the MLflow run.
    say
        Is told that the server does not answer.
    open_store
        Returns an ``MlflowClient``; that of the settings where none is given.
    """

    def __init__(self, run: str, say: Callable[[str], None], open_store: Callable[[], Any] | None = None) -> None:
        self._run, self._say, self._open = run, say, open_store or _store_of_the_settings
        self._waiting: queue.Queue[tuple[str, float, int, int]] = queue.Queue()
        self._ends, self._told = threading.Event(), False
        self._thread = threading.Thread(target=self._work, daemon=True, name="live-run")
        self._thread.start()

    def add(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take the points of a step; returns at once."""
        now = time.time_ns() // 1_000_000
        for name, value in scalars.items():
            self._waiting.put((name, float(value), now, step))

    def close(self, seconds: float = CLOSE_SECONDS) -> None:
        """Send what waits, as far as it is taken within some seconds."""
        self._ends.set()
        self._thread.join(seconds)
        if self._thread.is_alive():
            self._tell(f"MLflow took too long: some of the last points are not in its run {self._run}")

    def _work(self) -> None:
        store: Any = None
        points: list[tuple[str, float, int, int]] = []
        while True:
            ends = self._ends.is_set()
            points += self._taken()
            try:
                if points:
                    store = store or self._open()
                    self._send(store, points)
            except Exception as error:  # whatever it is, it is no reason to stop learning
                self._tell(
                    f"MLflow does not take the curve of run {self._run} ({_in_a_line(error)}): learning goes on without it"
                )
                self._ends.wait(AGAIN_SECONDS)
            if ends:
                return

    def _taken(self) -> list[tuple[str, float, int, int]]:
        """Wait a moment for points, and return all that are there."""
        found = []
        try:
            found.append(self._waiting.get(timeout=0.0 if self._ends.is_set() else 0.5))
            while True:
                found.append(self._waiting.get_nowait())
        except queue.Empty:
            return found

    def _send(self, store: Any, points: list[tuple[str, float, int, int]]) -> None:
        """Send points; those that were taken leave the list."""
        from mlflow.entities import Metric

        from recpipe.registry.store import impatience

        while points:
            some = points[:POINTS_AT_ONCE]
            with impatience():
                store.log_batch(self._run, metrics=[Metric(*point) for point in some])
            del points[: len(some)]

    def _tell(self, text: str) -> None:
        if not self._told:
            self._told = True
            self._say(text)


def _store_of_the_settings() -> Any:
    from recpipe.config.settings import load_settings
    from recpipe.registry.store import client

    return client(load_settings())


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:200]}" if lines else type(error).__name__
