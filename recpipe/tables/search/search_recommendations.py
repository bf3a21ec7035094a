"""The items for every text that was searched on a day, inside the filters that the text names."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import SEARCH_RECOMMENDATIONS
from recpipe.lake.reader import Reader
from recpipe.pipeline.blocks import blocks_of, shard_of, users_a_block
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.table import Facts, Metric, Task
from recpipe.rules.day_rules import day_rules
from recpipe.rules.load import read_rules
from recpipe.rules.model import Knowledge
from recpipe.rules.plan_copies import rules_of_plan
from recpipe.rules.rule_checks import barred_from_some
from recpipe.tables.search.search_answers import (
    FEATURES,
    RELAXED,
    Answer,
    Ask,
    Floats,
    answer,
    ask,
    features,
    matched_words,
    reason,
    row_of,
)
from recpipe.tables.search.search_catalogue import Goods, popular, read_goods, wish_for
from recpipe.tables.search.search_learning import LEARN_DAYS, learn_weights
from recpipe.tables.search.search_words import SearchWords, load_words, words_hash
from recpipe.tables.search.wishes import names
from recpipe.text.encoder import load_encoder
from recpipe.text.queries import is_personal, normalise
from recpipe.validation.suites import Suite, whole_suite

log = logging.getLogger(__name__)

RULE: Final = "search-1"
"""Names the way that texts are read and items ordered; a change of it changes rows."""
FEWEST_A_BLOCK: Final = 16
FACTS: Final = (
    "unknown_items", "unavailable_items", "barred_items", "price_amiss", "category_amiss", "brand_amiss", "named_without", "personal_texts",
    "ranks_amiss", "unknown_words", "unanswered_texts", "withheld_texts",
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """What the rows of a day are made from.

    Attributes
    ----------
    texts
        (texts,) distinct, as listed, sorted.
    searches
        How often each was searched on the day.
    withheld
        Distinct texts that may hold more of a person than a wish: they have no rows.
    vectors
        (texts, d) of what each text looks for.
    barred
        Items that somebody must not be shown.
    """

    day: date
    version: str
    most: int
    goods: Goods
    words: SearchWords
    weights: Floats
    texts: NDArray[np.object_]
    searches: list[int]
    withheld: int
    asked: list[Ask]
    vectors: NDArray[np.float32]
    barred: set[str]


def version(settings: Settings, day: date) -> str:
    """Return what makes the rows: the encoder, and the file of words with the rule."""
    own = hashlib.sha256(f"{RULE} {words_hash(settings.searches)}".encode()).hexdigest()
    return f"{load_encoder(settings.text.encoder).fingerprint[:12]}+{own[:8]}"


def open_searches(settings: Settings, plan: RunPlan, reader: Reader) -> State:
    """Read the catalogue and the searches of a day, and learn from the weeks before what evidence counts."""
    day, words = plan.day, load_words(settings.searches)
    goods, barred = _unbarred(
        rules_of_plan(settings, plan.knowledge, plan.day), reader, day, read_goods(reader, settings, day, words)
    )
    counts, withheld = searched(reader, day, day)
    sales = popular(reader, settings, day - timedelta(days=LEARN_DAYS), goods.item_ids)
    weights = learn_weights(settings, reader, day, goods, words, sales)
    wishes = [wish_for(goods, text, words) for text in sorted(counts)]
    log.info(
        "Searches of %s: %d texts, %d withheld; weights %s.",
        day,
        len(counts),
        len(withheld),
        dict(zip(FEATURES, weights, strict=True)),
    )
    vectors = load_encoder(settings.text.encoder, settings.places.work / "encoder").encode([wish.rest for wish in wishes])
    return State(
        day, plan.model_version, settings.lists.top_k, goods, words, weights, np.array(sorted(counts), np.object_),
        [counts[text] for text in sorted(counts)], len(withheld), ask(goods, wishes, words), vectors, barred,
    )  # fmt: skip


def _unbarred(known: Knowledge, reader: Reader, day: date, goods: Goods) -> tuple[Goods, set[str]]:
    """Return a catalogue in which nothing is available that the shop's knowledge bars anybody from, since all see the same list.

    The ids of what that is are returned beside it, found the slow way, for the audit.
    """
    rules = day_rules(known, reader, day, goods.item_ids, goods.categories)
    return replace(goods, available=goods.available & rules.open_to_all), barred_from_some(rules)


def searched(reader: Reader, first: date, last: date) -> tuple[Counter[str], set[str]]:
    """Return how often each text was searched on some days, and the texts that may hold more of a person than a wish."""
    rows = reader.events(first, last, ["event_type", "query"])
    texts = [
        normalise(text)
        for kind, text in zip(*(rows[name].to_pylist() for name in rows.column_names), strict=True)
        if kind == "search" and text
    ]
    counts = Counter(text for text in texts if text)
    withheld = {text for text in counts if is_personal(text)}
    return Counter({text: count for text, count in counts.items() if text not in withheld}), withheld


def make(state: State, shard: int, shards: int) -> tuple[pa.Table, Facts]:
    """Return the items of one shard's texts."""
    rows: list[dict[str, Any]] = []
    asked = 0
    for block in shard_of(blocks_of(state.texts, _block_size(state.goods)), shard, shards):
        rows += _rows(state, block) if len(block) else []
        asked += len(block)
    facts = count_faults(state, rows)
    facts["unanswered_texts"] = asked - len({row["query"] for row in rows})
    facts["withheld_texts"] = state.withheld if shard == 0 else 0
    return pa.Table.from_pylist(rows, schema=SEARCH_RECOMMENDATIONS.schema), facts


