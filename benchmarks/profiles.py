"""Profiles of users on real data: what they say of later purchases, and, as a check, of households that they were not told of.

``python -m benchmarks.profiles completejourney FOLDER HOME`` or ``… online_retail …``: FOLDER holds the data set's events.parquet,
items.parquet and users.parquet; HOME is made anew. The events up to `MEASURED` are laid into a lake, the table
``user_profiles`` of `DAY` is made as the DAG does, and measured on the 28 days after it.

On completejourney the weights of the tags then tell what some households said of themselves (kids, age, income), by logistic
regression, ten folds; the baseline is the most frequent answer. This is a check that profiles carry information: what households
say of themselves is no input of a profile, of a campaign's filter, or of anything else here.
"""

from __future__ import annotations

import sys
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import pyarrow as pa

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake
from recpipe.metrics.intervals import ends, resamples
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.profiles.user_profiles import PROFILES

HORIZON: Final = 28
DAYS: Final = {"completejourney": date(2017, 11, 30), "online_retail": date(2011, 10, 31)}
FOLDS, SEED, DRAWS = 10, 7, 2000
ASKED: Final = {
    "kids in the household": lambda users: users["kids_count"].map({"0": 0.0}).fillna(1.0).where(users["kids_count"].notna()),
    "age 45 or above": lambda users: users["age"].isin(["45-54", "55-64", "65+"]).astype(float).where(users["age"].notna()),
    "income of 50K or above": lambda users: (
        (~users["income"].isin(["Under 15K", "15-24K", "25-34K", "35-49K"])).astype(float).where(users["income"].notna())
    ),
}


def lay(name: str, folder: Path, settings: Settings) -> date:
    """Lay a data set into the lake of a home; return the day whose profiles are measured."""
    day = DAYS[name]
    last = day + timedelta(days=HORIZON)
    events, items = pd.read_parquet(folder / "events.parquet"), pd.read_parquet(folder / "items.parquet")
    events = events[(events["ts"] < pd.Timestamp(last) + pd.Timedelta(days=1)) & events["user_id"].notna()]
    if name == "online_retail":
        events = events[events["is_merchandise"] & events["event_type"].isin(["purchase", "return"])]
        price = events["unit_price"]
    else:
        price = events["sales_value"] / events["quantity"].clip(lower=1)
    items = items[items["item_id"].isin(events["item_id"])]
    frame = pd.DataFrame(
        {
            "day": events["ts"].dt.date,
            "event_id": np.arange(len(events)).astype(str),
            "user_id": events["user_id"].astype(str),
            "item_id": events["item_id"].astype(str),
            "event_type": events["event_type"].astype(str),
            "ts": events["ts"].dt.tz_localize("UTC"),
            "price": price.astype(float),
        }
    )
    catalogue = pd.DataFrame(
        {
            "item_id": items["item_id"].astype(str),
            "title": items["title"],
            "category": [str(path).split(" > ") if pd.notna(path) else None for path in items["category_path"]],
            "brand": items["brand"],
            "price": items["price"].astype(float),
            "available": True,
            "day": frame["day"].min(),
        }
    )
    lake = Lake.from_settings(settings)
    for table, rows in (("items", catalogue), ("events", frame)):
        publish(lake, table, rows, [day, last])
    return day


def publish(lake: Lake, table: str, rows: pd.DataFrame, besides: list[date]) -> None:
    """Publish rows, and days without any, in one commit."""
    schema = TABLES[table].schema
    arrays = [pa.array(rows[f.name], f.type, from_pandas=True) if f.name in rows else pa.nulls(len(rows), f.type) for f in schema]
    lake.publish(table, sorted({*rows["day"], *besides}), pa.table(arrays, schema=schema))


def demographics(settings: Settings, day: date, folder: Path) -> None:
    """Print how well the tags of households tell what they said of themselves, beside the most frequent answer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold, cross_val_predict
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MaxAbsScaler

    rows = Lake.from_settings(settings).reader().read("user_profiles", day, day, ["user_id", "tag", "weight"]).to_pandas()
    users = pd.read_parquet(folder / "users.parquet")
    users["user_id"] = users["user_id"].astype(str)
    values, ids = matrix(rows)
    users = users.set_index("user_id").reindex(ids)
    for name, answer in ASKED.items():
        truth = answer(users).to_numpy(np.float64)
        known = ~np.isnan(truth)
        model = make_pipeline(MaxAbsScaler(), LogisticRegression(C=0.05, max_iter=2000))
        folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
        told = cross_val_predict(model, values[known], truth[known], cv=folds, method="predict_proba")[:, 1]
        most = float(truth[known].mean() >= 0.5)
        scores = {
            "AUC": lambda at, told=told, truth=truth[known]: roc_auc_score(truth[at], told[at]),
            "accuracy": lambda at, told=told, truth=truth[known]: float(np.mean((told[at] >= 0.5) == truth[at])),
            "accuracy of the most frequent": lambda at, most=most, truth=truth[known]: float(np.mean(truth[at] == most)),
            "gain in accuracy": lambda at, told=told, truth=truth[known], most=most: float(
                np.mean((told[at] >= 0.5) == truth[at]) - np.mean(truth[at] == most)
            ),
        }
        for what, score in scores.items():
            low, high = interval(score, int(known.sum()))
            print(
                f"{name}: {what} {score(np.arange(known.sum())):.3f} ({low:.3f} to {high:.3f}), {known.sum()} households",
                flush=True,
            )


def matrix(rows: pd.DataFrame) -> tuple[Any, list[str]]:
    """Return (users, tags) weights of tags that at least 10 users have, and the users."""
    import scipy.sparse as sp

    common = rows.groupby("tag")["user_id"].transform("size") >= 10
    user, tag = pd.Categorical(rows["user_id"]), pd.Categorical(rows["tag"].where(common))
    kept = tag.codes >= 0
    values = sp.csr_matrix(
        (rows["weight"].to_numpy()[kept], (user.codes[kept], tag.codes[kept])), (len(user.categories), len(tag.categories))
    )
    return values, list(user.categories)


def interval(score: Any, users: int) -> tuple[float, float]:
    """Return the 95 % interval of a score over drawn users."""
    blocks = resamples(np.ones(users), DRAWS // 4, np.random.default_rng(SEED))
    return ends(np.array([score(np.repeat(np.arange(users), times)) for block in blocks for times in block]))


def main() -> None:
    """Lay the data, make the profiles, and print what was measured."""
    name, folder, home = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    settings = load_settings(home=home, horizon_days=HORIZON)
    day = lay(name, folder, settings)
    began, cpu = time.monotonic(), time.process_time()
    made = run_day(settings, PROFILES, day, shards=1)
    took, cpu = time.monotonic() - began, time.process_time() - cpu
    lake = Lake.from_settings(settings)
    rows = lake.reader().read("user_profiles", day, day, ["user_id", "kind"]).to_pandas()
    users = rows["user_id"].nunique()
    print(f"{made['rows']:,} tags of {users:,} users in {took:.1f} s, {cpu:.1f} s of CPU time, audit and commit included")
    for row in measure_task(settings, PROFILES, lake.reader(), day + timedelta(days=HORIZON)).to_pylist():
        value = "too few" if row["value"] is None else f"{row['value']:.3f} ({row['ci_low']:.3f} to {row['ci_high']:.3f})"
        print(f"{row['metric']:<30} {row['name']:<25} {value}, {row['users']:,} users", flush=True)
    if name == "completejourney":
        demographics(settings, day, folder)


if __name__ == "__main__":
    main()
