"""Errors are sentences for a person: what happened, where, and what to do about it."""

from __future__ import annotations

import errno

from recpipe.printable import sentence

NO_SPACE = ("No space left on device", "Disk quota exceeded", "database or disk is full")


class RecpipeError(Exception):
    """Anything that recpipe refuses; its text can be shown to a person as it stands, whatever names and values it quotes."""

    def __str__(self) -> str:
        """Return the sentence without signs that steer a terminal, and cut where it is none any more."""
        return sentence(super().__str__())


class BadSetting(RecpipeError):
    """A setting or parameter has a value that recpipe cannot work with."""


class BadDelivery(RecpipeError):
    """A delivered file or day cannot be taken in; what was published before stays."""


class Unreachable(RecpipeError):
    """A store that recpipe needs does not answer, or not to recpipe: a later try may find it."""


class AuditFailed(RecpipeError):
    """A staged day did not pass its suite; nothing was published."""


class StageFailed(RecpipeError):
    """A step could not be done for a reason outside of its data (a full disk, lost rights, damaged scratch): worth another try."""


class MissingDay(RecpipeError):
    """A day that a step needs does not stand in the register yet."""


class MissingModel(RecpipeError):
    """No promoted model version serves the day that was asked for."""


class TrainingFailed(RecpipeError):
    """A training run ended without a usable model."""


def no_space(error: Exception) -> bool:
    """Whether a disk was full: Arrow and Python say so by a number, Delta and SQLite by their words alone."""
    return getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT) or any(words in str(error) for words in NO_SPACE)
