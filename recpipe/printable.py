r"""Foreign texts (titles, searches, names of files and columns), made fit for a terminal, a log, a sentence or a page.

Texts of a shop are kept as they were delivered. Where one is shown, signs that steer a terminal (escape sequences, NUL, bell),
that turn the direction of what follows, or that no encoding holds are written out, as in ``\x1b``.
"""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.text import Text

NAME: Final = 80
"""Characters of a name (of a file, a column, a setting's value) that a sentence shows."""
SENTENCE: Final = 4000
"""Characters of a sentence that are shown."""
_STEERING: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""C0 (but tab and end of line), DEL, C1, ends of line and paragraph, turns of direction, halves of characters."""
_BREAKS: Final = re.compile("[\t\n\v\f\r\x85\u2028\u2029]+")
_PLAIN: Final = re.compile(r"[\w.%+=@/:*()\[\]{}-]+")


def steered(text: str) -> bool:
    """Whether a text holds a sign that is written out where it is shown."""
    return _STEERING.search(text) is not None


def readable(text: str) -> str:
    r"""Return a text of several lines with every sign written out that would steer a terminal.

    Examples
    --------
    >>> print(readable("red: \x1b[31m, turned: \u202e"))
    red: \x1b[31m, turned: \u202e
    """
    return text if not steered(text) else _STEERING.sub(_written_out, text)


def printable(text: str, most: int = 0) -> str:
    r"""Return one value, such as a title, as one readable line.

    Parameters
    ----------
    text
        The value.
    most
        Characters after which it is cut; 0: it is shown whole.

    Examples
    --------
    >>> print(printable("two\nlines, and a bell: \x07", 14))
    two lines, an…
    """
    if most:
        text = text[: 2 * most]  # no more is looked at than can be shown
    line = readable(_BREAKS.sub(" ", text))
    return line if not most or len(line) <= most else line[: most - 1] + "…"


def named(name: str, most: int = NAME) -> str:
    r"""Return a name that others gave (a file, a column) for a sentence: in quotes where it is not one plain word, and cut.

    Parameters
    ----------
    name
        The name.
    most
        Characters after which it is cut.

    Examples
    --------
    >>> print(named("part-0.parquet"), named("user id"), named(""), named("\x1b[2J"))
    part-0.parquet 'user id' '' '\x1b[2J'
    """
    shown = printable(name, most)
    return shown if _PLAIN.fullmatch(shown) and shown == name else f"'{shown}'"


def sentence(text: str) -> str:
    """Return the text of an error or a notice, readable, and cut where it is no sentence any more."""
    return readable(text if len(text) <= SENTENCE else f"{text[:SENTENCE]}… (cut: {len(text):,} characters)")


def say(text: str, file: TextIO | None = None) -> None:
    """Print a line for a person: the one way in which commands do."""
    print(readable(text), file=file or sys.stdout, flush=True)


def cell(text: str) -> Text:
    """Return a value for a table or a line of rich: nothing in it is markup, and nothing steers the terminal."""
    from rich.text import Text

    return Text(printable(text))


def _written_out(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class ReadableFormatter(logging.Formatter):
    """Lines of a log, in which a name or a title can steer no terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return readable(super().format(record))


def steady_output() -> None:
    """Let this process write any text to its terminal or pipe, whatever the encoding of that: what it lacks is written out."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
