"""An ``airflow`` service that has imported the dear modules: ``python -m recpipe.local.warm MODULES ARGS…``.

MODULES is a list with commas, or ``default`` for those of ``RECPIPE_PRELOAD``. The scheduler's LocalExecutor and a worker of
Celery fork processes, and those fork the tasks: what is imported here, each task finds imported. Great Expectations alone
costs 10 s of CPU time a process otherwise. Only imports happen before the fork; no module here starts a thread or opens a
file by being imported (a test counts the threads).
"""

from __future__ import annotations

import importlib
import logging
import sys

log = logging.getLogger(__name__)


def preload(modules: list[str]) -> None:
    """Import some modules; one that cannot be imported is left to the task that needs it."""
    for name in modules:
        try:
            importlib.import_module(name)
        except ImportError as error:
            log.warning("%s is not imported ahead: %s", name, error)


def modules(given: str) -> list[str]:
    """Return the modules that a command line names."""
    if given == "default":
        from recpipe.config.settings import load_settings

        return load_settings().local.preload
    return [name for name in given.split(",") if name]


if __name__ == "__main__":
    preload(modules(sys.argv[1]))
    from airflow.__main__ import main

    sys.argv = ["airflow", *sys.argv[2:]]
    main()
