"""The cost of each stage of a night on a synthetic shop: CPU seconds, wall seconds, peak memory and rates.

    python -m benchmarks.scale.stages HOME MODEL_FOLDER STAGE...

Stages, in the order in which they build on each other: ``history`` (all days but the last), ``day`` (the last one),
``cache`` (text vectors), ``open``, ``wide``, ``items``, ``rank``, ``publish``; ``night`` (a whole night, published),
``evaluate``, ``export``, ``maintain``. What a stage needs of an earlier one of the same call is kept; open, items and rank
take no day of the table away.
"""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from benchmarks.scale import made_up_lists
from benchmarks.scale.generate import DAYS, FIRST
from benchmarks.scale.metering import guard_memory, metered, say, timed
from recpipe.config.settings import Settings, load_settings
from recpipe.lake.lake import Lake
from recpipe.pipeline.plan import by_hand, sweep
from recpipe.pipeline.run_plan import RunPlan
from recpipe.pipeline.shards import Opened, open_task
from recpipe.tables.recommendations.night_shards import LISTS

HORIZON_DAYS: Final = 7
DIMENSIONS: Final = 384


@dataclass
class Shop:
    """A synthetic shop, a model, and what earlier stages of this call have left."""

    settings: Settings
    model: str
    days: int
    blocks: int
    """Blocks of users that ``rank`` measures; drawn evenly from all."""
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def last(self) -> date:
        """The last day of the log."""
        return FIRST + timedelta(days=self.days - 1)

    @property
    def night(self) -> date:
        """The day of the lists: its outcomes are known one day before the log ends."""
        return self.last - timedelta(days=HORIZON_DAYS + 1)

    @cached_property
    def plan(self) -> RunPlan:
        """The plan of the night; it names the model's folder, so no registry is asked."""
        return by_hand(plan_of(self.settings, self.night, self.model), 0)

    @cached_property
    def opened(self) -> Opened[Any]:
        """The night with all that it has read."""
        return open_task(self.settings, LISTS, self.plan)

    def landed(self, table: str, first: date, last: date) -> int:
        """Return the rows of a table that were delivered on some days."""
        root = Path(self.settings.places.landing_root) / table
        days = [root / f"day={first + timedelta(days=number)}" for number in range((last - first).days + 1)]
        return sum(pq.read_metadata(file).num_rows for day in days for file in day.glob("*.parquet"))


def plan_of(settings: Settings, day: date, model: str) -> RunPlan:
    """Return the plan of a night by a model's folder, as version 1."""
    from recpipe.registry.model_folder import content_hash

    versions = Lake.from_settings(settings).versions_now(("events", "items", "users"))
    return RunPlan(day, "1", versions, LISTS.shards(settings), model, content_hash(Path(model)))


# --- taking in


def history(shop: Shop) -> None:
    """Take in all days but the last."""
    import great_expectations  # noqa: F401  # its import is no part of the stage

    from recpipe.tables.ingest.days_in import ingest_history

    last = shop.last - timedelta(days=1)
    with metered("ingest history", rows=shop.landed("events", FIRST, last)):
        ingest_history(shop.settings, FIRST, last)


def day(shop: Shop) -> None:
    """Take in the last day."""
    import great_expectations  # noqa: F401

    from recpipe.tables.ingest.day_commit import publish_day
    from recpipe.tables.ingest.stage import stage_day

    rows = shop.landed("events", shop.last, shop.last)
    with metered("ingest a day: stage", rows=rows):
        folder = stage_day(shop.settings, shop.last)
    with metered("ingest a day: audit and publish", rows=rows):
        publish_day(shop.settings, shop.last, folder)


def cache(shop: Shop) -> None:
    """Fill the encoder's cache with sums of random word vectors: real ones would take hours, and cost later stages the same.

    ``ENCODE=N`` in the environment says how fast N texts are really encoded.
    """
    from recpipe.text.cache import VectorCache
    from recpipe.text.encoder import Encoder, load_encoder

    encoder = load_encoder(shop.settings.text.encoder, shop.settings.places.work / "encoder")
    texts = list(dict.fromkeys(catalogue_texts(shop)))
    rng = np.random.default_rng(3)
    if count := int(os.environ.get("ENCODE", "0")):
        fresh = Encoder(encoder.folder)
        fresh.encode(texts[:64])
        with metered("encode texts", texts=count):
            fresh.encode([texts[place] for place in rng.choice(len(texts), count, replace=False)])
    file = shop.settings.places.work / "encoder" / f"{encoder.fingerprint[:16]}.sqlite"
    words: dict[str, NDArray[np.float32]] = {}
    for start in range(0, len(texts), 4096):
        some = texts[start : start + 4096]
        keys = [hashlib.sha256(text.encode()).digest() for text in some]
        VectorCache(file, DIMENSIONS).add(keys, made_up_vectors(rng, words, some))
    say(cached=len(texts))


def catalogue_texts(shop: Shop) -> list[str]:
    """Return the texts of all items, as the encoder is given them."""
    from recpipe.dataset.catalogue_reader import item_texts

    rows = Lake.from_settings(shop.settings).reader().as_of("items", shop.last)
    paths = [tuple(level for level in path or () if level) for path in rows["category"].to_pylist()]
    return item_texts(rows["title"].to_pylist(), paths, rows["brand"].to_pylist())


