"""Whom a campaign should address: everybody's probability to answer, caps and suppressed users obeyed.

The audience of a campaign is made once, on the day ``settings.campaign_lead_days`` before its first. What is known of
users, and how the probability is learned from earlier campaigns, stands in `recpipe.learn.responses`.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe import rails
from recpipe.config import Settings
from recpipe.contract import CAMPAIGN_AUDIENCES
from recpipe.encode import load_encoder
from recpipe.lake import Reader
from recpipe.learn import responses
from recpipe.learn.responses import ITEMS, NAMES, Answers, Floats, Look, Model, Purchases
from recpipe.quality import Suite, whole_suite
from recpipe.rails.blocks import stable_hash
from recpipe.tasks.campaigns import Campaign, files_hash, read_campaigns, read_responses, read_users

log = logging.getLogger(__name__)

LEARNED, PRIOR = "responses", "prior"
NAMED_ITEMS: Final = 3
TEXT_ITEMS: Final = 50
"""Items closest to a campaign's text that stand for it, where it names none."""
MOST_EARLIER: Final = 30
PRIOR_PAIRS: Final = 50
"""Addressed users that the rate of the settings counts as, where too few answered."""
DECIMALS: Final = 9
SIMPLE: Final = "recency_frequency_value"


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


@dataclass(frozen=True)
class Audience:
    """Who is addressed by a campaign, best first; ``users`` are places."""

    campaign: Campaign
    users: NDArray[np.int64]
    probability: Floats
    basis: str
    reasons: list[dict[str, Any]]


@dataclass(frozen=True)
class State:
    """What the rows of a day are made from, and what they are checked against."""

    day: date
    version: str
    user_ids: NDArray[np.object_]
    audiences: list[Audience]
    suppressed: dict[str, set[str]]
    counts: Counter[str]
    cap: int
    bought: set[tuple[str, str]]


def version(settings: Settings, day: date) -> str:
    """Return what makes the audiences: the files of campaigns, and the encoder where a campaign has a text alone."""
    found = f"campaigns-1+{files_hash(settings)[:8] or 'none'}"
    if any(not one.item_ids for one in read_campaigns(settings)):
        found += f"+{load_encoder(settings.encoder).fingerprint[:12]}"
    return found


def made_on(settings: Settings, campaign: Campaign) -> date:
    """Return the day on which a campaign's audience is made."""
    return campaign.first_day - timedelta(days=settings.campaign_lead_days)


def open_audiences(settings: Settings, plan: rails.Plan, reader: Reader) -> State:
    """Choose the audience of every campaign whose day it is."""
    day = rails.day_of(plan)
    campaigns = read_campaigns(settings)
    asked = [one for one in campaigns if made_on(settings, one) == day]
    counts = addressed_before(settings, reader, day)
    if not asked:
        return State(day, plan["model_version"], np.array([], object), [], {}, counts, settings.campaign_cap, set())
    shop = read_shop(settings, reader, day, [*earlier_of(campaigns, day), *asked])
    suppressed = {one.id: _suppressed(settings, one, day) for one in asked}
    model = learn_model(settings, shop, campaigns, day)
    audiences, given = [], counts.copy()
    for one in asked:
        seen = responses.look(shop.purchases, shop.answers, shop.weights[one.id], day.toordinal(), settings.campaign_window_days)
        audience = _audience(settings, shop, one, seen, model, _eligible(settings, shop, one, suppressed[one.id], given, day))
        given.update(shop.users[audience.users].tolist())
        audiences.append(audience)
        log.info("Campaign %s: %d users, by %s.", one.id, len(audience.users), audience.basis)
    lines = shop.purchases
    mine = np.isin(lines.users, np.concatenate([one.users for one in audiences]))
    bought = set(zip(shop.users[lines.users[mine]], shop.items[lines.items[mine]], strict=True))
    return State(day, plan["model_version"], shop.users, audiences, suppressed, counts, settings.campaign_cap, bought)


# --- what is known ------------------------------------------------------------------------------------------------


def earlier_of(campaigns: list[Campaign], day: date) -> list[Campaign]:
    """Return the newest campaigns that began by a day, oldest first."""
    return [one for one in campaigns if one.first_day <= day][-MOST_EARLIER:]


