# ruff: noqa: E402, F401, I001  (the groups import `app` from here, one line each)
"""The ``recpipe`` command: one module a group of commands; what they need is imported when they run."""

from __future__ import annotations

import logging
import sys

import typer

from recpipe.errors import RecpipeError, no_space
from recpipe.printable import ReadableFormatter, say, steady_output

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command; what recpipe refuses is shown as its sentence, with exit code 2."""
    steady_output()
    lines = logging.StreamHandler()
    lines.setFormatter(ReadableFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    try:
        app()
    except RecpipeError as error:
        say(f"recpipe: {error}", sys.stderr)
        sys.exit(2)
    except Exception as error:
        if not no_space(error):
            raise
        say(
            f"recpipe: There is no space left where it had to write ({error}). Days are published whole or not at all, so none is half done. "
            f"Make room (docs/operations.md, A full disk), then run the same command again.",
            sys.stderr,
        )
        sys.exit(1)


from recpipe.cli import benchmark
from recpipe.cli import check
from recpipe.cli import demo
from recpipe.cli import encoders
from recpipe.cli import evaluate
from recpipe.cli import ingest
from recpipe.cli import keys
from recpipe.cli import knowledge
from recpipe.cli import local
from recpipe.cli import models
from recpipe.cli import privacy
from recpipe.cli import recommend
from recpipe.cli import search
from recpipe.cli import tables
from recpipe.cli import tasks
from recpipe.cli import train
from recpipe.cli import upkeep
