"""Errors, as sentences for a person: what happened, where, and what to do about it."""

from __future__ import annotations

import errno
from collections.abc import Iterator

from recpipe.printable import sentence

NO_SPACE = (
    *("No space left on device", "Disk quota exceeded", "database or disk is full", "disk I/O error"),
    *("os error 28)", "os error 122)", "StorageFull"),
)
"""How SQLite (the third and fourth: the second of these also where a disk fails), Rust and object stores say that a disk is full."""


class RecpipeError(Exception):
    """Anything that recpipe refuses; its text can be shown to a person as it stands, whatever names and values it quotes."""

    def __str__(self) -> str:
        """Return the sentence without signs that steer a terminal, and cut where it is none any more."""
        return sentence(super().__str__())


class BadSetting(RecpipeError):
    """A setting or parameter has a value that recpipe cannot work with."""


class BadDelivery(RecpipeError):
    """A delivered file or day cannot be taken in; what was published before stays."""


class AuditFailed(RecpipeError):
    """A staged day did not pass its suite; nothing was published."""


class MissingDay(RecpipeError):
    """A day that a step needs does not stand in the register yet."""


class MissingModel(RecpipeError):
    """No promoted model version serves the day that was asked for."""


class TrainingFailed(RecpipeError):
    """A training run ended without a usable model."""


class Trouble(RecpipeError):
    """The disk, a right, a file or a service did not let a stage go on; another try may, where somebody mends it or it passes."""


class Unreachable(Trouble):
    """A store that recpipe needs does not answer, or not to recpipe: a later try may find it."""


def no_space(error: BaseException) -> bool:
    """Whether a disk was full: Arrow and Python say so by a number, Delta, SQLite and MLflow by their words alone."""
    return any(
        getattr(one, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(words in str(one) for words in NO_SPACE)
        for one in chain(error)
    )


def chain(error: BaseException) -> Iterator[BaseException]:
    """Yield an error and what it came from: libraries wrap what the disk said."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        seen.add(id(one))
        yield one
        one = one.__cause__ or one.__context__
