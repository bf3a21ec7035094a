"""Commits that meet other writers: a race that was lost is run again on what the winner left."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final, TypeVar

from deltalake.exceptions import CommitFailedError
from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception_type, stop_after_attempt

from recpipe.errors import RecpipeError

COMMIT_TRIES: Final = 12
Result = TypeVar("Result")


def committed(change: Callable[[], Result], lost: str) -> Result:
    """Return what a change of a table returns, once Delta has taken its commit.

    Parameters
    ----------
    change
        Reads the newest version and commits to it; it runs again, a little later each time, where another writer was faster.
    lost
        What to tell a person if every try was lost.

    Raises
    ------
    RecpipeError
        If every try was lost.
    """
    lost_race = retry_if_exception_type(CommitFailedError)
    try:
        return Retrying(retry=lost_race, stop=stop_after_attempt(COMMIT_TRIES), wait=_pause)(change)
    except RetryError:
        raise RecpipeError(lost) from None


def _pause(state: RetryCallState) -> float:
    return random.uniform(0.05, 0.2) * state.attempt_number
