"""One process at a time in a folder: who comes second waits, so that two runs that were given one folder never mix in it."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

CLAIM: Final = ".claim"
"""File of a folder that the process at work in it holds; the claim ends with the process, however that ends."""


@contextmanager
def alone(folder: Path, say: Callable[[str], None] = print) -> Iterator[None]:
    """Wait until no other process works in a folder, and hold it; the folder is made if it is not there.

    Within a process a folder can be held once: who holds it and asks again would wait for itself. On a file system without
    locks nobody waits.

    Parameters
    ----------
    folder
        What is to be held.
    say
        Is told that somebody else works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / CLAIM).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run works in {folder}: waiting until it has ended")
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # no locks here
        yield
