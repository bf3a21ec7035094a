"""Errors of libraries become sentences: what was being done, with which table and file, and what to do."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from recpipe.config import Settings
from recpipe.errors import BadDelivery, RecpipeError, StageFailed, no_space
from recpipe.printable import printable
from recpipe.privacy.keys import has_key

log = logging.getLogger(__name__)

LONGEST: Final = 300
"""Letters of a library's own text that a sentence quotes."""


@contextmanager
def in_words(settings: Settings, what: str, remedy: str, kind: type[RecpipeError] = BadDelivery) -> Iterator[None]:
    """Let no error leave but recpipe's own.

    With a key of user ids the text of a library's error is kept back: it may quote the values that it met.

    Parameters
    ----------
    settings
        Say whether there is a key.
    what
        What cannot be done, with table, file and day: begins the sentence.
    remedy
        What a person should do: ends it.
    kind
        What is raised where neither a full disk nor lost rights are the cause.

    Raises
    ------
    StageFailed
        If a disk is full, or a right is missing: the delivery is not at fault, and another try may do.
    RecpipeError
        Of the kind that was asked for, in the place of any other error.
    """
    try:
        yield
    except RecpipeError as error:
        if not has_key(settings):
            raise
        raise error from None  # what it came from may quote values, too
    except Exception as error:
        if has_key(settings):
            raise _sentence(what, remedy, kind, error, _place(error)) from None
        log.debug("%s", what, exc_info=error)
        raise _sentence(what, remedy, kind, error, f"{type(error).__name__}: {_quoted(error)}") from error


def _sentence(what: str, remedy: str, kind: type[RecpipeError], error: Exception, cause: str) -> RecpipeError:
    if no_space(error):
        return StageFailed(f"{what}: the disk is full. Make room (docs/operations.md, a full disk), then run the day again.")
    if isinstance(error, PermissionError):
        return StageFailed(f"{what}: {cause}. Give recpipe the right to read and write there, then run the day again.")
    return kind(f"{what}: {cause}. {remedy}")


def _quoted(error: Exception) -> str:
    """Return the first line of an error's text, short and without control signs."""
    line = next(iter(str(error).strip().splitlines()), "no text")
    return printable(line, LONGEST).rstrip(".")


def _place(error: Exception) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f"{at.tb_frame.f_code.co_filename}, line {at.tb_lineno}" if at else "somewhere"
    return (
        f"{type(error).__name__} in {where}. Its text is kept back, since it may quote what was delivered; run the day by hand "
        f"without a key, on a copy of this delivery and an empty home, to read it"
    )
