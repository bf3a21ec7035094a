"""The one door to what a shop delivers of its users beside platform and country: nothing passes that the settings do not name."""

from __future__ import annotations

from datetime import date

import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.lake.reader import Reader


def read_attributes(reader: Reader, settings: Settings, day: date) -> pa.Table:
    """Return user_id, and a text column for each key of ``settings.fairness.use_attributes``, as of a day, by user_id.

    Age, sex, income and the like may stand among a user's attributes. No list, profile or audience is made from them; a task of the
    shop's own that is to look at some reads them here, and the shop says which in RECPIPE_USE_ATTRIBUTES. Measuring how well groups of
    users are served (`recpipe.evaluation.fairness`) is no input, nor is an age that the shop's knowledge files ask for.

    Parameters
    ----------
    reader
        Sees the lake at fixed versions; where the setting is empty it is not asked.
    settings
        Name the keys.
    day
        Deliveries after it are not looked at.
    """
    keys = settings.fairness.use_attributes
    if not keys:
        return pa.table({"user_id": pa.array([], pa.string())})
    rows = reader.as_of("users", day, ["day", "user_id", "attributes"])
    values = [dict(found or ()) for found in rows["attributes"].to_pylist()]
    named = {key: pa.array([found.get(key) for found in values], pa.string()) for key in keys}
    return pa.table({"user_id": rows["user_id"], **named})
