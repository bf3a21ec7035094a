"""The ranking of items that nobody had bought before the cut, by their texts.

``python -m benchmarks.new_items FOLDER CUT HORIZON_DAYS CACHE [MODEL ...]``: FOLDER holds a shop's events.parquet and
items.parquet, CUT is a date, CACHE takes the vectors of the texts, and each MODEL is a folder that ``recpipe benchmark
new-users --work`` left, trained on a split that is cut at the same date. The candidates are the items of the catalogue
without a single event before the cut; what is asked is which of them a user takes within the horizon. Everybody who takes
one is asked for: users who were there before the cut, with the newest 200 events of what they had met, and users who came
after it within the horizon, with their first 1, 3 and 5 items. Training saw neither.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.config.settings import Settings, load_settings
from recpipe.dataset.history import Evidence
from recpipe.dataset.support import Support, support_weights
from recpipe.evidence.text_neighbours import weigh_words
from recpipe.experiments.split import Split, item_rows, moments
from recpipe.experiments.split_evidence import split_evidence, type_weights
from recpipe.metrics.intervals import Interval, ends, seed_of, sum_draws
from recpipe.metrics.ndcg import ndcg
from recpipe.metrics.off_policy import Logged, effective_rows, ips, naive, snips
from recpipe.metrics.ranking import Truth, hits, recall
from recpipe.models.base import ItemSpace, Learner, Matrix, score_users
from recpipe.models.io import load
from recpipe.models.text_prototype import TextPrototype
from recpipe.ranking.exploration import Pool, explore
from recpipe.ranking.order import rank
from recpipe.text.encoder import load_encoder

KS = (1, 3, 5)
K, DRAWS, BLOCK, LAST_EVENTS = 10, 2000, 256, 200
NIGHTS = 30
ESTIMATES = ((naive, 1), (snips, 1), (ips, NIGHTS))
"""What is made of the logged rows, and what it is divided by: hits are those of one night."""
COUNTED = ("n_purchases", "n_events", "first_seen", "avg_rating", "n_ratings", "in_events")
"""Columns that were counted over the whole log."""
ONE_DAY = np.timedelta64(86_400_000_000, "us")


@dataclass(frozen=True)
class WordPrototype:
    """Items whose words are like the support's: tf-idf in the place of the encoder's vectors."""

    name: ClassVar[str] = "tf-idf text prototype"

    def items(self, evidence: Evidence) -> ItemSpace:
        """Place the items: unit rows of weighed words."""
        return ItemSpace(weigh_words(evidence.catalogue.texts), np.zeros(len(evidence.catalogue), np.float32))

    def adapt(self, space: ItemSpace, support: Support) -> Matrix:
        """Return (users, words): the weighted mean of the support."""
        return sp.csr_matrix(support_weights(support, len(space.bias)) @ space.vectors)


@dataclass(frozen=True)
class Asked:
    """For whom lists are made: supports, what they took of the candidates, and the person behind each row."""

    support: Support
    truth: Truth
    person: NDArray[np.int64]


def main() -> None:
    """Measure, and print one line a learner for known users and for new ones."""
    folder, cut, horizon, cache = Path(sys.argv[1]), np.datetime64(sys.argv[2], "us"), int(sys.argv[3]), Path(sys.argv[4])
    settings, encoder = load_settings(), load_encoder("", cache)
    events, items = read(folder)
    split = Split(cut, horizon, horizon, items, events.filter(pc.less(events["ts"], pa.scalar(cut.item()))), *nobody())
    evidence = split_evidence(split, encoder.encode, settings.history.event_weights)
    cold = np.bincount(evidence.popularity_item, minlength=len(items)) == 0
    asked = dict(populations(events, items, cold, cut, horizon, settings))
    print(f"{len(split.events):,} events before {cut}, {len(items):,} items, {cold.sum():,} never sold before", flush=True)
    makers: list[Learner] = [WordPrototype(), TextPrototype(popularity_weight=0.0)]
    makers += [model(Path(name), encoder.fingerprint, cut) for name in sys.argv[5:]]
    for who, some in asked.items():
        report(who, some, {made.name: measure(made, evidence, some, cold) for made in makers}, cold)
        for made in makers[2:3]:
            for places in (1, 3):
                rule = settings.changed(explore_places=places)
                print(
                    f"  {made.name}, {places} drawn a list, {NIGHTS} nights: {drawn(made, evidence, some, cold, rule)}",
                    flush=True,
                )


def model(folder: Path, fingerprint: str, cut: np.datetime64) -> Learner:
    """Return the learner of a model folder, which has to be of the same encoder, and of nothing after the cut."""
    facts = json.loads((folder / "config.json").read_text())
    if facts["encoder"] != fingerprint or np.datetime64(facts["trained_until"]) >= cut.astype("datetime64[D]"):
        raise SystemExit(
            f"{folder} was trained with another encoder, or on days after the cut: train it on a split cut at {cut}."
        )
    return load(folder)


def read(folder: Path) -> tuple[pa.Table, pa.Table]:
    """Return purchases (or whatever is positive) of named users, oldest first, and the items without counted columns."""
    items = pq.read_table(folder / "items.parquet").to_pandas().drop(columns=list(COUNTED), errors="ignore")
    items = items.assign(item_id=items["item_id"].astype(str).astype(object)).sort_values("item_id")
    rows = pq.read_table(folder / "events.parquet").to_pandas()
    if "is_merchandise" in rows:
        rows = rows[rows["is_merchandise"] & (rows["event_type"] == "purchase") & (rows["quantity"] > 0)]
    rows = rows.dropna(subset=["user_id", "item_id", "ts"])
    texts = {name: rows[name].astype(str).astype(object) for name in ("user_id", "item_id", "event_type")}
    rows = rows.assign(**texts)[["user_id", "item_id", "event_type", "ts"]]
    rows = rows[rows["item_id"].isin(set(items["item_id"]))].sort_values(["ts", "user_id", "item_id", "event_type"])
    return pa.Table.from_pandas(rows, preserve_index=False), pa.Table.from_pandas(items, preserve_index=False)


def nobody() -> tuple[pa.Table, pa.Table]:
    """Return the two tables of a split that name whom to serve, empty: this benchmark asks otherwise."""
    return pa.table({"k": [], "user_id": [], "t0": []}), pa.table({"k": [], "user_id": [], "ts": [], "item_id": []})


def populations(
    events: pa.Table, items: pa.Table, cold: NDArray[np.bool_], cut: np.datetime64, horizon: int, settings: Settings
) -> Iterator[tuple[str, Asked]]:
    """Yield the users who were there before the cut, and those who came after it."""
    met = pd.DataFrame(
        {
            "person": pd.factorize(events["user_id"].to_numpy(), sort=True)[0],
            "item": item_rows(events["item_id"], items),
            "ts": moments(events["ts"]),
            "weight": type_weights(events["event_type"], settings.history.event_weights),
        }
    )
    first = met.drop_duplicates(["person", "item"])
    came = met.groupby("person")["ts"].transform("min")
    old = met[(met["ts"] < cut)].groupby("person").tail(LAST_EVENTS).drop_duplicates(["person", "item"], keep="last")
    yield "known users", asked_of([(old, pd.Series(cut, np.unique(old["person"])))], first, cold, horizon, settings)
    new = first[(came[first.index] >= cut) & (came[first.index] < cut + horizon * ONE_DAY)]
    parts = []
    for k in KS:
        some = new[new.groupby("person").cumcount() < k]
        sizes = some.groupby("person")["ts"].agg(["size", "max"])
        parts.append((some, sizes["max"][sizes["size"] == k]))
    yield f"new users, their first {', '.join(map(str, KS))} items", asked_of(parts, first, cold, horizon, settings)


def asked_of(
    parts: list[tuple[pd.DataFrame, pd.Series]], first: pd.DataFrame, cold: NDArray[np.bool_], horizon: int, settings: Settings
) -> Asked:
    """Make rows to be served of (entries, instant of each person's list); those who take no candidate are not asked."""
    entries, wanted, people, users = [], [], [], 0
    for some, t0 in ((some, t0) for some, t0 in parts if len(t0)):
        start = first["person"].map(t0)
        # a date without hours: what comes on the day of the list itself is neither known nor asked for
        query = first[(first["ts"] > start) & (first["ts"] <= start + horizon * ONE_DAY) & cold[first["item"]]]
        person = np.unique(query["person"])
        row = pd.Series(np.arange(users, users + len(person)), person)
        some = some[some["person"].isin(person)]
        age = (some["person"].map(t0) - some["ts"]).to_numpy() / ONE_DAY
        entries.append(some.assign(row=some["person"].map(row), age=age))
        wanted.append(query.assign(row=query["person"].map(row)))
        people.append(person)
        users += len(person)
    found, query = pd.concat(entries).sort_values(["row", "ts", "item"]), pd.concat(wanted)
    age = found["age"].to_numpy()
    support = Support(
        np.r_[0, np.cumsum(np.bincount(found["row"].astype(int), minlength=users))].astype(np.int64),
        found["item"].to_numpy(np.int32),
        np.ones(len(found), np.float32),
        (found["weight"] * np.exp2(-age / settings.history.half_life_days)).to_numpy(np.float32),
        age.astype(np.float32),
    )
    return Asked(support, Truth.from_pairs(query["row"].to_numpy(), query["item"].to_numpy(), users), np.concatenate(people))


def measure(learner: Learner, evidence: Evidence, asked: Asked, cold: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Return nDCG and recall at `K` among the candidates, and the share of the first `K` of all items that candidates take."""
    space, items = learner.items(evidence), len(cold)
    among, whole = [], []
    for start in range(0, len(asked.support), BLOCK):
        some = asked.support.users(start, min(start + BLOCK, len(asked.support)))
        scores = score_users(learner, space, some)
        barred = np.zeros(scores.shape, np.bool_)
        barred[np.repeat(np.arange(len(some)), some.k), some.item] = True
        none = np.zeros(items, np.int64)
        whole.append(rank(scores, barred, K, none, 0)[0])
        among.append(rank(scores, barred | ~cold[None, :], K, none, 0)[0])
    hit, taken = hits(np.concatenate(among), asked.truth), asked.truth.size
    return {
        "ndcg": ndcg(hit, taken, K),
        "recall": recall(hit, taken, K),
        "share": cold[np.concatenate(whole)].mean(axis=1),
    }


def drawn(learner: Learner, evidence: Evidence, asked: Asked, cold: NDArray[np.bool_], settings: Settings) -> str:
    """Draw candidates for `NIGHTS` nights as the nights do; what the logged rows tell of all candidates, beside the truth."""
    space, users, nobody_limits = learner.items(evidence), len(asked.support), np.full(len(cold), -1)
    barred = np.zeros((users, len(cold)), np.bool_)
    barred[np.repeat(np.arange(users), asked.support.k), asked.support.item] = True
    scores = np.concatenate(
        [score_users(learner, space, asked.support.users(n, min(n + BLOCK, users))) for n in range(0, users, BLOCK)]
    )
    item, points = rank(scores, barred, settings.lists.top_k, nobody_limits, 0)
    pool, names = Pool(scores, barred, cold, nobody_limits), np.array([str(row) for row in range(users)], object)
    taken = np.repeat(np.arange(users), asked.truth.size) * len(cold) + asked.truth.item
    parts, last = [], (evidence.until - ONE_DAY).astype("datetime64[D]")
    for night in range(NIGHTS):
        found = explore(item, points, pool, names, (last + night).item(), settings)
        user, place = np.nonzero(found.explored)
        parts.append((user, np.isin(user * len(cold) + found.item[user, place], taken) * 1.0, found.propensity[user, place]))
    user, reward, propensity = (np.concatenate(some) for some in zip(*parts, strict=True))
    rows = Logged(user, users, reward, propensity)
    eligible = (cold[None, :] & ~barred).sum()
    said = [f"{make.__name__} {_interval(make(rows, DRAWS, seed_of(7, make.__name__), 1), n)}" for make, n in ESTIMATES]
    truth = f"rate {asked.truth.size.sum() / eligible:.4f}, hits {asked.truth.size.mean():.2f}"
    return f"{'  '.join(said)}  truth: {truth}  effective rows {effective_rows(rows):.0f} of {len(user)}"


def _interval(found: Interval, nights: int) -> str:
    value, low, high = (float(number or 0) / nights for number in (found.value, found.low, found.high))
    return f"{value:.4f} [{low:.4f}, {high:.4f}]"


def by_chance(asked: Asked, cold: NDArray[np.bool_]) -> dict[str, NDArray[np.float64]]:
    """Return what any order by chance has on average: popularity, item kNN and whatever else counts sales know no better."""
    taken = asked.truth.size
    candidates = cold.sum() - np.bincount(np.repeat(np.arange(len(taken)), asked.support.k), cold[asked.support.item], len(taken))
    discount = 1 / np.log2(np.arange(2, K + 2))
    ideal = np.cumsum(discount)[np.minimum(taken, K) - 1]
    likely = taken / candidates
    return {"ndcg": likely * discount.sum() / ideal, "recall": likely * K / np.minimum(taken, K)}


def report(who: str, asked: Asked, found: dict[str, dict[str, NDArray[np.float64]]], cold: NDArray[np.bool_]) -> None:
    """Print means and intervals by person, and ratios to the better text prototype of the same draws."""
    people = len(np.unique(asked.person))
    print(f"{who}: {len(asked.person):,} lists of {people:,} persons, {asked.truth.size.sum():,} items taken", flush=True)
    chance = by_chance(asked, cold)
    print(f"  {'chance (and popularity)':<24} nDCG@{K} {chance['ndcg'].mean():.4f}  recall@{K} {chance['recall'].mean():.4f}")
    best = max(list(found)[:2], key=lambda name: float(found[name]["ndcg"].mean()))
    for name, values in found.items():
        text = "  ".join(f"{what} {shown(values[what], asked.person)}" for what in ("ndcg", "recall"))
        ratio = f"  {_ratio(values['ndcg'], found[best]['ndcg'], asked.person)} times {best}" if name != best else ""
        lead = f"  {_ratio(values['ndcg'], chance['ndcg'], asked.person)} times chance"
        print(f"  {name:<24} {text}  in whole lists {values['share'].mean():.4f}{lead}{ratio}", flush=True)


def shown(values: NDArray[np.float64], person: NDArray[np.int64]) -> str:
    """Return a mean with its interval, by draws of persons."""
    low, high = ends(_draws(np.stack([values, np.ones_like(values)]), person))
    return f"{values.mean():.4f} [{low:.4f}, {high:.4f}]"


def _ratio(ours: NDArray[np.float64], theirs: NDArray[np.float64], person: NDArray[np.int64]) -> str:
    low, high = ends(_draws(np.stack([ours, theirs]), person))
    return f"{ours.mean() / max(theirs.mean(), 1e-9):.2f} [{low:.2f}, {high:.2f}]"


def _draws(both: NDArray[np.float64], person: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return (draws,) sums of the first over sums of the second, of persons drawn with replacement."""
    _, row = np.unique(person, return_inverse=True)
    sums: Any = np.stack([np.bincount(row, values) for values in both], axis=1)
    drawn = sum_draws(sums, DRAWS, seed_of(7, "new items"))
    return np.asarray(drawn[:, 0] / np.maximum(drawn[:, 1], 1e-12))


if __name__ == "__main__":
    main()
