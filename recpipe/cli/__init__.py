"""The commands: one module a group; what they need is imported when they run."""

from __future__ import annotations

import logging
import sys

from recpipe.cli import (
    benchmark,
    check,
    configuration,
    encoders,
    evaluate,
    ingest,
    local,
    models,
    privacy,
    search,
    tables,
    tasks,
    train,
    upkeep,
)
from recpipe.cli.command import app
from recpipe.errors import RecpipeError, Trouble, no_space
from recpipe.faults import place_in_code, sentence_of
from recpipe.printable import ReadableFormatter, say, steady_output

GROUPS = (
    benchmark,
    check,
    configuration,
    encoders,
    evaluate,
    ingest,
    local,
    models,
    privacy,
    search,
    tables,
    tasks,
    train,
    upkeep,
)
"""Importing a group adds its commands to `app`."""

log = logging.getLogger(__name__)


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
    from recpipe.config.settings import load_settings
    from recpipe.user_ids.keys import has_key

    try:
        return has_key(load_settings().privacy)
    except RecpipeError:
        return True
