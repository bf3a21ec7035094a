"""Pages from templates: HTML that loads nothing and runs nothing, written whole."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from recpipe.files import write_whole
from recpipe.printable import printable

TEMPLATES: Final = Path(__file__).parent / "templates"
"""``base.html`` and ``page.css``, which every page has, and a template for each report."""


@cache
def environment(*folders: Path) -> Environment:
    """Return what makes pages of the templates here, and of those in further folders, which may extend ``base.html``.

    Values are escaped, a value that is not given is an error, and no text of others turns the direction of what is around it.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, TEMPLATES]),
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["thousands"] = "{:,}".format
    made.filters["long_day"] = lambda day: f"{day.day} {day:%B %Y}"
    return made


def render(template: str, **shown: Any) -> str:
    """Return a report as HTML, its style within it.

    Raises
    ------
    jinja2.UndefinedError
        If the template shows a value that is not given.
    """
    return environment().get_template(template).render(shown)


def write_page(file: Path, page: str) -> Path:
    """Write a page, whole or not at all, with the folders that it needs; return its path."""
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, page.encode())
    return file


def _shown(value: Any) -> Any:
    return printable(value) if type(value) is str else value  # what is markup already is no text of others
