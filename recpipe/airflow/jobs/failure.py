"""The failures of a job, wherever it ran: the error, and its sentence."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from airflow.sdk.exceptions import AirflowException, AirflowFailException

LAST_LINES = 15
REFUSED = 2
"""Exit code of the ``recpipe`` command when it refuses: trying again cannot help."""


def failed(program: str, code: int | None, lines: Iterable[str], why: str = "") -> AirflowException:
    """Return the error of a job that failed: one that Airflow does not try again, where recpipe refused.

    Parameters
    ----------
    program
        What ran.
    code
        Its exit code; None where it did not come to one.
    lines
        What it said last; of more than `LAST_LINES` the last ones are kept.
    why
        What the place says of it, as a sentence.
    """
    error = AirflowFailException if code == REFUSED else AirflowException
    ended = "did not end by itself" if code is None else f"ended with exit code {code}"
    said = list(lines)[-LAST_LINES:]
    head = f"{program} {ended}. {why + ' ' if why else ''}Its last lines:"
    return error("\n".join([head, *said]))


def require_made(program: str, makes: str, lines: Iterable[str] = ()) -> None:
    """Hold a job that ended well against the file that it should have left; see `failed`.

    Parameters
    ----------
    program
        What ran.
    makes
        The file, as this worker sees it; nothing is looked for if empty.
    lines
        What the job said last.

    Raises
    ------
    AirflowException
        If it is not there: the place of the job may see another folder under the same path.
    """
    if makes and not Path(makes).is_file():
        raise failed(
            program, 0, lines,
            f"But it left no {makes} where this worker looks for it: see whether the place where it ran has the same folder there.",
        )  # fmt: skip
