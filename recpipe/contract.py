"""The contract: the name, type and meaning of every table and column, once.

Everything that reads or writes a table imports its schema from here. ``docs/tables.md`` is the prose for the
people who read the tables; a test holds the two together.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa

SCHEMA_VERSION: Final = 1

# --- domains ------------------------------------------------------------------------------------------------------

EVENT_TYPES: Final = ("view", "cart", "favourite", "purchase", "return", "search", "review")
POSITIVE_EVENT_TYPES: Final = ("view", "cart", "favourite", "purchase", "review")
"""Event types that say a user has met an item and not sent it back: they make histories, supports and outcomes."""

ZERO: Final = "zero"
FEW: Final = "few"
WARM: Final = "warm"
COHORTS: Final = (ZERO, FEW, WARM)

OPEN: Final = "open"
CLOSED: Final = "closed"
EMPTY: Final = "empty"
STATUSES: Final = (OPEN, CLOSED, EMPTY)

NEW_ITEM: Final = "new_item"
LEAST_EXPOSURE: Final = "least_exposure"
REASON_KINDS: Final = ("support", "search", "popular_in_country", "popular_in_season", "popular", NEW_ITEM, LEAST_EXPOSURE)
"""Why an item stands in a list; ``because_item_ids`` is filled for ``support``, may be for ``new_item``, and is empty for the others."""

POLARITIES: Final = ("positive", "negative")
"""Sides of a review, or of what it says of one aspect."""

AUDIENCE_REASONS: Final = ("campaign_items", "similar_items", "answered_before", "buys_often", "nothing_known")
"""Why a campaign should address a user; ``because_item_ids`` is filled for the first two and empty for the others."""

# --- types --------------------------------------------------------------------------------------------------------

TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
DAY: Final = pa.field("day", pa.date32(), nullable=False)


def _field(name: str, kind: pa.DataType, meaning: str, *, required: bool = False) -> pa.Field:
    return pa.field(name, kind, nullable=not required, metadata={"meaning": meaning})


@dataclass(frozen=True)
class Table:
    """One table of the lake.

    Attributes
    ----------
    name
        Folder under the lake's root.
    schema
        Arrow schema; every field carries its meaning in its metadata.
    key
        Columns whose values are unique within a day.
    """

    name: str
    schema: pa.Schema
    key: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return list(self.schema.names)


EVENTS: Final = Table(
    "events",
    pa.schema(
        [
            DAY,
            _field(
                "event_id", pa.string(), "id of the event: delivered, or a hash of the columns that identify it", required=True
            ),
            _field("user_id", pa.string(), "null for anonymous traffic: counts for items, never for a user"),
            _field("item_id", pa.string(), "null for searches only"),
            _field("event_type", pa.string(), "one of: " + ", ".join(EVENT_TYPES), required=True),
            _field("ts", TIMESTAMP, "when it happened, UTC", required=True),
            _field("session_id", pa.string(), "visit that the event belongs to"),
            _field("order_id", pa.string(), "order that the line belongs to (purchase, return)"),
            _field("query", pa.string(), "what was typed (search)"),
            _field("text", pa.string(), "what was written (review)"),
            _field("rating", pa.float64(), "stars, within the bounds of the settings (review)"),
            _field("price", pa.float64(), "price of one piece, in the shop's currency"),
            _field("quantity", pa.int64(), "pieces, positive; a return is its own type"),
            _field("platform", pa.string(), "app, web, store, … as the shop names it"),
        ]
    ),
    ("event_id",),
)

ITEMS: Final = Table(
    "items",
    pa.schema(
        [
            DAY,
            _field("item_id", pa.string(), "canonical text form", required=True),
            _field("title", pa.string(), "name shown to people"),
            _field("description", pa.string(), "longer text"),
            _field("category", pa.list_(pa.string()), "path in the category tree, root first"),
            _field("brand", pa.string(), "brand or maker"),
            _field("price", pa.float64(), "list price, in the shop's currency"),
            _field("available", pa.bool_(), "false: kept for history, never recommended", required=True),
        ]
    ),
    ("item_id",),
)

USERS: Final = Table(
    "users",
    pa.schema(
        [
            DAY,
            _field("user_id", pa.string(), "canonical text form", required=True),
            _field("registered_at", TIMESTAMP, "when the account was made, UTC", required=True),
            _field("platform", pa.string(), "where the account was made"),
            _field("country", pa.string(), "country of the account"),
            _field("attributes", pa.map_(pa.string(), pa.string()), "anything else the shop delivers, as text"),
            _field(
                "person_id",
                pa.string(),
                "the customer behind this account; accounts of one person share it; null: the account alone",
            ),
        ]
    ),
    ("user_id",),
)

QUARANTINE: Final = Table(
    "quarantine",
    pa.schema(
        [
            DAY,
            _field("source_table", pa.string(), "events, items or users", required=True),
            _field("source_file", pa.string(), "file within the day's delivery", required=True),
            _field("row_number", pa.int64(), "row in that file, from 0", required=True),
            _field("reason", pa.string(), "why the row was not taken in", required=True),
            _field("column", pa.string(), "the delivered column that the reason speaks of"),
            _field("set_aside", pa.bool_(), "true: a kind of row the settings set aside; not counted as bad", required=True),
            _field("row_hash", pa.string(), "sha256 of the whole delivered row", required=True),
            _field("payload", pa.string(), "the row as JSON, without user id and free text", required=True),
        ]
    ),
    ("source_table", "source_file", "row_number"),
)

SUPPORT_ENTRY: Final = pa.struct(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("label", pa.float32(), nullable=False),
        pa.field("weight", pa.float32(), nullable=False),
        pa.field("ts", TIMESTAMP, nullable=False),
    ]
)

EPISODES: Final = Table(
    "episodes",
    pa.schema(
        [
            DAY,
            _field("user_id", pa.string(), "user", required=True),
            _field("cohort", pa.string(), "zero or few; the warm are computed, not stored", required=True),
            _field("k", pa.int32(), "distinct items in the support", required=True),
            _field(
                "support",
                pa.list_(SUPPORT_ENTRY),
                "one entry an item, oldest first; label 1 positive, 0 sent back",
                required=True,
            ),
            _field("query_texts", pa.list_(pa.string()), "newest search texts, newest first", required=True),
        ]
    ),
    ("user_id",),
)

REASON: Final = pa.struct(
    [
        pa.field("kind", pa.string(), nullable=False),
        pa.field("because_item_ids", pa.list_(pa.string()), nullable=False),
    ]
)

RECOMMENDATIONS: Final = Table(
    "recommendations",
    pa.schema(
        [
            DAY,
            _field("user_id", pa.string(), "user", required=True),
            _field("rank", pa.int32(), "1, 2, … without gaps", required=True),
            _field("item_id", pa.string(), "item, delivered on this day or before", required=True),
            _field(
                "score",
                pa.float64(),
                "score of the model, or of the fallback without a support; comparable within one user only",
                required=True,
            ),
            _field("cohort", pa.string(), "zero, few or warm", required=True),
            _field("reason", REASON, "kind: " + ", ".join(REASON_KINDS), required=True),
            _field("model_version", pa.string(), "version in the model registry", required=True),
            _field(
                "propensity",
                pa.float64(),
                "probability that the item stands in the list, over the draw of new items: 1 where nothing was drawn; "
                "null where published before the column was added",
            ),
        ]
    ),
    ("user_id", "rank"),
)

OUTCOMES: Final = Table(
    "outcomes",
    pa.schema(
        [
            DAY,  # the day up to which behaviour was looked at; the lists are those of day - horizon_days
            _field("horizon_days", pa.int32(), "days of behaviour after the lists' day", required=True),
            _field("cohort", pa.string(), "zero, few, warm or all", required=True),
            _field(
                "metric",
                pa.string(),
                "ndcg@10, recall@10, hit_rate@10, coverage@10, novelty@10, drift; pooled_ndcg@10, … of a window",
                required=True,
            ),
            _field("value", pa.float64(), "null where fewer than the settings' minimum of users were measured"),
            _field("ci_low", pa.float64(), "2.5 % point of the user bootstrap; null for coverage and drift"),
            _field("ci_high", pa.float64(), "97.5 % point of the user bootstrap; null for coverage and drift"),
            _field("users", pa.int64(), "users measured", required=True),
            _field("name", pa.string(), "model version, or the baseline's name", required=True),
            _field(
                "table",
                pa.string(),
                "table whose rows were measured; null where published before the column was added: recommendations",
            ),
            _field(
                "group",
                pa.string(),
                "item group or user group that the row speaks of, such as brand=Acme (docs/fairness.md); null: of all",
            ),
            _field(
                "window_days",
                pa.int32(),
                "days of lists, up to those that the row's day judges, that are pooled (metrics pooled_…); null: one night",
            ),
            _field("nights", pa.int32(), "nights of the window in which a user was measured; null: one night"),
        ]
    ),
    ("cohort", "metric", "name", "table", "group", "window_days"),
)

NEWCOMER_OUTCOMES: Final = Table(
    "newcomer_outcomes",
    pa.schema(
        [
            DAY,  # the day up to which behaviour was looked at, as in outcomes
            _field("lists_day", pa.date32(), "day of the lists: day - horizon_days", required=True),
            _field("horizon_days", pa.int32(), "days of behaviour after the lists' day", required=True),
            _field("user_id", pa.string(), "user who newly met an item in these days", required=True),
            _field("cohort", pa.string(), "zero or few, as published with the list", required=True),
            _field("k", pa.int32(), "distinct items in the user's support on the lists' day", required=True),
            _field("name", pa.string(), "lists for the published list, or the baseline's name", required=True),
            _field("metric_k", pa.int32(), "cut-off of the metrics", required=True),
            _field("ndcg", pa.float64(), "nDCG of the list", required=True),
            _field("recall", pa.float64(), "hits of what could stand in the first metric_k places", required=True),
            _field("hit_rate", pa.float64(), "1 where there is a hit among the first metric_k, else 0", required=True),
            _field("met", pa.int32(), "items that the user newly met and did not send back", required=True),
        ]
    ),
    ("user_id", "name"),
)

REPLAYS: Final = Table(
    "replays",
    pa.schema(
        [
            DAY,  # the last day whose behaviour was looked at
            _field("trained_until", pa.date32(), "the cut: the last day that the model and all evidence know of", required=True),
            _field("horizon_days", pa.int32(), "days after a list in which what is met counts, at most up to day", required=True),
            _field(
                "group",
                pa.string(),
                "first items that the lists know: k=0, k=1, k=3, k=5, k=10; k>=1: the mean of those above 0",
                required=True,
            ),
            _field(
                "metric",
                pa.string(),
                "ndcg@10, recall@10, hit_rate@10; ndcg_ratio@10: nDCG over that of against, paired",
                required=True,
            ),
            _field("value", pa.float64(), "null where fewer than the settings' minimum of persons were measured"),
            _field("ci_low", pa.float64(), "2.5 % point of the bootstrap over persons"),
            _field("ci_high", pa.float64(), "97.5 % point of the bootstrap over persons; null beside a ratio without bound"),
            _field("users", pa.int64(), "persons measured", required=True),
            _field("name", pa.string(), "whose lists: the learner trained up to the cut, or a baseline", required=True),
            _field("against", pa.string(), "whose lists a ratio is to; empty where the row is no ratio", required=True),
        ]
    ),
    ("group", "metric", "name", "against"),
)

ITEM_CLASSES: Final = Table(
    "item_classes",
    pa.schema(
        [
            DAY,
            _field("scheme", pa.string(), "which tree of classes: category, or a scheme of the shop's own labels", required=True),
            _field("item_id", pa.string(), "item that has no label of the scheme", required=True),
            _field("class_path", pa.list_(pa.string()), "path of the class, root first; null where abstained"),
            _field("level", pa.int32(), "levels of the path; 0 where abstained", required=True),
            _field(
                "confidence",
                pa.float64(),
                "probability of the path, 0 to 1; where abstained, of the likeliest class of the first level",
                required=True,
            ),
            _field("abstained", pa.bool_(), "true: no class is likely enough to be given", required=True),
            _field(
                "because_item_ids",
                pa.list_(pa.string()),
                "labelled items of the class whose texts are the closest, closest first; empty where abstained",
                required=True,
            ),
            _field("model_version", pa.string(), "rule, encoder, and the shop's labels where there are any", required=True),
        ]
    ),
    ("scheme", "item_id"),
)

REVIEW_INSIGHTS: Final = Table(
    "review_insights",
    pa.schema(
        [
            DAY,
            _field("event_id", pa.string(), "review of the day that has an item and a text", required=True),
            _field("item_id", pa.string(), "item that it speaks of", required=True),
            _field("aspect", pa.string(), "overall for the whole review, or an aspect that it speaks of", required=True),
            _field("rating", pa.float64(), "stars that the review came with"),
            _field(
                "expected_rating",
                pa.float64(),
                "stars that the text stands for, of an aspect its span; null where rated reviews are too few to learn from",
            ),
            _field("polarity", pa.string(), "positive or negative, by the text; null where abstained"),
            _field("confidence", pa.float64(), "probability of the likelier polarity, 0.5 to 1; null as expected_rating is"),
            _field("abstained", pa.bool_(), "true: no polarity is likely enough to be given", required=True),
            _field("cue", pa.string(), "word of the span that names the aspect; null for overall"),
            _field("evidence_start", pa.int64(), "first character of the span in the review's text, from 0"),
            _field("evidence_end", pa.int64(), "character after the last one of the span"),
            _field("evidence", pa.string(), "the span: one clause, at most 240 characters"),
            _field("model_version", pa.string(), "encoder, and file of aspects", required=True),
        ]
    ),
    ("event_id", "aspect"),
)

ITEM_DIGESTS: Final = Table(
    "item_digests",
    pa.schema(
        [
            DAY,
            _field("item_id", pa.string(), "item that was reviewed in the last 56 days", required=True),
            _field("aspect", pa.string(), "overall for whole reviews, or an aspect that they speak of", required=True),
            _field("reviews", pa.int64(), "reviews of the last 28 days that speak of it", required=True),
            _field("reviews_before", pa.int64(), "reviews of the 28 days before that speak of it", required=True),
            _field("positive", pa.int64(), "of the reviews, those whose polarity is positive", required=True),
            _field("negative", pa.int64(), "of the reviews, those whose polarity is negative", required=True),
            _field("positive_share", pa.float64(), "positive among positive and negative, 0 to 1; null where there is neither"),
            _field("mean_rating", pa.float64(), "mean stars that these reviews came with; null where none had any"),
            _field("mean_expected_rating", pa.float64(), "mean stars that their texts, of an aspect their spans, stand for"),
            _field("trend", pa.float64(), "positive_share less that of the 28 days before; null where one of them is"),
            _field("trend_low", pa.float64(), "lower end of its 95 % interval (Newcombe 1998)"),
            _field("trend_high", pa.float64(), "upper end of its 95 % interval"),
            _field("praise", pa.string(), "of the positive spans the one most like all of them"),
            _field("praise_event_id", pa.string(), "review that it stands in"),
            _field("complaint", pa.string(), "of the negative spans the one most like all of them"),
            _field("complaint_event_id", pa.string(), "review that it stands in"),
            _field("model_version", pa.string(), "encoder", required=True),
        ]
    ),
    ("item_id", "aspect"),
)

CAMPAIGN_AUDIENCES: Final = Table(
    "campaign_audiences",
    pa.schema(
        [
            DAY,
            _field("campaign_id", pa.string(), "campaign, as the shop's file of campaigns has it", required=True),
            _field("user_id", pa.string(), "user whom the campaign should address", required=True),
            _field("rank", pa.int32(), "1, 2, … without gaps within a campaign, likeliest first", required=True),
            _field(
                "probability",
                pa.float64(),
                "chance that the user answers while the campaign runs, 0 to 1; the same for all where basis is prior",
                required=True,
            ),
            _field(
                "basis",
                pa.string(),
                "responses: learned from earlier campaigns; prior: too few answered them, ranked by what was bought",
                required=True,
            ),
            _field("reason", REASON, "kind: " + ", ".join(AUDIENCE_REASONS), required=True),
            _field("model_version", pa.string(), "files of campaigns, and the encoder where one has a text alone", required=True),
        ]
    ),
    ("campaign_id", "user_id"),
)

CART_REASONS: Final = ("cart", "habit", "popular")
"""Why an item completes a cart: items of the cart, the user's own earlier orders, or that it sells."""