def read_shop(settings: Settings, reader: Reader, day: date, campaigns: list[Campaign]) -> Shop:
    """Read purchases as of a day, and who was addressed by campaigns and answered."""
    users = np.array(sorted(reader.as_of("users", day, ["user_id", "day"])["user_id"].to_pylist()), object)
    first = min((made_on(settings, one) for one in campaigns), default=day) - timedelta(days=settings.campaign_window_days)
    events = reader.events(first, day, ["day", "user_id", "item_id", "event_type", "price", "quantity"]).to_pandas()
    events = events[(events["event_type"] == "purchase") & events["user_id"].isin(set(users))]
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
            continue
        encoder = load_encoder(settings.encoder, settings.work / "encoder")
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
    file = read_responses(settings, day) if settings.campaign_responses else None
    found = {}
    for one in campaigns:
        if one.first_day > day:
            continue
        asked = np.flatnonzero(np.isin(users, np.array(sorted(_addressed(settings, reader, one)), object)))
        if not len(asked):
            continue
        own = {} if file is None else file.get(one.id, {})
        days = _bought(purchases, weights[one.id] > 0, one) if file is None else np.array(
            [own[user].toordinal() if user in own else 0 for user in users], np.int64
        )  # fmt: skip
        found[one.id] = asked, days[asked]
    return found


def _addressed(settings: Settings, reader: Reader, one: Campaign) -> set[str]:
    """Return whom a campaign addressed: by the table, else by its file."""
    when = made_on(settings, one)
    rows = reader.read(CAMPAIGN_AUDIENCES.name, when, when, ["day", "campaign_id", "user_id"]).to_pylist()
    there = {row["user_id"] for row in rows if row["campaign_id"] == one.id}
    return there or (read_users(one.candidates, when) if one.candidates else set())


def _bought(purchases: Purchases, inside: NDArray[np.bool_], one: Campaign) -> NDArray[np.int64]:
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


def addressed_before(settings: Settings, reader: Reader, day: date) -> Counter[str]:
    """Return how many campaigns addressed each user in the days of the cap before a day, by the published table."""
    if not settings.campaign_cap:
        return Counter()
    first = day - timedelta(days=settings.campaign_cap_days - 1)
    rows = reader.read(CAMPAIGN_AUDIENCES.name, first, day - timedelta(days=1), ["day", "campaign_id", "user_id"]).to_pylist()
    return Counter(user for user, _ in sorted({(row["user_id"], row["campaign_id"]) for row in rows}))


def _suppressed(settings: Settings, one: Campaign, day: date) -> set[str]:
    files = [Path(settings.suppression) if settings.suppression else None, one.suppress]
    return set().union(*(read_users(file, day) for file in files if file))


def _eligible(
    settings: Settings, shop: Shop, one: Campaign, suppressed: set[str], given: Counter[str], day: date
) -> NDArray[np.int64]:
    among = read_users(one.candidates, day) if one.candidates else None
    able = [
        user not in suppressed
        and (among is None or user in among)
        and (not settings.campaign_cap or given[user] < settings.campaign_cap)
        for user in shop.users
    ]
    return np.flatnonzero(np.array(able, np.bool_))


# --- who is likely to answer --------------------------------------------------------------------------------------


def learn_model(
    settings: Settings, shop: Shop, campaigns: list[Campaign], day: date, columns: tuple[int, ...] = tuple(range(len(NAMES)))
) -> Model | None:
    """Learn from the campaigns that ended by a day; None where fewer answered than the settings ask for."""
    over = [one for one in earlier_of(campaigns, day) if one.last_day <= day and one.id in shop.pairs]
    answered = [(shop.pairs[one.id][1] > 0).astype(np.float64) for one in over]
    yes, rows = sum(float(some.sum()) for some in answered), sum(map(len, answered))
    if yes < max(settings.campaign_min_responses, 1) or yes == rows:
        return None
    values = []
    for one in over:
        as_of = made_on(settings, one).toordinal()
        seen = responses.look(shop.purchases, shop.answers, shop.weights[one.id], as_of, settings.campaign_window_days)
        values.append(seen.values[shop.pairs[one.id][0]])
    return responses.learn(values, answered, columns)


def by_affinity() -> Model:
    """Return what users are ranked by where nothing was learned: how close what they bought is to the campaign's items."""
    weights = np.zeros(len(NAMES))
    weights[list(ITEMS)] = 1.0
    regression = responses.Regression(np.zeros(len(NAMES)), np.ones(len(NAMES)), weights, 0.0)
    return Model(regression, tuple(range(len(NAMES))), 1.0, 0.0)


def _audience(
    settings: Settings, shop: Shop, one: Campaign, seen: Look, model: Model | None, able: NDArray[np.int64]
) -> Audience:
    ranker = model or by_affinity()
    score = np.round(ranker.probability(seen.values[able]), DECIMALS)
    best = np.argsort(-score, kind="stable")[: one.max_users]  # users are sorted by id: so are equals
    users = able[best]
    chance = score[best] if model else np.full(len(users), _prior_rate(settings, shop))
    reasons = why(ranker, seen, users, shop.items, shop.weights[one.id])
    return Audience(one, users, chance, LEARNED if model else PRIOR, reasons)


