"""The users whom a campaign may address: its candidates, without suppressed and barred users, under the cap."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import CAMPAIGN_AUDIENCES
from recpipe.errors import MissingDay
from recpipe.lake.reader import Reader
from recpipe.rules.day_rules import DayRules, day_rules
from recpipe.rules.model import Knowledge
from recpipe.tables.campaigns.campaign_history import Shop, made_on
from recpipe.tables.campaigns.campaign_tags import outside
from recpipe.tables.campaigns.campaigns import Campaign, read_users


def addressed_before(settings: Settings, reader: Reader, campaigns: list[Campaign], day: date) -> Counter[str]:
    """Return how many campaigns addressed each user in the days of the cap before a day.

    Those of the published table count, and the candidates of campaigns from before the table was kept.

    Raises
    ------
    MissingDay
        If the audience of a campaign in these days could be there, and is not: the cap would depend on the order in
        which days are made.
    """
    if not settings.audiences.campaign_cap:
        return Counter()
    first = day - timedelta(days=settings.audiences.campaign_cap_days - 1)
    rows = reader.read(CAMPAIGN_AUDIENCES.name, first, day - timedelta(days=1), ["day", "campaign_id", "user_id"]).to_pylist()
    pairs = {(row["user_id"], row["campaign_id"]) for row in rows}
    for one in campaigns:
        when = made_on(settings.audiences, one)
        if first <= when < day and when not in reader.days(CAMPAIGN_AUDIENCES.name):
            pairs |= {(user, one.id) for user in _addressed_elsewhere(settings, reader, one, when, day)}
    return Counter(user for user, _ in sorted(pairs))


def _addressed_elsewhere(settings: Settings, reader: Reader, one: Campaign, when: date, day: date) -> set[str]:
    """Return whom a campaign addressed whose day is not in the table; refuse the day if it belongs there."""
    kept = reader.days(CAMPAIGN_AUDIENCES.name)
    if one.candidates and not (kept and kept[0] < when):
        return read_users(settings, one.candidates, when)
    if when not in reader.days("events"):
        return set()
    raise MissingDay(
        f"The audiences of {day} obey a cap (RECPIPE_CAMPAIGN_CAP) that counts campaign '{one.id}', whose audience of {when} is "
        f"not published: run audience_campaigns for {when} first, and {day} after it."
    )


def suppressed_of(settings: Settings, one: Campaign, day: date) -> set[str]:
    """Return the users whom a campaign must not address on a day: those of the settings' list, and of its own."""
    files = [Path(settings.audiences.suppression) if settings.audiences.suppression else None, one.suppress]
    return set().union(*(read_users(settings, file, day) for file in files if file))


def left_out(settings: Settings, reader: Reader, shop: Shop, one: Campaign, day: date) -> set[str]:
    """Return the users whom a campaign does not address on a day: suppressed ones, and those without the tags that it asks for."""
    return suppressed_of(settings, one, day) | outside(reader, one.id, one.audience, shop.users, day)


def rules_of(known: Knowledge, reader: Reader, shop: Shop, day: date) -> DayRules:
    """Return what the shop's files of knowledge say of its users and items on a day."""
    rows = reader.as_of("items", day, ["day", "item_id", "category"]) if known.sha256 else None
    pairs = zip(*(rows[name].to_pylist() for name in ("item_id", "category")), strict=True) if rows else ()
    path_of = {item: tuple(level for level in path or () if level) for item, path in pairs}
    return day_rules(known, reader, day, shop.items, [path_of.get(item, ()) for item in shop.items], shop.users)


def about(shop: Shop, one: Campaign) -> NDArray[np.intp]:
    """Return the places of the items that a campaign is about."""
    return np.flatnonzero(shop.weights[one.id] > 0)


def eligible(
    settings: Settings,
    shop: Shop,
    one: Campaign,
    suppressed: set[str],
    given: Counter[str],
    rules: DayRules,
) -> NDArray[np.int64]:
    """Return the places of the users whom a campaign may address, ``given`` being how often each was addressed already."""
    day, away = rules.day, rules.turned_away(about(shop, one))
    among = read_users(settings, one.candidates, day) if one.candidates else None
    able = [
        user not in suppressed
        and not barred
        and (among is None or user in among)
        and (not settings.audiences.campaign_cap or given[user] < settings.audiences.campaign_cap)
        for user, barred in zip(shop.users, away, strict=True)
    ]
    return np.flatnonzero(np.array(able, np.bool_))