COMPLEMENTS: Final = Table(
    "complements",
    pa.schema(
        [
            DAY,
            _field("item_id", pa.string(), "item that is completed", required=True),
            _field("rank", pa.int32(), "1, 2, … without gaps", required=True),
            _field("complement_id", pa.string(), "item that completes it, and does not replace it", required=True),
            _field("score", pa.float64(), "comparable within one item only", required=True),
            _field("orders_together", pa.int64(), "orders that hold both, at least 2", required=True),
            _field(
                "lift",
                pa.float64(),
                "orders that hold both, over those that would if the items had nothing to do with each other",
                required=True,
            ),
            _field("model_version", pa.string(), "the rule that the weights are learned by", required=True),
        ]
    ),
    ("item_id", "rank"),
)

CART_RECOMMENDATIONS: Final = Table(
    "cart_recommendations",
    pa.schema(
        [
            DAY,
            _field("user_id", pa.string(), "whose cart", required=True),
            _field("rank", pa.int32(), "1, 2, … without gaps", required=True),
            _field("item_id", pa.string(), "item that completes the cart", required=True),
            _field("score", pa.float64(), "comparable within one cart only", required=True),
            _field("kind", pa.string(), "what speaks for it the most: " + ", ".join(CART_REASONS), required=True),
            _field(
                "because_item_ids",
                pa.list_(pa.string()),
                "items of the cart without which the score falls the furthest; empty unless the kind is cart",
                required=True,
            ),
            _field("cart_item_ids", pa.list_(pa.string()), "what the cart holds and was not bought", required=True),
            _field("model_version", pa.string(), "the rule that the weights are learned by", required=True),
        ]
    ),
    ("user_id", "rank"),
)

