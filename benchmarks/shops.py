"""A shop's whole log as learners see it, from a folder with ``events.parquet`` and ``items.parquet``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from recpipe.config.settings import load_settings
from recpipe.dataset.history import Evidence, events_of
from recpipe.experiments.new_users import FACTS
from recpipe.experiments.split import Split
from recpipe.experiments.split_evidence import split_evidence

DAY = np.timedelta64(1, "D")


def read_shop(folder: Path, cache: Path, least: int = 1) -> tuple[Evidence, dict[str, Any]]:
    """Return all that a shop's log holds, and the facts of a training input.

    Rows without user or item, of goods that are no merchandise, and of quantities below one are left out.

    Parameters
    ----------
    folder
        With the columns user_id, item_id, event_type, ts; item_id, title, and what else describes an item.
    cache
        Of the text encoder.
    least
        Items of fewer events are left out: large shops are cut down to what two cores can learn from.
    """
    from recpipe.text.encoder import load_encoder

    settings = load_settings()
    items, events = _items(folder), _events(folder)
    counts = pc.value_counts(events["item_id"])
    sold = counts.field("values").filter(pc.greater_equal(counts.field("counts"), least))
    if least > 1:
        items = items.filter(pc.is_in(items["item_id"], value_set=sold))
    events = events.filter(pc.is_in(events["item_id"], value_set=items["item_id"].combine_chunks()))
    last = np.asarray(events["ts"].to_numpy(), "datetime64[us]").max().astype("datetime64[D]")
    encoder = load_encoder(settings.text.encoder, cache)
    split = Split(
        (last + DAY).astype("datetime64[us]"), settings.evaluation.horizon_days, 0, items, events, events[:0], events[:0]
    )
    facts = {
        **{name: settings.flat()[name] for name in FACTS},
        "trained_until": str(last),
        "fitted_until": str(last),
        "encoder": encoder.fingerprint,
        "horizon_days": settings.evaluation.horizon_days,
        "seen_items": "exclude",
    }
    return split_evidence(split, encoder.encode, settings.history.event_weights), facts


def some_users(evidence: Evidence, users: int) -> Evidence:
    """Return what some of the named users did, drawn with seed 0, and nobody else."""
    history = evidence.history
    drawn = np.random.default_rng(0).choice(len(history.user_ids), users, replace=False)
    kept = events_of(history, np.flatnonzero(np.isin(history.user, drawn)))
    order = np.argsort(kept.ts, kind="stable")
    return replace(evidence, history=kept, popularity_item=kept.item[order], popularity_ts=kept.ts[order])


def _items(folder: Path) -> pa.Table:
    table = _as_text(pq.read_table(folder / "items.parquet"), "item_id")
    if "is_merchandise" in table.column_names:
        table = table.filter(table["is_merchandise"])
    described = ("item_id", "title", "category_path", "brand", "price", "title_keywords")
    return table.select([name for name in described if name in table.column_names]).sort_by("item_id")


def _events(folder: Path) -> pa.Table:
    table = _as_text(pq.read_table(folder / "events.parquet"), "user_id", "item_id", "event_type")
    if "is_merchandise" in table.column_names:
        bought = pc.and_(pc.equal(table["event_type"], "purchase"), pc.greater(table["quantity"], 0))
        table = table.filter(pc.and_(table["is_merchandise"], bought))
    columns = ["user_id", "item_id", "event_type", "ts"]
    table = table.select(columns).drop_null()
    table = table.set_column(3, "ts", table["ts"].cast(pa.timestamp("us")))
    return table.sort_by([(name, "ascending") for name in ("ts", "user_id", "item_id")])


def _as_text(table: pa.Table, *names: str) -> pa.Table:
    for name in names:
        column = table[name]
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        table = table.set_column(table.column_names.index(name), name, column.cast(pa.string()))
    return table
