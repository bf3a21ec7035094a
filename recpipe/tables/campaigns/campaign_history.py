"""The history of campaigns at the end of a day: users, their purchases, and the campaigns that began."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow.dataset as ds
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.config.table_settings import AudienceSettings
from recpipe.contract import CAMPAIGN_AUDIENCES
from recpipe.lake.reader import Reader
from recpipe.tables.campaigns import responses
from recpipe.tables.campaigns.campaigns import Campaign, read_responses, read_users
from recpipe.tables.campaigns.responses.regression import Model
from recpipe.tables.campaigns.responses.response_features import NAMES, Answers, Floats, Purchases
from recpipe.text.encoder import load_encoder

log = logging.getLogger(__name__)

TEXT_ITEMS: Final = 50
"""Items closest to a campaign's text that stand for it, where it names none."""
MOST_EARLIER: Final = 30
PRIOR_PAIRS: Final = 50
"""Addressed users that the rate of the settings counts as, where too few answered."""


@dataclass(frozen=True)
class Shop:
    """What is known at the end of a day: users and items by id, purchases, and what campaigns came to.

    Attributes
    ----------
    users, items
        Ids, sorted.
    purchases
        By places in both.
    weights
        (items,) by campaign id.
    pairs
        By campaign id, of those that ended: places of the addressed, and the day of each answer as an ordinal, 0 for none.
    answers
        All pairs of campaigns that began.
    """

    users: NDArray[np.object_]
    items: NDArray[np.object_]
    purchases: Purchases
    weights: dict[str, Floats]
    pairs: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]
    answers: Answers


def made_on(audiences: AudienceSettings, campaign: Campaign) -> date:
    """Return the day on which a campaign's audience is made."""
    return campaign.first_day - timedelta(days=audiences.campaign_lead_days)


def earlier_of(campaigns: list[Campaign], day: date) -> list[Campaign]:
    """Return the newest campaigns that began by a day, oldest first."""
    return [one for one in campaigns if one.first_day <= day][-MOST_EARLIER:]


def read_shop(settings: Settings, reader: Reader, day: date, campaigns: list[Campaign]) -> Shop:
    """Read purchases as of a day, and who was addressed by campaigns and answered."""
    users = np.array(sorted(reader.as_of("users", day, ["user_id", "day"])["user_id"].to_pylist()), object)
    first = min((made_on(settings.audiences, one) for one in campaigns), default=day) - timedelta(
        days=settings.audiences.campaign_window_days
    )
    columns, bought = ["day", "user_id", "item_id", "price", "quantity"], ds.field("event_type") == "purchase"
    events = reader.events(first, day, columns, bought).to_pandas()
    events = events[events["user_id"].isin(set(users)) & events["item_id"].notna()]
    catalogue = reader.as_of("items", day, ["day", "item_id", "title", "category", "brand"]).to_pylist()
    rows = {row["item_id"]: row for row in catalogue}
    items = np.array(sorted(set(rows) | set(events["item_id"])), object)
    purchases = _purchases(events, users, items, rows)
    weights = _weights(settings, campaigns, items, rows)
    pairs = _pairs(settings, reader, day, campaigns, users, purchases, weights)
    return Shop(users, items, purchases, weights, pairs, _answers(campaigns, pairs))


def _purchases(events: Any, users: NDArray[np.object_], items: NDArray[np.object_], rows: dict[str, Any]) -> Purchases:
    paths = [tuple((rows.get(item) or {}).get("category") or ()) for item in items]
    place = {path: number for number, path in enumerate(sorted(set(paths) - {()}))}
    spent = events["price"].fillna(0.0).to_numpy(np.float64) * events["quantity"].fillna(1).to_numpy(np.float64)
    days = np.array([when.toordinal() for when in events["day"]], np.int64)
    where = (np.searchsorted(known, events[name].to_numpy(object)) for known, name in ((users, "user_id"), (items, "item_id")))
    order = np.argsort(days, kind="stable")
    lines = [np.asarray(some)[order] for some in (*where, days, spent)]
    categories = np.array([place.get(path, -1) for path in paths], np.int64)
    return Purchases(lines[0], lines[1], lines[2], lines[3], (len(users), len(items)), categories)