def _block_size(goods: Goods) -> int:
    return max(FEWEST_A_BLOCK, users_a_block(len(goods)) // len(FEATURES))


def _rows(state: State, block: NDArray[np.intp]) -> list[dict[str, Any]]:
    asked = [state.asked[at] for at in block]
    found = features(state.goods, [one.wish for one in asked], state.vectors[block])
    answers = answer(state.goods, asked, found, state.weights, state.most)
    return [
        row
        for at, (place, one, listed) in enumerate(zip(block, asked, answers, strict=True))
        for row in _list(state, int(place), one, listed, found[:, at])
    ]


def _list(state: State, place: int, one: Ask, listed: Answer, found: Floats) -> list[dict[str, Any]]:
    goods = state.goods
    return [
        {
            "day": state.day,
            "query": one.wish.text,
            "rank": rank + 1,
            "item_id": goods.item_ids[row],
            "score": float(score),
            "searches": state.searches[place],
            **row_of(one, listed.relaxed),
            "matched_words": matched_words(goods, one.wish, int(row)),
            "reason": reason(goods, one, int(row), found[:, row], state.weights, listed.relaxed),
            "model_version": state.version,
        }
        for rank, (row, score) in enumerate(zip(listed.rows, listed.scores, strict=True))
    ]


# --- is it good enough? -------------------------------------------------------------------------------------------


def count_faults(state: State, rows: list[dict[str, Any]]) -> Facts:
    """Count what is wrong with rows, from the catalogue and the columns, not from the masks that made them."""
    goods = state.goods
    place = {item: at for at, item in enumerate(goods.item_ids)}
    ranks: dict[str, list[int]] = {}
    for row in rows:
        ranks.setdefault(row["query"], []).append(row["rank"])
    known = [(row, place[row["item_id"]]) for row in rows if row["item_id"] in place]
    return {
        "unknown_items": len(rows) - len(known),
        "unavailable_items": sum(not goods.available[at] for _, at in known),
        "barred_items": sum(row["item_id"] in state.barred for row in rows),
        "price_amiss": sum("price" not in row["relaxed"] and _price_amiss(goods, row, at) for row, at in known),
        "category_amiss": sum("category" not in row["relaxed"] and _category_amiss(goods, row, at) for row, at in known),
        "brand_amiss": sum(
            "brand" not in row["relaxed"] and row["brand"] is not None and goods.brands[at] != row["brand"] for row, at in known
        ),
        "named_without": sum(any(names(goods.claims[at], word, state.words) for word in row["without"]) for row, at in known),
        "personal_texts": sum(is_personal(text) for text in ranks),
        "ranks_amiss": sum(sorted(some) != list(range(1, len(some) + 1)) for some in ranks.values()),
        "unknown_words": sum(not set(row["relaxed"]) <= set(RELAXED) for row in rows),
    }


def _price_amiss(goods: Goods, row: dict[str, Any], at: int) -> bool:
    low, high = row["price_low"], row["price_high"]
    if low is None and high is None and not row["cheap"]:
        return False
    price = float(goods.price[at])
    inside = (low is None or price >= low) and (high is None or price <= high) and (not row["cheap"] or bool(goods.cheap[at]))
    return not (inside and np.isfinite(price))


def _category_amiss(goods: Goods, row: dict[str, Any], at: int) -> bool:
    path = " > ".join(goods.categories[at]) + " > "
    return bool(row["categories"]) and not any(path.startswith(f"{node} > ") for node in row["categories"])


def suite(settings: Settings) -> Suite:
    """Return what is expected of a day of search texts."""
    from recpipe.validation.rule import between, none

    return whole_suite(
        SEARCH_RECOMMENDATIONS.name,
        settings.intake,
        rows=[
            between("rank", 1, settings.lists.top_k, "No list is longer than set"),
            between("searches", 1, None, "Every text was searched on the day"),
        ],
        day=[
            none("unknown_items", "Every item was delivered on the day or before"),
            none("unavailable_items", "Every item can be bought"),
            none("barred_items", "No item is listed that the shop's files of knowledge bar anybody from"),
            none("price_amiss", "No item lies outside the limits of the price, unless they were relaxed"),
            none("category_amiss", "No item lies outside the categories that the text names, unless they were relaxed"),
            none("brand_amiss", "No item is of another brand than the text names, unless it was relaxed"),
            none("named_without", "No item names what the text does without"),
            none("personal_texts", "No text is listed that may hold an address or a number of a person"),
            none("ranks_amiss", "Ranks run from 1 without gaps"),
            none("unknown_words", "Only filters that may be relaxed are"),
            between("unanswered_texts", 0, None, "Texts that nothing in the shop answers are counted"),
            between(
                "withheld_texts", 0, None, "Texts that may hold an address or a number of a person are counted, and not listed"
            ),
        ],
        needed=FACTS,
    )


# --- what became of it --------------------------------------------------------------------------------------------


def measure(settings: Settings, reader: Reader, made_on: date, day: date) -> list[Metric]:
    """Return the share of later searches of a listed text after which the user met one of its first items.

    One a user and text, from the user's first such search to the end of ``day``; a user's texts are averaged first. Beside
    it, on the same searches: the lists by words alone, and the best sellers, inside the same filters.
    """
    from recpipe.pipeline.task_outcomes import mean_metric

    k, name = settings.evaluation.metric_k, f"hit_rate@{settings.evaluation.metric_k}"
    lists: dict[str, set[str]] = {}
    for row in reader.read(SEARCH_RECOMMENDATIONS.name, made_on, made_on).to_pylist():
        if row["rank"] <= k:
            lists.setdefault(row["query"], set()).add(row["item_id"])
    met = met_since(reader, made_on + timedelta(days=1), day, lists.keys())
    wanted = sorted({text for _, text in met})
    others = _baselines(settings, reader, made_on, wanted, k)
    found = []
    for by, own in (("", lists), *others.items()):
        of_user: dict[str, list[bool]] = {}
        for user, text in sorted(met):
            of_user.setdefault(user, []).append(bool(own.get(text, set()) & met[user, text]))
        values = np.array([np.mean(of_user[user]) for user in sorted(of_user)], np.float64)
        found.append(mean_metric(settings, name, values, day, name, by, by=by))
    return found


def met_since(reader: Reader, first: date, last: date, texts: Any) -> dict[tuple[str, str], set[str]]:
    """Return what each user met after searching one of some texts on some days, by user and text; searches without are there too."""
    from recpipe.contract import POSITIVE_EVENT_TYPES

    rows = [
        row
        for row in reader.events(first, last, ["user_id", "item_id", "event_type", "ts", "query"]).to_pylist()
        if row["user_id"]
    ]
    began: dict[tuple[str, str], Any] = {}
    for row in rows:
        if row["event_type"] == "search" and row["query"] and (text := normalise(row["query"])) in texts:
            key = (row["user_id"], text)
            began[key] = min(began.get(key, row["ts"]), row["ts"])
    of_user: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["event_type"] in POSITIVE_EVENT_TYPES and row["item_id"]:
            of_user.setdefault(row["user_id"], []).append(row)
    return {key: {row["item_id"] for row in of_user.get(key[0], []) if row["ts"] >= since} for key, since in began.items()}


def _baselines(settings: Settings, reader: Reader, made_on: date, texts: list[str], k: int) -> dict[str, dict[str, set[str]]]:
    """Return the items by words alone, and by popularity, of some texts as of a day."""
    words = load_words(settings.searches)
    goods, _ = _unbarred(read_rules(settings), reader, made_on, read_goods(reader, settings, made_on, words, encoded=False))
    lists: dict[str, dict[str, set[str]]] = {"words": {}, "popularity": {}}
    size = _block_size(goods)
    for start in range(0, len(texts), size):
        wishes = [wish_for(goods, text, words) for text in texts[start : start + size]]
        asked = ask(goods, wishes, words)
        found = features(goods, wishes, np.zeros((len(wishes), goods.index.vectors.shape[1]), np.float32))
        everything = np.ones_like(found)
        for name, kind in (("words", 0), ("popularity", 3)):
            weights = np.eye(len(FEATURES))[kind]
            shown = found if name == "words" else np.concatenate([everything[:3], found[3:]])
            for one, listed in zip(asked, answer(goods, asked, shown, weights, k), strict=True):
                lists[name][one.wish.text] = {str(goods.item_ids[row]) for row in listed.rows}
    return lists


SEARCHES: Final = Task(
    table=SEARCH_RECOMMENDATIONS,
    reads=("events", "items"),
    description="The items for every text that was searched on the day, inside the filters that the text names.",
    open=open_searches,
    build=make,
    version=version,
    suite=suite,
    uses_rules=True,
    measure=measure,
)
