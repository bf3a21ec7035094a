"""A shop from Python: the commands of a night as methods."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd

from recpipe.config.settings import Settings, settings_of
from recpipe.days import parse_day


@dataclass(frozen=True)
class Shop:
    """One shop's lake, landing folder and models.

    Attributes
    ----------
    settings
        Where they are, and its rules.
    """

    settings: Settings

    def ingest(self, day: str | date) -> dict[str, int]:
        """Take in the delivery of a day; returns rows by table."""
        from recpipe.tables.ingest.days_in import ingest_day

        return ingest_day(self.settings, _day(day))

    def build(self, table: str, day: str | date) -> dict[str, Any]:
        """Make and publish a day of a table: ``recommendations``, or one that `recpipe tasks` lists."""
        from recpipe.pipeline.publish import run_day
        from recpipe.tables.families import task_of
        from recpipe.tables.recommendations.night_publish import recommend_day

        if table == "recommendations":
            return recommend_day(self.settings, _day(day))
        return run_day(self.settings, task_of(table), _day(day))

    def recommendations(self, user: str | int, day: str | date | None = None) -> pd.DataFrame:
        """Return a user's list of a day, the newest where none is named: rank, item, title, score and reason."""
        from recpipe.readers.lists import read_list

        shown = read_list(self.settings, str(user), _day(day) if day else None)
        return pd.DataFrame([vars(entry) for entry in shown.entries])

    def table(self, name: str, day: str | date) -> pd.DataFrame:
        """Return a published day of any table."""
        from recpipe.lake.lake import Lake

        wanted = _day(day)
        frame: pd.DataFrame = Lake.from_settings(self.settings).reader().read(name, wanted, wanted).to_pandas()
        return frame


def open_shop(home: str | Path = ".recpipe", **settings: Any) -> Shop:
    """Open a shop by its home, whose ``recpipe.env`` is read; settings are named as their environment variables, without ``RECPIPE_`` and in small letters."""
    return Shop(settings_of(Path(home), **settings))


def _day(day: str | date) -> date:
    return day if isinstance(day, date) else parse_day(day)
