"""Faults of libraries, the disk and the operating system, as sentences for a person.

A stage that knows which file or table it works on says so by `told`; what is left is caught at the edge (`recpipe.cli.main`, and
`refusals` of the DAGs), where a fault of a library becomes a sentence and its trace goes into the log.
"""

from __future__ import annotations

import errno
import json
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from recpipe.errors import RecpipeError, Trouble, chain, no_space
from recpipe.printable import printable

log = logging.getLogger(__name__)

LIBRARIES: Final = frozenset(
    {
        *("pyarrow", "_internal", "deltalake", "sqlite3", "duckdb", "_duckdb", "safetensors", "mlflow", "sqlalchemy", "optuna"),
        *("alembic", "great_expectations", "requests", "urllib3", "botocore", "zlib", "zipfile", "csv", "yaml"),
    }
)
"""Packages whose errors speak of data, files or services, not of a mistake in our code; ``_internal`` is Delta's."""
DELTA: Final = ("deltalake", "_internal")
NO_RIGHTS: Final = (
    *("Permission denied", "Operation not permitted", "Read-only file system", "os error 13)", "os error 30)"),
    *("attempt to write a readonly database", "unable to open database file", "AccessDenied"),
)
LONGEST: Final = 300
MAKE_ROOM: Final = "Make room (docs/operations.md, A full disk), then run the same again."
WHOLE: Final = "Days are published whole or not at all, so none is half done."


def sentence_of(error: BaseException, keep_back: bool = False) -> str:
    """Return what a fault of the disk, of rights or of a library means, and what to do; empty where it is a mistake of ours.

    Parameters
    ----------
    error
        What was raised; what it came from is looked at, too.
    keep_back
        Whether to leave out what the library said, since it may quote values that nobody shall see.
    """
    if not _of_library(error):
        return ""
    said = "" if keep_back else f": {_words(error)}"
    kind = f"{type(error).__name__}{said}"
    if no_space(error):
        return f"There is no space left where it had to write, or the disk fails ({kind}). {WHOLE} {MAKE_ROOM}"
    if lacks_rights(error):
        return (
            f"The account that runs recpipe lacks a right that it needs ({kind}). {WHOLE} Give it the right to read and write there "
            f"(`recpipe doctor` looks at every folder), then run the same again."
        )
    return (
        f"It could not go on ({kind}). {WHOLE} Look at what is named there: a file may be damaged or gone, or a service away "
        f"(`recpipe doctor`); the log above has the place in the code. Mend it, then run the same again."
    )


def lacks_rights(error: BaseException) -> bool:
    """Whether the operating system or a store forbade what was asked."""
    return any(
        getattr(one, "errno", None) in (errno.EACCES, errno.EPERM, errno.EROFS) or any(words in str(one) for words in NO_RIGHTS)
        for one in chain(error)
    )


@contextmanager
def told(what: str, remedy: str, *, keep_back: bool = False) -> Iterator[None]:
    """Say of what a stage was working on that the disk, the operating system or a library did not let it.

    Parameters
    ----------
    what
        Table, day and file, and that it could not be read or written, as the beginning of a sentence.
    remedy
        What to do where the disk is neither full nor forbidden, in a sentence.
    keep_back
        Whether to leave out what the library said, since it may quote values that nobody shall see.

    Raises
    ------
    Trouble
        In the place of an error of a library or the operating system; ours and mistakes in the code pass.
    """
    try:
        yield
    except RecpipeError:
        raise
    except Exception as error:
        if not _of_library(error):
            raise
        full, forbidden = no_space(error), lacks_rights(error)
        why = "there is no space left, or the disk fails" if full else "a right is missing" if forbidden else type(error).__name__
        do = f"{WHOLE} {MAKE_ROOM}" if full else "Give the account that runs recpipe the right." if forbidden else remedy
        said = "" if keep_back else f": {_words(error)}"
        raise Trouble(f"{what} ({why}{said}). {do}") from (None if keep_back else error)


@contextmanager
def explained(what: str, remedy: str, kind: type[RecpipeError] = Trouble, *, keep_back: bool = False) -> Iterator[None]:
    """Let no error leave but recpipe's own, mistakes in the code among them: for stages that work on what others delivered.

    Parameters
    ----------
    what
        What cannot be done, with table, file and day: begins the sentence.
    remedy
        What a person should do: ends it.
    kind
        What is raised where neither a disk, a right, the operating system nor the lake's store is the cause.
    keep_back
        Whether to leave out what a library said, since it may quote values that nobody shall see.

    Raises
    ------
    Trouble
        If a disk is full, a right is missing, or the operating system or the lake's store failed: what was delivered is not at fault,
        and another try may do.
    RecpipeError
        Of the kind that was asked for, in the place of any other error.
    """
    try:
        yield
    except RecpipeError as error:
        if keep_back:
            raise error from None  # what it came from may quote values, too
        raise
    except Exception as error:
        if not keep_back:
            log.debug("%s", what, exc_info=error)
        cause = _kept_back(error) if keep_back else f"{type(error).__name__}: {_words(error).rstrip('.')}"
        raise _sentence(what, remedy, kind, error, cause) from (None if keep_back else error)


def _sentence(what: str, remedy: str, kind: type[RecpipeError], error: Exception, cause: str) -> RecpipeError:
    if no_space(error):
        return Trouble(f"{what}: the disk is full. {MAKE_ROOM}")
    if lacks_rights(error):
        return Trouble(f"{what}: {cause}. Give recpipe the right to read and write there, then run the same again.")
    if _of_a_place(error):
        return Trouble(f"{what}: {cause}. {remedy}")
    return kind(f"{what}: {cause}. {remedy}")


def _of_a_place(error: Exception) -> bool:
    """Whether the operating system (which numbers its errors; Arrow's of damaged files have none) or the lake's store failed."""
    return any(
        (isinstance(one, OSError) and one.errno is not None) or type(one).__module__.split(".")[0] in DELTA
        for one in chain(error)
    )


def _kept_back(error: Exception) -> str:
    at = error.__traceback__
    while at is not None and at.tb_next is not None:
        at = at.tb_next
    where = f"{at.tb_frame.f_code.co_filename}, line {at.tb_lineno}" if at else "somewhere"
    return (
        f"{type(error).__name__} in {where}. Its text is kept back, since it may quote what was delivered; run the day by hand "
        f"without a key, on a copy of this delivery and an empty home, to read it"
    )


def place_in_code(error: BaseException) -> str:
    """Return where in the code an error was raised, without what it says: its text may quote values."""
    return "".join(traceback.format_tb(error.__traceback__)).rstrip()


def _of_library(error: BaseException) -> bool:
    if isinstance(error, OSError | json.JSONDecodeError | UnicodeDecodeError | EOFError):
        return True
    return type(error).__module__.split(".")[0] in LIBRARIES


def _words(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[0] if lines else "it said nothing", LONGEST)
