"""One user's profile of a day."""

from __future__ import annotations

from datetime import date
from typing import Any

import pyarrow.dataset as ds

from recpipe.config.settings import Settings
from recpipe.contract import USER_PROFILES
from recpipe.errors import RecpipeError
from recpipe.lake.lake import Lake
from recpipe.readers.freshness import published_day


def read_profile(settings: Settings, user_id: str, day: date | None = None) -> tuple[date, list[dict[str, Any]]]:
    """Read the tags of a user, heaviest first within each kind, as rows of ``user_profiles``.

    Parameters
    ----------
    settings
        Where the lake is.
    user_id
        The user.
    day
        The day; the newest complete one if None.

    Returns
    -------
    tuple
        The day, and its rows.

    Raises
    ------
    MissingDay
        If no profiles were published, or not those of the day.
    RecpipeError
        If the user has no tags on the day.
    """
    lake = Lake.from_settings(settings)
    day = published_day(lake, USER_PROFILES.name, day)
    rows = lake.reader().read(USER_PROFILES.name, day, day, only=ds.field("user_id") == user_id)
    if not rows.num_rows:
        raise RecpipeError(f"User {user_id} has no tags on {day}: nothing was seen of such a user in the days before.")
    return day, rows.sort_by([("kind", "ascending"), ("weight", "descending"), ("tag", "ascending")]).to_pylist()