PROFILE_KINDS: Final = ("category", "brand", "topic", "price", "rhythm", "search", "review")
"""Kinds of tags of a user: a tag is its kind, a colon, and a name."""

USER_PROFILES: Final = Table(
    "user_profiles",
    pa.schema(
        [
            DAY,
            _field("user_id", pa.string(), "user", required=True),
            _field("tag", pa.string(), "kind, colon and name, such as category:home>lights or price:low", required=True),
            _field("kind", pa.string(), "one of: " + ", ".join(PROFILE_KINDS), required=True),
            _field(
                "weight",
                pa.float64(),
                "0 to 1: part of the evidence that the average of the other users does not explain, (seen − expected) / (seen + 4)",
                required=True,
            ),
            _field("seen", pa.float64(), "the user's evidence under the tag, by type of event and age", required=True),
            _field("expected", pa.float64(), "what an average other user with as much evidence has under it", required=True),
            _field("pieces", pa.int64(), "pieces of evidence under the tag: an item counts once a day", required=True),
            _field(
                "because_item_ids",
                pa.list_(pa.string()),
                "items without which the weight would fall the most, most first; empty for rhythm and search",
                required=True,
            ),
            _field("evidence", pa.string(), "what it rests on, as a sentence that speaks of this user alone", required=True),
            _field("first_day", pa.date32(), "day of the oldest piece of evidence, in the shop's zone", required=True),
            _field("last_day", pa.date32(), "day of the newest", required=True),
            _field("model_version", pa.string(), "the rule, and the encoder that reads searches", required=True),
        ]
    ),
    ("user_id", "tag"),
)

