"""The files under ``reports/``, for browsers that cannot open the server's paths."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from recpipe.config.place_settings import PlaceSettings

HANDED_OUT: Final = frozenset({".html", ".png", ".svg", ".css"})
"""Kinds of files that are handed out; no other file that happens to lie there is."""


def find_report(places: PlaceSettings, path: str) -> Path | None:
    """Return a file of the reports; None where there is none of that name, or it lies outside their folder.

    Links are followed before the folder is compared, so that none leads out. Hidden files are not handed out.
    """
    root = places.reports.resolve()
    try:
        file = (root / path).resolve()
        inside = file.is_relative_to(root) and file.is_file()
    except (OSError, ValueError):  # a name that is too long, or holds a null
        return None
    hidden = inside and any(part.startswith((".", "_")) for part in file.relative_to(root).parts)
    return file if inside and not hidden and file.suffix in HANDED_OUT else None


def list_reports(places: PlaceSettings, most: int = 60) -> list[str]:
    """Return the newest reports beside the verdicts, newest first: paths under the folder of reports."""
    if not places.reports.is_dir():
        return []
    files = [file for file in places.reports.glob("*.html") if find_report(places, file.name)]
    return [
        file.name
        for file in sorted(files, key=lambda file: file.name.lstrip("abcdefghijklmnopqrstuvwxyz_-"), reverse=True)[:most]
    ]