def _weights(
    settings: Settings, campaigns: list[Campaign], items: NDArray[np.object_], rows: dict[str, Any]
) -> dict[str, Floats]:
    """Return which items a campaign is about: those that it names, else those closest to its text."""
    vectors, found = None, {}
    for one in campaigns:
        if one.item_ids:
            found[one.id] = np.isin(items, np.array(one.item_ids, object)).astype(np.float64)
            if not found[one.id].any():
                log.warning("Campaign %s names %d items, and none was ever delivered or bought.", one.id, len(one.item_ids))
            continue
        encoder = load_encoder(settings.text.encoder, settings.places.work / "encoder")
        if vectors is None:
            vectors = encoder.encode([_text_of(rows.get(item)) for item in items])
        near = np.round(vectors @ encoder.encode([one.text])[0], 6)
        near[[not _text_of(rows.get(item)) for item in items]] = -1.0
        chosen = np.argsort(-near, kind="stable")[:TEXT_ITEMS]
        found[one.id] = np.zeros(len(items))
        found[one.id][chosen[near[chosen] > 0]] = 1.0
    return found


def _text_of(row: dict[str, Any] | None) -> str:
    return " ".join(
        part for part in ((row or {}).get("title"), *((row or {}).get("category") or ()), (row or {}).get("brand")) if part
    )


def _pairs(
    settings: Settings,
    reader: Reader,
    day: date,
    campaigns: list[Campaign],
    users: NDArray[np.object_],
    purchases: Purchases,
    weights: dict[str, Floats],
) -> dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return who was addressed by each campaign that began, and the day of the answer; 0 for none."""
    file = read_responses(settings, day) if settings.audiences.campaign_responses else None
    found = {}
    for one in campaigns:
        if one.first_day > day:
            continue
        asked = np.flatnonzero(np.isin(users, np.array(sorted(_addressed(settings, reader, one)), object)))
        if not len(asked):
            continue
        own = {} if file is None else file.get(one.id, {})
        days = bought_in(purchases, weights[one.id] > 0, one) if file is None else np.array(
            [own[user].toordinal() if user in own else 0 for user in users], np.int64
        )  # fmt: skip
        found[one.id] = asked, days[asked]
    return found


def _addressed(settings: Settings, reader: Reader, one: Campaign) -> set[str]:
    """Return whom a campaign addressed: by the table, else by its file."""
    when = made_on(settings.audiences, one)
    rows = reader.read(CAMPAIGN_AUDIENCES.name, when, when, ["day", "campaign_id", "user_id"]).to_pylist()
    there = {row["user_id"] for row in rows if row["campaign_id"] == one.id}
    return there or (read_users(settings, one.candidates, when) if one.candidates else set())


def bought_in(purchases: Purchases, inside: NDArray[np.bool_], one: Campaign) -> NDArray[np.int64]:
    """Return the day on which each user first bought one of a campaign's items while it ran; 0 for never."""
    first, last = one.first_day.toordinal(), one.last_day.toordinal()
    mine = inside[purchases.items] & (purchases.days >= first) & (purchases.days <= last)
    found = np.full(purchases.shape[0], last + 1, np.int64)
    np.minimum.at(found, purchases.users[mine], purchases.days[mine])
    return np.where(found > last, 0, found)


def _answers(campaigns: list[Campaign], pairs: dict[str, tuple[NDArray[np.int64], NDArray[np.int64]]]) -> Answers:
    there = [one for one in campaigns if one.id in pairs]
    none = [np.zeros(0, np.int64)]
    sizes = [len(pairs[one.id][0]) for one in there]
    return Answers(
        np.concatenate([pairs[one.id][0] for one in there] or none),
        np.repeat([one.first_day.toordinal() for one in there] or none[0], sizes).astype(np.int64),
        np.repeat([one.last_day.toordinal() for one in there] or none[0], sizes).astype(np.int64),
        np.concatenate([pairs[one.id][1] for one in there] or none),
    )


def learn_model(
    audiences: AudienceSettings,
    shop: Shop,
    campaigns: list[Campaign],
    day: date,
    columns: tuple[int, ...] = tuple(range(len(NAMES))),
) -> Model | None:
    """Learn from the campaigns that ended by a day; None where fewer answered than the settings ask for."""
    over = [one for one in earlier_of(campaigns, day) if one.last_day <= day and one.id in shop.pairs]
    answered = [(shop.pairs[one.id][1] > 0).astype(np.float64) for one in over]
    yes, rows = sum(float(some.sum()) for some in answered), sum(map(len, answered))
    if yes < max(audiences.campaign_min_responses, 1) or yes == rows:
        return None
    values = []
    for one in over:
        as_of = made_on(audiences, one).toordinal()
        seen = responses.look(shop.purchases, shop.answers, shop.weights[one.id], as_of, audiences.campaign_window_days)
        values.append(seen.values[shop.pairs[one.id][0]])
    return responses.learn(values, answered, columns)


def prior_rate(audiences: AudienceSettings, shop: Shop) -> float:
    """Return the rate of answers to all campaigns so far, drawn to the settings' rate where few were addressed."""
    days = shop.answers.days
    return float((np.sum(days > 0) + PRIOR_PAIRS * audiences.campaign_prior_rate) / (len(days) + PRIOR_PAIRS))
