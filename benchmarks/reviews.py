"""Reviews on real data: what `review_insights` and `item_digests` say of a folder of reviews, and what became of it.

``python -m benchmarks.reviews SET FILE HOME``: SET is `clothing` (womens_clothing_reviews.parquet), `shopping`
(zh_online_shopping_10_cats.parquet) or `products` (zh_eprstmt.parquet), FILE that file, HOME a folder that is made anew. The reviews have no dates: in an
order drawn once, `A_DAY` of them are laid on each of `DAYS` days. `MADE` days of insights and a day of digests are made as the DAGs make
them, by what the days before taught, and measured a week later. Chinese reviews want RECPIPE_ENCODER=multilingual.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import numpy as np
import pandas as pd
import pyarrow as pa

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.reviews.item_digests import DIGESTS
from recpipe.tables.reviews.review_insights import INSIGHTS

FIRST: Final = date(2026, 1, 1)
DAYS, A_DAY, SEED = 37, 200, 0
MADE: Final = 2
"""Days of insights that are made: the digest of the last one is of these."""
WEEK: Final = 7


def clothing(table: pd.DataFrame) -> pd.DataFrame:
    """Reviews of clothes with stars; the item is the garment."""
    return pd.DataFrame({"item_id": table["clothing_id"].astype(str), "text": table["review_text"], "rating": table["rating"]})


def shopping(table: pd.DataFrame) -> pd.DataFrame:
    """Reviews of ten kinds of goods, good or bad: five stars or one; the item is the kind."""
    return pd.DataFrame({"item_id": table["category"], "text": table["text"], "rating": np.where(table["label"] == 1, 5.0, 1.0)})


def products(table: pd.DataFrame) -> pd.DataFrame:
    """Labelled reviews, good or bad; the item is not known, and one stands for all."""
    known = table[table["label"].isin(["Positive", "Negative"])].drop_duplicates("text")
    return pd.DataFrame({"item_id": "unknown", "text": known["text"], "rating": np.where(known["label"] == "Positive", 5.0, 1.0)})


SETS: Final[dict[str, Callable[[pd.DataFrame], pd.DataFrame]]] = {
    "clothing": clothing,
    "shopping": shopping,
    "products": products,
}


def lay(reviews: pd.DataFrame, settings: Settings) -> None:
    """Lay reviews into the lake of a home, `A_DAY` a day."""
    usable = reviews.dropna(subset=["text"])
    drawn = usable.sample(min(DAYS * A_DAY, len(usable)), random_state=SEED).reset_index(drop=True)
    day = [FIRST + timedelta(days=place // A_DAY) for place in range(len(drawn))]
    moments = pd.to_datetime(pd.Series(day)).dt.tz_localize("UTC") + pd.Timedelta(hours=12)
    frame = drawn.assign(day=day, event_id=drawn.index.astype(str), user_id=None, event_type="review", ts=moments)
    schema = TABLES["events"].schema
    arrays = [
        pa.array(frame[f.name], f.type, from_pandas=True) if f.name in frame else pa.nulls(len(frame), f.type) for f in schema
    ]
    Lake.from_settings(settings).publish("events", sorted(set(day)), pa.table(arrays, schema=schema))


def main(name: str, file: Path, home: Path) -> None:
    """Lay, make both tables, measure them, and print what some digests say."""
    settings = load_settings(home=home, min_users=1)
    lay(SETS[name](pd.read_parquet(file)), settings)
    last = FIRST + timedelta(days=DAYS - 1 - WEEK)
    began = time.monotonic()
    for back in range(MADE - 1, -1, -1):
        day = last - timedelta(days=back)
        done = run_day(settings, INSIGHTS, day)
        print(f"{day}: {done['rows']} rows of review_insights, {time.monotonic() - began:.0f} s", flush=True)
    run_day(settings, DIGESTS, last)
    reader = Lake.from_settings(settings).reader()
    for task in (INSIGHTS, DIGESTS):
        for row in measure_task(settings, task, reader, last + timedelta(days=settings.evaluation.horizon_days)).to_pylist():
            low, high = row["ci_low"], row["ci_high"]
            interval = f" ({low:.3f} to {high:.3f})" if low is not None and high is not None else ""
            value = "none" if row["value"] is None else f"{row['value']:.3f}"
            print(f"{row['table']:<16} {row['metric']:<22} {value}{interval}  {row['users']} measured, {row['name']}")
    digests = (
        reader.read("item_digests", last, last)
        .to_pandas()
        .sort_values(["reviews", "item_id", "aspect"], ascending=[False, True, True])
    )
    shown = digests[digests["aspect"] != "overall"].head(5)
    for row in shown.itertuples():
        print(
            f"item {row.item_id}, {row.aspect}: {row.positive} of {row.positive + row.negative} good; praise: {row.praise}; complaint: {row.complaint}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 4 or sys.argv[1] not in SETS:
        sys.exit(f"python -m benchmarks.reviews SET FILE HOME, where SET is one of {', '.join(SETS)}")
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