def _prior_rate(settings: Settings, shop: Shop) -> float:
    days = shop.answers.days
    return float((np.sum(days > 0) + PRIOR_PAIRS * settings.campaign_prior_rate) / (len(days) + PRIOR_PAIRS))


def why(model: Model, seen: Look, users: NDArray[np.int64], items: NDArray[np.object_], weights: Floats) -> list[dict[str, Any]]:
    """Say what speaks most for each user: bought items, with the ones whose absence would cost the most, or habits.

    Items are named where what the user bought says more than anything else; each named one's part is what the log odds
    would lose without it.
    """
    parts, slopes = model.parts(seen.values), model.slopes()
    found = []
    for user in users:
        groups = {
            "items": parts[user, list(ITEMS)].sum(),
            "answered_before": parts[user, list(responses.ANSWERS)].sum(),
            "buys_often": parts[user, list(responses.ACTIVITY)].sum(),
        }
        best = max(groups, key=lambda name: (groups[name], name))
        named = _telling(seen, slopes, int(user)) if best == "items" else []
        if named:
            kind = "campaign_items" if weights[named[0]] > 0 else "similar_items"
        else:
            rest = {name: value for name, value in groups.items() if name != "items" and value > 0}
            kind = max(rest, key=lambda name: (rest[name], name)) if rest else "nothing_known"
        found.append({"kind": kind, "because_item_ids": [str(items[place]) for place in named]})
    return found


def _telling(seen: Look, slopes: Floats, user: int) -> list[int]:
    """Return the items of a user without which the log odds would fall the most, those without effect left out."""
    start, stop = seen.bought.indptr[user : user + 2]
    places, counts = seen.bought.indices[start:stop], seen.bought.data[start:stop]
    each = seen.parts[:, places] * counts  # (3, bought)
    whole = each.sum(1, keepdims=True)
    scale = seen.scales[:, None]
    loss = np.log1p(whole / scale) - np.log1p(np.maximum(whole - each, 0.0) / scale)
    total = np.round(slopes[list(ITEMS)] @ loss, DECIMALS)
    order = np.lexsort((places, -total))[:NAMED_ITEMS]
    return [int(places[at]) for at in order if total[at] > 0]


# --- rows ---------------------------------------------------------------------------------------------------------


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, rails.Facts]:
    """Return the rows of one shard's users, and what the audit wants to know of them."""
    rows, wanted = [], 0
    for audience in state.audiences:
        named = zip(state.user_ids[audience.users], audience.probability, audience.reasons, strict=True)
        for rank, (user, chance, reason) in enumerate(named, 1):
            if stable_hash(user) % shards == shard:
                wanted += 1
                rows.append(
                    {
                        "day": state.day, "campaign_id": audience.campaign.id, "user_id": user, "rank": rank,
                        "probability": float(chance), "basis": audience.basis, "reason": reason,
                        "model_version": state.version,
                    }
                )  # fmt: skip
    return pa.Table.from_pylist(rows, schema=CAMPAIGN_AUDIENCES.schema), count_faults(state, rows)


FACTS: Final = ("unknown_users", "unknown_campaigns", "suppressed_users", "users_over_cap", "ranks_amiss", "reasons_amiss")
WITH_ITEMS: Final = ("campaign_items", "similar_items")


def count_faults(state: State, rows: list[dict[str, Any]]) -> rails.Facts:
    """Count what is wrong with rows."""
    known, by_id = set(state.user_ids), {one.campaign.id: one for one in state.audiences}
    today = Counter(row["user_id"] for row in rows)
    return {
        "unknown_users": sum(row["user_id"] not in known for row in rows),
        "unknown_campaigns": sum(row["campaign_id"] not in by_id for row in rows),
        "suppressed_users": sum(row["user_id"] in state.suppressed.get(row["campaign_id"], ()) for row in rows),
        "users_over_cap": sum(bool(state.cap) and number + state.counts[user] > state.cap for user, number in today.items()),
        "ranks_amiss": sum(not _in_size(by_id.get(row["campaign_id"]), row["rank"]) for row in rows),
        "reasons_amiss": sum(not _speaks(state, row) for row in rows),
    }


def _in_size(audience: Audience | None, rank: int) -> bool:
    most = None if audience is None else audience.campaign.max_users
    return audience is not None and 1 <= rank <= min(len(audience.users), most or rank)


