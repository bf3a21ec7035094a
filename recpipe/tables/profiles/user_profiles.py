"""The characteristic tags of each user, with weight and evidence, from items met, searches and reviews.

What is read of users stands in `profile_events`, which tags it is evidence for in `profile_signals`, what a weight is in
`recpipe.tables.profiles.preferences`, the sentences in `profile_words`, what became of the tags in `profile_outcomes`. Attributes of
users are not looked at.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

import numpy as np
import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.contract import PROFILE_KINDS, REVIEW_INSIGHTS, USER_PROFILES
from recpipe.lake.reader import Reader
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Task
from recpipe.tables.profiles.preferences import PRIOR, Family, Tagged, weigh
from recpipe.tables.profiles.profile_events import Happened, read_happened
from recpipe.tables.profiles.profile_outcomes import measure
from recpipe.tables.profiles.profile_signals import families
from recpipe.tables.profiles.profile_words import sentence
from recpipe.text.encoder import load_encoder
from recpipe.validation.suites import Suite, whole_suite

log = logging.getLogger(__name__)

RULE: Final = "profiles-1"
"""Names the rule that tags are weighed by; a change of it changes rows."""
USERS_A_BLOCK: Final = 256
FACTS: Final = (
    "unknown_users", "kinds_amiss", "weights_amiss", "items_never_met", "days_amiss", "tags_too_many", "evidence_empty",
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """What the rows of a day are made from, and what they are checked against."""

    version: str
    most: int
    happened: Happened
    families: list[Family]


def version(settings: Settings, day: date) -> str:
    """Return what makes the tags beside the tables: the rule, and the encoder that reads searches."""
    return f"{RULE}+{load_encoder(settings.text.encoder).fingerprint[:12]}"


def open_profiles(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Read what was known of users, and sum up what the shop's average is."""
    happened = read_happened(settings, plan.day, reader)
    found = families(settings, happened)
    log.info("%d users, %d families of tags, %d tags.", len(happened.user_ids), len(found), sum(len(one.tags) for one in found))
    return State(plan.model_version, settings.profiles.profile_tags, happened, found)


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    """Return the tags of one shard's users, and what the audit wants to know of them."""
    starts = range(0, len(state.happened.user_ids), USERS_A_BLOCK)
    parts = [
        _rows(state, family, weigh(family, start, min(start + USERS_A_BLOCK, len(state.happened.user_ids)), state.most))
        for start in starts[shard::shards]
        for family in state.families
    ]
    rows = pa.concat_tables(parts) if parts else USER_PROFILES.schema.empty_table()
    return rows, count_faults(state, rows)


def _rows(state: State, family: Family, found: Tagged) -> pa.Table:
    items, titles = state.happened.items.ids, state.happened.items.titles
    named = [[titles[item] or str(items[item]) for item in some] for some in found.items]
    tags = [family.tags[code] for code in found.code.tolist()]
    facts = zip(
        tags, found.pieces.tolist(), found.whole.tolist(), found.first.tolist(), found.last.tolist(), named, strict=True
    )  # fmt: skip
    columns = {
        "day": pa.repeat(pa.scalar(state.happened.day), len(tags)),
        "user_id": state.happened.user_ids[found.user].tolist(),
        "tag": tags,
        "kind": [family.kind] * len(tags),
        "weight": found.weight,
        "seen": found.seen,
        "expected": found.expected,
        "pieces": found.pieces,
        "because_item_ids": [[str(items[item]) for item in some] for some in found.items],
        "evidence": [sentence(family.says, *one) for one in facts],
        "first_day": [date.fromordinal(one) for one in found.first.tolist()],
        "last_day": [date.fromordinal(one) for one in found.last.tolist()],
        "model_version": [state.version] * len(tags),
    }
    arrays = [pa.array(columns[field.name], field.type) for field in USER_PROFILES.schema]
    return pa.table(arrays, schema=USER_PROFILES.schema)


# --- is it good enough? -------------------------------------------------------------------------------------------


def count_faults(state: State, rows: pa.Table) -> Facts:
    """Count what is wrong with rows, from what was read and not from the families."""
    frame = rows.to_pandas()
    seen, expected, weight = (frame[name].to_numpy(np.float64) for name in ("seen", "expected", "weight"))
    wrong = (weight <= 0) | (weight > 1) | (np.abs(weight - (seen - expected) / (seen + PRIOR)) > 1e-6)
    by_kind = {kind: sum(one.kind == kind for one in state.families) for kind in PROFILE_KINDS}
    counts = frame.groupby(["user_id", "kind"]).size()
    kinds = [tag.startswith(f"{kind}:") for tag, kind in zip(frame["tag"], frame["kind"], strict=True)]
    return {
        "unknown_users": int((~frame["user_id"].isin(list(state.happened.user_ids))).sum()),
        "kinds_amiss": sum(not fits for fits in kinds),
        "weights_amiss": int(wrong.sum()),
        "items_never_met": _never_met(state.happened, frame),
        "days_amiss": int(((frame["first_day"] > frame["last_day"]) | (frame["last_day"] > state.happened.day)).sum()),
        "tags_too_many": sum(int(number) > by_kind.get(kind, 0) * state.most for (_, kind), number in counts.items()),
        "evidence_empty": int((frame["evidence"].str.len() == 0).sum()),
    }


def _never_met(happened: Happened, frame: Any) -> int:
    """Count the named items of which the user has no event."""
    import pandas as pd

    named = frame[["user_id", "because_item_ids"]].explode("because_item_ids").dropna()
    user = pd.Index(happened.user_ids).get_indexer(named["user_id"].astype(object))
    item = pd.Index(happened.items.ids).get_indexer(named["because_item_ids"].astype(object))
    events, size = happened.events, len(happened.items.ids) + 1
    there = np.unique(events["user"].to_numpy(np.int64) * size + events["item"].to_numpy(np.int64))
    return int(((user < 0) | (item < 0) | ~np.isin(user * size + item, there)).sum())


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of profiles."""
    from recpipe.validation.rule import between, none, one_of

    return whole_suite(
        USER_PROFILES.name,
        settings.intake,
        rows=[
            between("weight", 0, 1, "Every weight is from 0 to 1"),
            between("pieces", 1, None, "Every tag has evidence"),
            one_of("kind", PROFILE_KINDS, "Every kind is one of the contract's"),
        ],
        day=[
            none("unknown_users", "Every user has events"),
            none("kinds_amiss", "Every tag begins with its kind"),
            none("weights_amiss", "Every weight follows from what was seen and expected"),
            none("items_never_met", "Every item that is named was met by the user"),
            none("days_amiss", "Evidence is not of days to come"),
            none("tags_too_many", "No user has more tags than set"),
            none("evidence_empty", "Every tag says what it rests on"),
        ],
        needed=FACTS,
    )


PROFILES: Final = Task(
    table=USER_PROFILES,
    reads=("events", "items"),
    reads_history=(REVIEW_INSIGHTS.name,),
    description="What is characteristic of each user, as tags with weight and evidence.",
    open=open_profiles,
    build=make,
    version=version,
    suite=suite,
    measure=measure,
)
