"""The audience of a campaign: everybody's probability to answer, caps and suppressed users obeyed.

The audience of a campaign is made once, on the day ``settings.audiences.campaign_lead_days`` before its first. What is known of
users and of earlier campaigns stands in `campaign_history`, how a probability is learned from that in
`recpipe.tables.campaigns.responses`, whom a campaign may address at all in `campaign_rules`, what became of it in `campaign_outcomes`.
"""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.config.table_settings import AudienceSettings
from recpipe.contract import CAMPAIGN_AUDIENCES, USER_PROFILES
from recpipe.lake.reader import Reader
from recpipe.pipeline.blocks import stable_hash
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Task
from recpipe.rules import rule_checks
from recpipe.rules.plan_copies import rules_of_plan
from recpipe.tables.campaigns import responses
from recpipe.tables.campaigns.campaign_history import Shop, earlier_of, learn_model, made_on, prior_rate, read_shop
from recpipe.tables.campaigns.campaign_outcomes import measure
from recpipe.tables.campaigns.campaign_rules import about, addressed_before, eligible, left_out, rules_of
from recpipe.tables.campaigns.campaigns import Campaign, files_hash, read_campaigns
from recpipe.tables.campaigns.responses.regression import Model
from recpipe.tables.campaigns.responses.response_features import Floats, Look
from recpipe.tables.campaigns.responses.response_reasons import by_affinity, why
from recpipe.text.encoder import load_encoder
from recpipe.validation.suites import Suite, whole_suite

log = logging.getLogger(__name__)

LEARNED, PRIOR = "responses", "prior"
DECIMALS: Final = 9
FACTS: Final = (
    "unknown_users",
    "unknown_campaigns",
    "suppressed_users",
    "barred_users",
    "users_over_cap",
    "ranks_amiss",
    "reasons_amiss",
)
WITH_ITEMS: Final = ("campaign_items", "similar_items")


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
    turned_away: dict[str, set[str]]


def version(settings: Settings, day: date) -> str:
    """Return what makes the audiences: the files of campaigns, and the encoder where a campaign has a text alone."""
    found = f"campaigns-1+{files_hash(settings)[:8] or 'none'}"
    if any(not one.item_ids for one in read_campaigns(settings.audiences)):
        found += f"+{load_encoder(settings.text.encoder).fingerprint[:12]}"
    return found


def open_audiences(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Choose the audience of every campaign whose day it is."""
    day = plan.day
    campaigns = read_campaigns(settings.audiences)
    asked = [one for one in campaigns if made_on(settings.audiences, one) == day]
    counts = addressed_before(settings, reader, campaigns, day)
    if not asked:
        return State(day, plan.model_version, np.array([], object), [], {}, counts, settings.audiences.campaign_cap, set(), {})
    shop = read_shop(settings, reader, day, [*earlier_of(campaigns, day), *asked])
    suppressed = {one.id: left_out(settings, reader, shop, one, day) for one in asked}
    rules = rules_of(rules_of_plan(settings, plan.knowledge, plan.day), reader, shop, day)
    turned_away = {one.id: rule_checks.turned_away(rules, shop.items[about(shop, one)]) for one in asked if rules.bars}
    model = learn_model(settings.audiences, shop, campaigns, day)
    audiences, given = [], counts.copy()
    for one in asked:
        seen = responses.look(
            shop.purchases, shop.answers, shop.weights[one.id], day.toordinal(), settings.audiences.campaign_window_days
        )
        audience = _audience(
            settings.audiences, shop, one, seen, model, eligible(settings, shop, one, suppressed[one.id], given, rules)
        )
        given.update(shop.users[audience.users].tolist())
        audiences.append(audience)
        log.info("Campaign %s: %d users, by %s.", one.id, len(audience.users), audience.basis)
    lines = shop.purchases
    mine = np.isin(lines.users, np.concatenate([one.users for one in audiences]))
    bought = set(zip(shop.users[lines.users[mine]], shop.items[lines.items[mine]], strict=True))
    cap, by = settings.audiences.campaign_cap, plan.model_version
    return State(day, by, shop.users, audiences, suppressed, counts, cap, bought, turned_away)


def _audience(
    audiences: AudienceSettings, shop: Shop, one: Campaign, seen: Look, model: Model | None, able: NDArray[np.int64]
) -> Audience:
    ranker = model or by_affinity()
    score = np.round(ranker.probability(seen.values[able]), DECIMALS)
    best = np.argsort(-score, kind="stable")[: one.max_users]  # users are sorted by id: so are equals
    users = able[best]
    chance = score[best] if model else np.full(len(users), prior_rate(audiences, shop))
    reasons = why(ranker, seen, users, shop.items, shop.weights[one.id])
    return Audience(one, users, chance, LEARNED if model else PRIOR, reasons)


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
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


def count_faults(state: State, rows: list[dict[str, Any]]) -> Facts:
    """Count what is wrong with rows."""
    known, by_id = set(state.user_ids), {one.campaign.id: one for one in state.audiences}
    today = Counter(row["user_id"] for row in rows)
    return {
        "unknown_users": sum(row["user_id"] not in known for row in rows),
        "unknown_campaigns": sum(row["campaign_id"] not in by_id for row in rows),
        "suppressed_users": sum(row["user_id"] in state.suppressed.get(row["campaign_id"], ()) for row in rows),
        "barred_users": sum(row["user_id"] in state.turned_away.get(row["campaign_id"], ()) for row in rows),
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
    from recpipe.validation.rule import between, none, one_of

    return whole_suite(
        CAMPAIGN_AUDIENCES.name,
        settings.intake,
        rows=[
            between("probability", 0, 1, "Every probability is one"),
            between("rank", 1, None, "Ranks begin with 1"),
            one_of("basis", [LEARNED, PRIOR], "Every probability was learned, or is the prior rate"),
        ],
        day=[
            none("unknown_users", "Every user was delivered on the day or before"),
            none("unknown_campaigns", "Every campaign is one whose audience is made on the day"),
            none("suppressed_users", "No suppressed user is addressed, and none without the tags that the campaign asks for"),
            none("barred_users", "Nobody is addressed about items that the shop's files of knowledge bar them from"),
            none("users_over_cap", "No user is addressed more often than the cap allows"),
            none("ranks_amiss", "No rank is beyond the size of its audience"),
            none("reasons_amiss", "Every item of a reason was bought by the user, and items stand only where the kind has them"),
        ],
        needed=FACTS,
    )


AUDIENCES: Final = Task(
    table=CAMPAIGN_AUDIENCES,
    reads=("events", "items", "users"),
    reads_history=(CAMPAIGN_AUDIENCES.name, USER_PROFILES.name),
    description="Whom each campaign should address, with the probability of an answer.",
    open=open_audiences,
    build=make,
    version=version,
    uses_rules=True,
    suite=suite,
    measure=measure,
)
