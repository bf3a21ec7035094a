"""The nights that a registered version made: told from the register, and noted beside the version in MLflow."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Final

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.lake.day_record import DayRecord
from recpipe.lake.lake import Lake
from recpipe.local.mlflow_database import sqlite_file
from recpipe.registry.store import client, impatience

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

NIGHTS: Final = "nights"
"""Tag of a version: first and last night that it made, and how many."""
PAGE: Final = "nights_page"
"""Tag of a version: the page that lists them."""
TABLES: Final = ("recommendations",)
"""Tables that are made by a version of the registry."""
_NUMBER: Final = re.compile(r"(\d+)(?:\+.*)?")


def nights(settings: Settings, version: str) -> list[DayRecord]:
    """Return the nights whose published lists a registered version made, by day; no question to MLflow."""
    lake = Lake.from_settings(settings)
    found = (record for table in TABLES for record in lake.days(table) if record.complete)
    return sorted((one for one in found if number_of(one.model_version) == str(version)), key=lambda one: (one.day, one.table))


def number_of(model_version: str | None) -> str:
    """Return the number of a registered version as a register row names it, less what stands after a plus; empty for any other.

    >>> number_of("12"), number_of("12+knowledge-0a1b2c3d"), number_of("pairs-1:0f3a"), number_of(None)
    ('12', '12', '', '')
    """
    found = _NUMBER.fullmatch(model_version or "")
    return found[1] if found else ""


def in_words(days: Sequence[date]) -> str:
    """Return some nights as a person reads them.

    >>> in_words([date(2011, 9, 1), date(2011, 9, 3)]), in_words([date(2011, 9, 1)]), in_words([])
    ('2011-09-01 … 2011-09-03, 2 nights', '2011-09-01, 1 night', 'none')
    """
    if not days:
        return "none"
    if len(days) == 1:
        return f"{days[0]}, 1 night"
    return f"{min(days)} … {max(days)}, {len(days)} nights"


def version_page(settings: Settings, version: str) -> str:
    """Return the address of the page that lists a version's nights, behind Airflow's login."""
    from recpipe.local.home import airflow_pages

    return f"{airflow_pages(settings)}/recpipe/versions/{version}"


def note_night(settings: Settings, table: str, day: date) -> list[str]:
    """Note beside every version that ever made this day which nights are its own now; never raises for MLflow's sake.

    A version that has lost the day to another one is noted anew as well. What is noted comes from the register, not from what
    was noted before, so that nights in parallel, reruns and calls that were killed end in the same.

    Parameters
    ----------
    settings
        Where the lake and MLflow are.
    table, day
        What was published.

    Returns
    -------
    list of str
        The versions whose tags were set.
    """
    if table not in TABLES or no_store(settings.places):
        return []
    named = {number_of(record.model_version) for record in Lake.from_settings(settings).history(table, day)} - {""}
    noted = []
    for version in sorted(named, key=int):
        try:
            with impatience():
                _note(settings, client(settings), version)
        except Exception as error:  # whatever MLflow has: the night is published, and stays so
            log.warning(
                "MLflow was not told that version %s made %s of %s (%s): the next night of the version tells it, and "
                "`recpipe nights %s` knows it from the register.", version, table, day, type(error).__name__, version,
            )  # fmt: skip
            continue
        noted.append(version)
    return noted


def _note(settings: Settings, store: MlflowClient, version: str) -> None:
    """Set the tags, and look again: of two who do this at once the later one is right."""
    told = None
    while (words := in_words([record.day for record in nights(settings, version)])) != told:
        store.set_model_version_tag(settings.promotion.registered_model, version, NIGHTS, words)
        told = words
    name, page = settings.promotion.registered_model, version_page(settings, version)
    store.set_model_version_tag(name, version, PAGE, page)
    if not store.get_model_version(name, version).description:  # a person's words stay
        store.update_model_version(name, version, f"[The nights that this version made]({page})")


def no_store(places: PlaceSettings) -> bool:
    """Whether MLflow's file does not exist, which nobody wants to be made for a note."""
    file = sqlite_file(places.tracking_uri)
    return file is not None and not file.exists()