SEARCH_RECOMMENDATIONS: Final = Table(
    "search_recommendations",
    pa.schema(
        [
            DAY,
            _field(
                "query",
                pa.string(),
                "text that was searched on the day: lower case, single blanks, no signs at its ends",
                required=True,
            ),
            _field("rank", pa.int32(), "1, 2, … without gaps", required=True),
            _field("item_id", pa.string(), "item that answers it, inside the filters below", required=True),
            _field("score", pa.float64(), "comparable within one text only", required=True),
            _field("searches", pa.int64(), "how often the text was searched on the day", required=True),
            _field("price_low", pa.float64(), "lowest price that the text names, included; null where it names none"),
            _field("price_high", pa.float64(), "highest price that the text names, included; null where it names none"),
            _field(
                "cheap", pa.bool_(), "true: the text asks for the lower third of the prices of an item's category", required=True
            ),
            _field(
                "categories",
                pa.list_(pa.string()),
                "categories that the text names, levels joined by ' > '; an item lies in one of them; empty where it names none",
                required=True,
            ),
            _field("brand", pa.string(), "brand that the text names; null where it names none"),
            _field("without", pa.list_(pa.string()), "words that the text does without; no item names them", required=True),
            _field(
                "relaxed",
                pa.list_(pa.string()),
                "filters that were given up, in this order, since they left nothing: price, brand, category",
                required=True,
            ),
            _field(
                "matched_words",
                pa.list_(pa.string()),
                "words of the text that the item's text holds, the weightiest first",
                required=True,
            ),
            _field("reason", pa.string(), "why the item stands here, for people", required=True),
            _field("model_version", pa.string(), "encoder, and the file of words with the rule", required=True),
        ]
    ),
    ("query", "rank"),
)