def _speaks(state: State, row: dict[str, Any]) -> bool:
    """Whether a row names items that the user bought where its kind asks for them, and none where it does not."""
    kind, named = row["reason"]["kind"], row["reason"]["because_item_ids"]
    return (kind in WITH_ITEMS) == bool(named) and all((row["user_id"], item) in state.bought for item in named)


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of audiences."""
    from recpipe.quality.rules import between, none, one_of

    return whole_suite(
        CAMPAIGN_AUDIENCES.name,
        settings,
        rows=[
            between("probability", 0, 1, "Every probability is one"),
            between("rank", 1, None, "Ranks begin with 1"),
            one_of("basis", [LEARNED, PRIOR], "Every probability was learned, or is the prior rate"),
        ],
        day=[
            none("unknown_users", "Every user was delivered on the day or before"),
            none("unknown_campaigns", "Every campaign is one whose audience is made on the day"),
            none("suppressed_users", "No suppressed user is addressed"),
            none("users_over_cap", "No user is addressed more often than the cap allows"),
            none("ranks_amiss", "No rank is beyond the size of its audience"),
            none("reasons_amiss", "Every item of a reason was bought by the user, and items stand only where the kind has them"),
        ],
        needed=FACTS,
    )


# --- what became of it --------------------------------------------------------------------------------------------


def measure(settings: Settings, reader: Reader, earlier: date, day: date) -> list[rails.Metric]:
    """Measure the audience of each campaign that ended on ``day`` over the days that it ran.

    By campaign: ``auc`` of the probabilities among the addressed, with that of a logistic regression on recency,
    frequency, value and past answers beside it; ``calibration_error`` in ten bins; and ``response_rate`` of the audience
    beside that of everybody else who could have been addressed. Intervals are of the user bootstrap.
    """
    from recpipe.evaluate.intervals import mean_interval, seed_of

    campaigns = read_campaigns(settings)
    found: list[rails.Metric] = []
    for one in [one for one in campaigns if one.last_day == day]:
        when = made_on(settings, one)
        rows = [row for row in reader.read(CAMPAIGN_AUDIENCES.name, when, when).to_pylist() if row["campaign_id"] == one.id]
        if not rows:
            continue
        shop = read_shop(settings, reader, day, [*earlier_of(campaigns, when), one])
        file = read_responses(settings, day).get(one.id, {}) if settings.campaign_responses else None
        hit = _bought(shop.purchases, shop.weights[one.id] > 0, one) > 0
        answered = hit if file is None else np.array([user in file for user in shop.users], np.bool_)
        place = {user: number for number, user in enumerate(shop.users)}
        mine = np.array([place[row["user_id"]] for row in rows], np.int64)
        chance, by = np.array([row["probability"] for row in rows]), rows[0]["model_version"]
        truth = answered[mine].astype(np.float64)
        simple = learn_model(settings, shop, campaigns, when, responses.BASELINE)
        if simple:
            seen = responses.look(
                shop.purchases, shop.answers, shop.weights[one.id], when.toordinal(), settings.campaign_window_days
            )
            found.append(_auc(settings, f"auc:{one.id}", simple.probability(seen.values[mine]), truth, day, SIMPLE))
        found.append(_auc(settings, f"auc:{one.id}", chance, truth, day, by))
        rest = np.setdiff1d(_eligible(settings, shop, one, _suppressed(settings, one, when), Counter(), when), mine)
        for name, values in ((by, truth), ("not_addressed", answered[rest].astype(np.float64))):
            rate = mean_interval(values, settings.bootstrap_draws, seed_of(settings.seed, day, one.id, name), settings.min_users)
            found.append(rails.Metric(f"response_rate:{one.id}", rate.value, rate.low, rate.high, rate.users, by=name))
        error = responses.calibration_error(chance, truth) if len(truth) >= max(settings.min_users, 1) else None
        found.append(rails.Metric(f"calibration_error:{one.id}", error, None, None, len(truth), by=by))
    return found


def _auc(settings: Settings, name: str, scores: Floats, truth: Floats, day: date, by: str) -> rails.Metric:
    from recpipe.evaluate.intervals import seed_of

    if len(truth) < max(settings.min_users, 1) or not 0 < truth.sum() < len(truth):
        return rails.Metric(name, None, None, None, len(truth), by=by)
    low, high = responses.auc_interval(scores, truth, settings.bootstrap_draws, seed_of(settings.seed, day, name, by))
    return rails.Metric(name, responses.auc(scores, truth), low, high, len(truth), by=by)


AUDIENCES: Final = rails.Task(
    table=CAMPAIGN_AUDIENCES,
    reads=("events", "items", "users"),
    earlier=(CAMPAIGN_AUDIENCES.name,),
    says="Whom each campaign should address, with the probability of an answer.",
    open=open_audiences,
    make=make,
    version=version,
    suite=suite,
    measure=measure,
)
