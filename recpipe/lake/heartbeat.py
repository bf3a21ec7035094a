"""Signs of life: something small that is done again and again while something long runs."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def heartbeat(beat: Callable[[], None], seconds: float, name: str, *missed: type[Exception]) -> Iterator[None]:
    """Do something every so many seconds while the block runs, in a thread of its own.

    Parameters
    ----------
    beat
        What is done.
    seconds
        Between one and the next, and before the first.
    name
        Of the thread.
    missed
        Errors after which the next one is waited for.
    """
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(seconds):
            with suppress(*missed):
                beat()

    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
