"""Neighbours of a day's folder that may be the day's delivery, in another spelling or without a folder: nothing reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from itertools import islice

from recpipe.config.layouts import folder_of
from recpipe.config.place_settings import DeliverySettings
from recpipe.config.settings import Settings
from recpipe.errors import BadDelivery
from recpipe.printable import named
from recpipe.tables.ingest.landed.contents import is_hidden, listed, looks_like_parquet
from recpipe.tables.ingest.landed.landing import Found, Landing
from recpipe.user_ids.keys import has_key

MOST = 50
"""Entries beside a day that are looked for: a sentence names fewer."""


def refuse_neighbours(settings: Settings, landing: Landing, table: str, pattern: str, day: date, *, empty: bool) -> None:
    """Refuse a day of a table beside whose folder its delivery, or another part of it, may stand.

    Parameters
    ----------
    settings
        Say what is hidden.
    landing
        Where to look.
    table
        Name of the table.
    pattern
        Its layout.
    day
        The day.
    empty
        Whether the day's own folder has no file: then whatever names the day counts, and files without a folder do, too.

    Raises
    ------
    BadDelivery
        With the names of what stands there.
    """
    folder = folder_of(pattern, table, day)
    found = list(islice(_beside(settings.delivery, landing, folder, _fixed(pattern, table), day, empty), MOST))
    if not found:
        return
    what = f"{len(found)} entries beside it" if has_key(settings.privacy) else listed(map(named, found))
    state = f"{folder} holds no file" if empty else f"{folder} is not all there may be"
    raise BadDelivery(
        f"The delivery of {day} is in doubt: {state}, and {what} may hold rows of {table} that nothing reads. Nothing was published. "
        f"If the day lies there, set RECPIPE_LANDING_LAYOUT or RECPIPE_LANDING_TABLES (now {pattern}), or rename it; give what is no "
        f"part of a delivery a name that begins with an underscore, or name it in RECPIPE_LANDING_PASSED_OVER. Then run the day again."
    )


def _fixed(pattern: str, table: str) -> str:
    """Return the folder above all days of a table."""
    parts = pattern.replace("{table}", table).split("/")
    first = next(number for number, part in enumerate(parts) if "{" in part)
    return "/".join(parts[:first]).replace("{{", "{").replace("}}", "}")


def _beside(delivery: DeliverySettings, landing: Landing, folder: str, above: str, day: date, empty: bool) -> Iterator[str]:
    own = folder.removeprefix(above).strip("/").split("/")
    for found in landing.children(above):
        name = found.name.rpartition("/")[2]
        if (name == own[0] and len(own) == 1) or is_hidden(delivery, above, found):
            continue
        for twin in (found.name, *_deeper(landing, found, own, day)):
            if (
                not f"{folder}/".startswith(f"{twin}/")
                and _is_day(twin.removeprefix(above).strip("/"), day)
                and _holds(delivery, landing, twin, found)
            ):
                yield twin
        if empty and found.kind == "file" and (looks_like_parquet(name) or _names_day(name, day)):
            yield found.name


def _deeper(landing: Landing, found: Found, own: list[str], day: date) -> Iterator[str]:
    """Yield the folders below one that names the year, and maybe the month, of the day."""
    if found.kind == "folder" and re.fullmatch(rf"(\w+=)?{day.year}", found.name.rpartition("/")[2]):
        for month in landing.children(found.name):
            if month.kind != "folder":
                continue
            yield month.name
            if re.fullmatch(rf"(\w+=)?0?{day.month}", month.name.rpartition("/")[2]):
                yield from (one.name for one in landing.children(month.name) if one.kind == "folder")


def _is_day(path: str, day: date) -> bool:
    """Whether a path below the folder of all days is a way to write the day, in one folder or in several."""
    key = r"(?:\w+=)?"
    whole = rf"{key}{day.year}[-_./]?0?{day.month}[-_./]?0?{day.day}(?:[T ]\d.*)?"
    parts = rf"{key}{day.year}/{key}0?{day.month}/{key}0?{day.day}"
    return bool(re.fullmatch(rf"{whole}|{parts}", path, re.IGNORECASE)) and not _other_day(path, day)


def _other_day(path: str, day: date) -> bool:
    """Whether eight digits in a row stand for another day: 2026111 and the like can be read in two ways, 20261101 in one."""
    digits = re.search(r"\d{7,8}", path)
    return bool(digits) and digits is not None and digits.group() != f"{day:%Y%m%d}"


def _names_day(name: str, day: date) -> bool:
    return f"{day:%Y%m%d}" in re.sub(r"[-_.]", "", name)


def _holds(delivery: DeliverySettings, landing: Landing, name: str, found: Found) -> bool:
    """Whether a file, or anything that is not hidden below a folder, stands there."""
    if found.kind == "file":
        return found.name == name
    return any(one.kind == "file" and not is_hidden(delivery, name, one) for one in landing.everything(name))
