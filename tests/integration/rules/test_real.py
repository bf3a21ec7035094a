"""Age limits and substitutes on a real grocer: users with the age ranges of a survey, beer, wine and tobacco in the carts."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake
from recpipe.pipeline.publish import run_day
from recpipe.tables.baskets.cart_recommendations import CARTS
from recpipe.tables.baskets.complements import ITEM_COMPLEMENTS

DAY = date(2017, 3, 5)
DAYS = 28
GROWN_UP = ("BEERS/ALES", "DOMESTIC WINE", "IMPORTED WINE", "MISC WINE", "LIQUOR")
LIMITS = "age_from: {attribute: age, as: age}\nlimits:\n  - age: 25\n    categories:\n"
LIMITS += "".join(f"      - [GROCERY, {name}]\n" for name in GROWN_UP) + "      - [DRUG GM, CIGARETTES]\n"
MILK = ("GROCERY", "FLUID MILK PRODUCTS")


def grocer(home: Path, folder: Path) -> Settings:
    """Four weeks of orders; of the orders of the last day every second line is a cart that was left."""
    import pandas as pd

    events = pd.read_parquet(folder / "events.parquet")
    events = events[(events["ts"] >= datetime(2017, 2, 6)) & (events["ts"] < datetime(2017, 3, 7))]
    events = events.drop_duplicates(["order_id", "item_id"]).astype({"user_id": str, "item_id": str, "order_id": str})
    lines = [
        {"event_id": f"{row.order_id}-{row.item_id}", "user_id": row.user_id, "item_id": row.item_id, "event_type": "purchase",
         "ts": row.ts.to_pydatetime().replace(tzinfo=UTC), "order_id": row.order_id, "day": row.ts.date()}
        for row in events.itertuples()
    ]  # fmt: skip
    left = [row | {"event_type": "cart", "day": DAY, "ts": row["ts"] - timedelta(days=1), "event_id": "c" + row["event_id"]}
            for row in lines if row["day"] > DAY][::2]  # fmt: skip
    items = pd.read_parquet(folder / "items.parquet").astype({"item_id": str})
    items = items[items["item_id"].isin(set(events["item_id"]))]
    paths = items[["department", "product_category", "product_type"]].fillna("").to_numpy()
    shelf = [{"item_id": item, "category": [level for level in path if level], "available": True, "day": date(2017, 2, 6)}
             for item, path in zip(items["item_id"], paths, strict=True)]  # fmt: skip
    users = pd.read_parquet(folder / "users.parquet").astype({"user_id": str})
    people = [{"user_id": user, "registered_at": datetime(2017, 1, 1, tzinfo=UTC), "day": date(2017, 2, 6),
               "attributes": None if pd.isna(age) else [("age", age)]} for user, age in zip(users["user_id"], users["age"], strict=True)]  # fmt: skip
    settings = load_settings(home=home, lookback_days=DAYS, knowledge="")
    days = [date(2017, 2, 6) + timedelta(days=n) for n in range(DAYS + 1)]
    for name, rows in (("items", shelf), ("users", people), ("events", [*lines, *left])):
        schema = TABLES[name].schema
        full = [{column: row.get(column) for column in schema.names} for row in rows if row["day"] <= DAY]
        Lake.from_settings(settings).publish(name, [day for day in days if day <= DAY], pa.Table.from_pylist(full, schema=schema))
    return settings


@pytest.mark.slow
def test_nobody_of_unknown_or_lesser_age_is_offered_beer_wine_or_tobacco(tmp_path):
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds completejourney")
    plain = grocer(tmp_path / "home", Path(os.environ["RECPIPE_TEST_DATA"]) / "completejourney")
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "age_limits.yaml").write_text(LIMITS)
    (folder / "substitutes.yaml").write_text(f"groups: [{{name: milk, categories: [{list(MILK)}]}}]")
    reader = Lake.from_settings(plain).reader()
    path_of = {row["item_id"]: tuple(row["category"]) for row in reader.as_of("items", DAY).to_pylist()}
    age_of = {row["user_id"]: dict(row["attributes"] or ()).get("age", "0")[:2] for row in reader.as_of("users", DAY).to_pylist()}
    counts = {}
    for settings in (plain, plain.changed(knowledge=str(folder))):
        run_day(settings, CARTS, DAY)
        run_day(settings, ITEM_COMPLEMENTS, DAY)
        reader = Lake.from_settings(settings).reader()
        carts = reader.read("cart_recommendations", DAY, DAY).to_pylist()
        pairs = reader.read("complements", DAY, DAY).to_pylist()
        limited = [row for row in carts if is_limited(path_of[row["item_id"]])]
        beside = [row for row in pairs if is_limited(path_of[row["complement_id"]])]
        counts[settings.rules.knowledge] = {
            "carts": len({row["user_id"] for row in carts}),
            "rows": len(carts),
            "limited, of age": sum(int(age_of[row["user_id"]]) >= 25 for row in limited),
            "limited, others": sum(int(age_of[row["user_id"]]) < 25 for row in limited),
            "limited beside others": sum(not is_limited(path_of[row["item_id"]]) for row in beside),
            "milk beside milk": sum(path_of[row["item_id"]][:2] == MILK == path_of[row["complement_id"]][:2] for row in pairs),
        }  # fmt: skip
    print(counts)
    without, obeyed = counts.values()
    assert min(without["limited, others"], without["limited, of age"], without["limited beside others"]) > 0
    assert (obeyed["limited, others"], obeyed["limited beside others"], obeyed["milk beside milk"]) == (0, 0, 0)
    assert obeyed["limited, of age"] >= without["limited, of age"] * 0.9
    assert (obeyed["carts"], obeyed["rows"]) == (without["carts"], without["rows"])


def is_limited(path: tuple[str, ...]) -> bool:
    return path[:2] == ("DRUG GM", "CIGARETTES") or (path[:1] == ("GROCERY",) and path[1:2] in [(name,) for name in GROWN_UP])
