"""The tasks: one module each, which says what its table is made of; `recpipe.rails` does the rest."""

from typing import Any, Final

from recpipe.rails import Task

TASKS: Final[dict[str, Task[Any]]] = {}
"""Every task by its name, beside the lists of the night, which have commands of their own."""