INPUT: Final = pa.struct(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("first_day", pa.date32(), nullable=False),
        pa.field("last_day", pa.date32(), nullable=False),
        pa.field("version", pa.int64(), nullable=False),
    ]
)

DAYS: Final = Table(
    "days",
    pa.schema(
        [
            DAY,
            _field("table", pa.string(), "table that the row speaks of", required=True),
            _field("status", pa.string(), "open (refused, or never completed), closed, empty (zero rows)", required=True),
            _field(
                "table_version", pa.int64(), "Delta version that holds the day; of several rows the highest counts", required=True
            ),
            _field("inputs", pa.list_(INPUT), "what was read to make the day", required=True),
            _field(
                "model_version",
                pa.string(),
                "model version, for recommendations and outcomes; what else made the rows, for tables of tasks",
            ),
            _field("code_version", pa.string(), "version of recpipe", required=True),
            _field("run_id", pa.string(), "Airflow run, or 'local'", required=True),
            _field("rows", pa.int64(), "rows of the day", required=True),
            _field("recorded_at", TIMESTAMP, "when the row was written, UTC", required=True),
        ]
    ),
    ("table", "day"),
)

ERASURES: Final = Table(
    "erasures",
    pa.schema(
        [
            DAY,  # the day, UTC, on which the row was written
            _field(
                "user_hash",
                pa.string(),
                "erasure token of a user: a hash that names nobody without the shop's key",
                required=True,
            ),
            _field("finished", pa.bool_(), "false: the erasure began; true: it is done", required=True),
            _field("run_id", pa.string(), "Airflow run, or 'local'", required=True),
            _field("recorded_at", TIMESTAMP, "when the row was written, UTC", required=True),
        ]
    ),
    ("user_hash", "finished"),
)
"""Who is left out from now on. It has no days that are made, so it is none of `TABLES`."""

TABLES: Final = {
    t.name: t
    for t in (
        EVENTS,
        ITEMS,
        USERS,
        QUARANTINE,
        EPISODES,
        RECOMMENDATIONS,
        OUTCOMES,
        ITEM_CLASSES,
        CAMPAIGN_AUDIENCES,
        REVIEW_INSIGHTS,
        ITEM_DIGESTS,
        COMPLEMENTS,
        CART_RECOMMENDATIONS,
        USER_PROFILES,
        SEARCH_RECOMMENDATIONS,
        NEWCOMER_OUTCOMES,
        REPLAYS,
        DAYS,
    )
}
DELIVERED: Final = (ITEMS, USERS, EVENTS)
"""The tables that a shop delivers, in the order they are taken in."""