def made_up_vectors(rng: np.random.Generator, words: dict[str, NDArray[np.float32]], texts: list[str]) -> NDArray[np.float32]:
    """Return unit vectors that share what their words share; ``words`` keeps the vector of each word."""

    def of_word(word: str) -> NDArray[np.float32]:
        if word not in words:
            words[word] = rng.standard_normal(DIMENSIONS).astype(np.float32)
        return words[word]

    rows = np.stack([np.sum([of_word(word) for word in text.split()], axis=0) for text in texts])
    rows += rng.standard_normal(rows.shape).astype(np.float32) * 0.5
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


# --- the night


def opening(shop: Shop) -> None:
    """Open the night, with its parts."""
    from recpipe.dataset import as_of
    from recpipe.tables.recommendations import night

    for name in ("read_catalogue", "read_users", "_read_events", "_history", "_with_countries", "_traces", "_earlier_users"):
        timed(as_of, name, f"open: {name}")
    timed(night, "users_of", "open: users_of")
    with metered("open the night (in each shard, and in episodes)"):
        state = shop.opened.state
    with metered("blocks"):
        blocks = state.blocks
    known = state.known.evidence
    say(
        users=len(state.users),
        items=len(known.catalogue),
        events=len(known.history.user),
        blocks=len(blocks),
        users_with_support=int((state.users.support.k > 0).sum()),
        entries=len(state.users.support.item),
        met=len(state.users.met),
    )


def wide(shop: Shop) -> None:
    """Read the whole history as a look back of one day does, for users who were there before."""
    from recpipe.dataset import as_of

    short = shop.settings.changed(lookback_days=1)
    with metered("earlier users of all days", rows=shop.landed("events", FIRST, shop.night)):
        as_of._earlier_users(Lake.from_settings(shop.settings).reader(), short, shop.night, None)


def items(shop: Shop) -> None:
    """Place the items by the model, with the parts of its evidence."""
    from recpipe.evidence import item_features, kinds
    from recpipe.models.pair_network import PairNetwork

    parts = ("interactions", "_sold_together", "_texts", "ease_weights", "_ease_kinds", "met_next", "bm25_neighbours", "union")
    for name in parts:
        timed(kinds, name, f"items: {name}")
    timed(item_features, "trends", "items: trends")
    timed(PairNetwork, "_brought", "items: _brought (vectors of reasons)")
    state = shop.opened.state
    with metered("the learner's items (in each shard)", items=len(state.known.evidence.catalogue)):
        _ = state.space
    with metered("alike, fallback, category (in each shard)"):
        _ = state.alike, state.fallback, state.category, state.new


def rank(shop: Shop) -> None:
    """Rank some blocks of users; the first of them once before, for what is computed once."""
    from recpipe.tables.recommendations import night

    state = shop.opened.state
    step = max(1, len(state.blocks) // shop.blocks)
    some = state.blocks[::step][: shop.blocks]
    night._rows(state, some[0], night._lists(state, some[0]))
    with metered("rank", users=sum(map(len, some)), of=len(state.users)):
        for rows in some:
            night._rows(state, rows, night._lists(state, rows))


def publish(shop: Shop) -> None:
    """Publish lists that nobody ranked: facts, staging, audit and commit are real."""
    made_up_lists.publish(shop.opened)


def night(shop: Shop) -> None:
    """Make and publish a whole night: episodes, every shard, lists."""
    from recpipe.tables.recommendations.night_publish import publish_episodes, publish_night
    from recpipe.tables.recommendations.night_shards import rank_shard

    with metered("episodes"):
        publish_episodes(shop.settings, shop.plan)
    files = []
    for shard in range(shop.plan.shards):
        with metered(f"shard {shard}"):
            files.append(rank_shard(shop.settings, shop.plan, shard))
    with metered("publish"):
        publish_night(shop.settings, shop.plan, files)
    sweep(shop.settings, LISTS, shop.plan)


# --- after it


def evaluate(shop: Shop) -> None:
    """Measure what became of the night; ``BASELINES=0`` in the environment leaves the baselines away, whose rows are dense."""
    from recpipe.evaluation import outcomes

    without = os.environ.get("BASELINES") == "0"
    if without:
        vars(outcomes)["rank_lists"] = lambda learner, evidence, users, rows, *_: np.zeros((len(rows), 10), np.int64)
    with metered("evaluate" + (" without baselines" if without else "")):
        outcomes.measure_day(shop.settings, shop.night + timedelta(days=HORIZON_DAYS))


def export(shop: Shop) -> None:
    """Write the input of a training."""
    from recpipe.dataset.export import export_training

    with metered("export for training"):
        folder = export_training(shop.settings, shop.last)
    say(folder=str(folder))


def maintain(shop: Shop) -> None:
    """Tidy the tables."""
    from recpipe.maintenance.maintain import tidy_tables

    with metered("maintain: tidy tables"):
        tidy_tables(shop.settings)


STAGES: Final[dict[str, Callable[[Shop], None]]] = {
    "history": history, "day": day, "cache": cache, "open": opening, "wide": wide, "items": items, "rank": rank, "publish": publish,
    "night": night, "evaluate": evaluate, "export": export, "maintain": maintain,
}  # fmt: skip


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.stages", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("home", type=Path)
    parser.add_argument("model", help="folder of a model, such as a demo leaves under work/models")
    parser.add_argument("stages", nargs="+", choices=STAGES)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--blocks", type=int, default=24, help="blocks of users that rank measures")
    parser.add_argument("--limit-mb", type=float, default=12_000, help="resident memory above which the run ends")
    asked = parser.parse_args()
    guard_memory(asked.limit_mb)
    shop = Shop(load_settings(home=asked.home, first_day=FIRST), asked.model, asked.days, asked.blocks)
    for stage in asked.stages:
        STAGES[stage](shop)


if __name__ == "__main__":
    main()
