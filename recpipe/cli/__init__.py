# ruff: noqa: E402, F401, I001  (the groups import `app` from here, one line each)
"""The ``recpipe`` command: one module a group of commands; what they need is imported when they run."""

from __future__ import annotations

import logging
import sys

import typer

from recpipe.errors import RecpipeError, Trouble, no_space
from recpipe.faults import place_in_code, sentence_of
from recpipe.printable import ReadableFormatter, say, steady_output

log = logging.getLogger(__name__)

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


def main() -> None:
    """Run the command; what recpipe refuses is shown as its sentence, with exit code 2.

    A full disk, a missing right, a damaged file or a service that is away ends with a sentence and exit code 1.
    """
    steady_output()
    lines = logging.StreamHandler()
    lines.setFormatter(ReadableFormatter("%(asctime)s %(message)s", "%H:%M:%S"))
    logging.basicConfig(level=logging.INFO, handlers=[lines])
    try:
        app()
    except RecpipeError as error:
        say(f"recpipe: {error}", sys.stderr)
        sys.exit(1 if isinstance(error, Trouble) else 2)
    except Exception as error:
        said = sentence_of(error, keep_back=keyed())
        if not said:
            raise
        if not no_space(error):
            log.error("%s in:\n%s", type(error).__name__, place_in_code(error))
        say(f"recpipe: {said}", sys.stderr)
        sys.exit(1)


def keyed() -> bool:
    """Whether ids are kept under a key, so that no text of a library may be shown: it could quote what was delivered."""
    from recpipe.config import load_settings
    from recpipe.privacy.keys import has_key

    try:
        return has_key(load_settings())
    except RecpipeError:
        return True


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
