"""Makes MLflow's database in processes that are killed at several moments, and in several at once. Run by test_database.py.

One process imports what is needed and forks, so that a kill hits the making and not the imports. Prints what came of it as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import mlflow.store.tracking.sqlalchemy_store  # noqa: F401  # so that no child imports it

from recpipe.local.mlflow_database import fault_of, newest_revision, ready


def child(folder: Path) -> int:
    process = os.fork()
    if process == 0:
        try:
            ready(f"sqlite:///{folder}/mlflow.db")
            os._exit(0)
        except BaseException as error:  # a child must never come back
            print(error, file=sys.stderr)
            os._exit(1)
    return process


def killed_at(folder: Path, size: int) -> int:
    """Kill a maker once what it makes has a size; return the size at which it died."""
    process, seen = child(folder), -1
    while seen < size and os.waitpid(process, os.WNOHANG) == (0, 0):
        seen = max((file.stat().st_size for file in folder.glob(".mlflow.db.*.new")), default=-1)
        time.sleep(0.0005)
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
    return seen


def main(root: Path) -> None:
    newest_revision()
    found = []
    for number, size in enumerate((0, 1, 100_000, 400_000, 800_000)):
        folder = root / str(number)
        folder.mkdir(parents=True)
        died = killed_at(folder, size)
        left = (folder / "mlflow.db").exists()
        again = os.waitpid(child(folder), 0)[1]
        names = sorted(file.name for file in folder.iterdir())
        found.append({"died": died, "left": left, "again": again, "fault": fault_of(folder / "mlflow.db"), "names": names})
    folder = root / "at once"
    folder.mkdir()
    together = [os.waitpid(process, 0)[1] for process in [child(folder) for _ in range(4)]]
    print(json.dumps({"killed": found, "together": together, "fault": fault_of(folder / "mlflow.db")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
