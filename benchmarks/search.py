"""Known-item search on catalogues with held-out wording: ours against what is simpler.

``python -m benchmarks.search FOLDER [PART …]``: FOLDER holds amazon2014_beauty and online_retail_ii; parts are `PARTS`, all if none is
named. Each query is made from wording that the catalogue does not hold for its item, or from a part of it, and has that one
item as its target; every available item is ranked. How the queries are made stands at each function; all are drawn with
`SEED`. ``fit`` learns, with `FIT_SEED` and on every second item, on Online Retail the weights that `recpipe.tables.search.search_learning.PRIOR` holds; Beauty is never fitted on.
"""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recpipe.metrics.intervals import ends, mean_draws
from recpipe.tables.search.search_answers import FEATURES, Ask, answer, ask, eligible, features
from recpipe.tables.search.search_catalogue import Goods, make_goods, wish_for
from recpipe.tables.search.search_learning import PRIOR, choice, fit
from recpipe.tables.search.search_names import Named
from recpipe.tables.search.search_words import SHIPPED, SearchWords, _read
from recpipe.tables.search.wishes import Wish
from recpipe.text.encoder import load_encoder
from recpipe.text.lexical import fold, words_of
from recpipe.text.queries import normalise

SEED, FIT_SEED, QUERIES, K, DRAWS, BLOCK, DRAWS_A_TITLE = 11, 7, 1500, 10, 2000, 64, 5
CUT = np.datetime64("2013-09-01")
"""Popularity on Beauty is counted before it; on Online Retail before 2011-09-01."""
WAYS = {"BM25 alone": (1, 0, 0, 0), "trigrams alone": (0, 1, 0, 0), "encoder alone": (0, 0, 1, 0), "popularity": (0, 0, 0, 1)}
PARTS = ("keywords", "category", "typos", "variants", "price", "fit")
PRICES = (
    "{words} under £{high:g}", "{words} unter {high:g} Euro", "{words} moins de {high:g} €", "{words} {high:g}元以下", "{words} < {high:g}",
    "{low:g}-{high:g} € {words}", "{words} between {low:g} and {high:g}", "{words} max £{high:.2f}", "£{high:g} or less {words}",
    "{words} bis zu {high:g}€",
)  # fmt: skip


@dataclass(frozen=True)
class Query:
    """A text, the place of its item, and what it should be read as: the limits of the price, and a category."""

    text: str
    target: int
    low: float | None = None
    high: float | None = None
    category: tuple[str, ...] = ()


def main() -> None:
    """Measure the parts, and print one line a way."""
    folder, parts = Path(sys.argv[1]), sys.argv[2:] or [part for part in PARTS if part != "fit"]
    words = _read(SHIPPED, SHIPPED.read_bytes())
    work = Path(tempfile.gettempdir()) / "recpipe-benchmark-encoder"
    shops: dict[str, tuple[Goods, pd.DataFrame]] = {}
    for part in parts:
        shop = "beauty" if part in ("keywords", "category", "typos") else "retail"
        if shop not in shops:
            shops[shop] = (read_beauty if shop == "beauty" else read_retail)(folder, words, work)
        goods, items = shops[shop]
        made = MAKERS[part](goods, items, folder)
        print(
            f"{part}: {len(made)} queries, {len(goods):,} items; such as " + "; ".join(query.text for query in made[:4]),
            flush=True,
        )
        (learn if part == "fit" else measure)(goods, made, words, work)


# --- catalogues ---------------------------------------------------------------------------------------------------


def read_beauty(folder: Path, words: SearchWords, work: Path) -> tuple[Goods, pd.DataFrame]:
    """Return Beauty: titles and categories; it has neither prices nor brands."""
    items = pd.read_parquet(folder / "amazon2014_beauty" / "items.parquet").sort_values("item_id", ignore_index=True)
    events = pd.read_parquet(folder / "amazon2014_beauty" / "events.parquet", columns=["item_id", "ts"])
    sold = events[events["ts"] < CUT]["item_id"].value_counts()
    paths = [tuple(path.split(" > ")) for path in items["category_path"]]
    texts = [" ".join([title, *path]) for title, path in zip(items["title"], paths, strict=True)]
    return _goods(items, paths, texts, np.full(len(items), np.nan), sold, words, work), items


def read_retail(folder: Path, words: SearchWords, work: Path) -> tuple[Goods, pd.DataFrame]:
    """Return Online Retail: titles and prices; it has neither categories nor brands."""
    items = pd.read_parquet(folder / "online_retail_ii" / "items.parquet")
    items = items[items["is_merchandise"] & items["title"].notna()].sort_values("item_id", ignore_index=True)
    events = pd.read_parquet(folder / "online_retail_ii" / "events.parquet", columns=["item_id", "ts", "event_type"])
    sold = events[(events["ts"] < np.datetime64("2011-09-01")) & (events["event_type"] == "purchase")]["item_id"].value_counts()
    return _goods(items, [()] * len(items), list(items["title"]), items["price"].to_numpy(np.float64), sold, words, work), items


def _goods(
    items: pd.DataFrame, paths: list[Any], texts: list[str], price: NDArray[np.float64], sold: Any, words: SearchWords, work: Path
) -> Goods:
    count = np.log1p(sold.reindex(items["item_id"]).fillna(0).to_numpy(np.float64))
    vectors = load_encoder("", work).encode(texts)
    return make_goods(
        items["item_id"].to_numpy(object), np.ones(len(items), bool), price, paths, [""] * len(items), list(items["title"]), texts,
        vectors, count / max(count.max(), 1e-9), words,
    )  # fmt: skip


# --- queries ------------------------------------------------------------------------------------------------------


def keyword_queries(goods: Goods, items: pd.DataFrame, folder: Path) -> list[Query]:
    """Return queries from another seller's wording: up to four words of ``title_keywords``.

    The last word, which may be cut off, and the words of the item's category are left out; at least two stay, of which one
    stands in the title and one does not.
    """
    found = []
    for row, (title, keywords) in enumerate(zip(items["title"], items["title_keywords"], strict=True)):
        skip = {"amp", *(word for level in goods.categories[row] for word in words_of(fold(level)))}
        kept = [word for word in keywords.split()[:-1] if len(word) > 2 and words_of(word)[0] not in skip][:4]
        held = set(words_of(fold(title)))
        inside = sum(words_of(word)[0] in held for word in kept)
        if len(kept) > 1 and 0 < inside < len(kept):
            found.append(Query(" ".join(kept), row))
    return _some(found)


def category_queries(goods: Goods, items: pd.DataFrame, folder: Path) -> list[Query]:
    """Return queries of two words of the title, drawn, and the name of the item's last category in the singular."""
    rng, found = np.random.default_rng(SEED), []
    for row, title in enumerate(items["title"]):
        name = goods.categories[row][-1]
        left = [word for word in _plain(title) if words_of(word)[0] not in words_of(fold(name))]
        if len(left) > 2 and re.fullmatch(r"[A-Za-z ]+", name):
            two = [left[at] for at in np.sort(rng.choice(len(left), 2, replace=False))]
            found.append(Query(" ".join([*two, *words_of(fold(name))]), row, category=goods.categories[row]))
    return _some(found)


def typo_queries(goods: Goods, items: pd.DataFrame, folder: Path) -> list[Query]:
    """Return queries of three words of the title, drawn, each of five letters and more with two neighbours swapped or one lost."""
    rng, found = np.random.default_rng(SEED), []
    for row, title in enumerate(items["title"]):
        left = _plain(title)
        if len(left) > 3:
            three = [left[at] for at in np.sort(rng.choice(len(left), 3, replace=False))]
            found.append(Query(" ".join(_misspelt(word, rng) for word in three), row))
    return _some(found)


def _misspelt(word: str, rng: np.random.Generator) -> str:
    if len(word) < 5:
        return word
    at = int(rng.integers(1, len(word) - 2))
    return word[:at] + word[at + 1] + word[at] + word[at + 2 :] if rng.random() < 0.5 else word[:at] + word[at + 1 :]


def variant_queries(goods: Goods, items: pd.DataFrame, folder: Path, half: int = 1, seed: int = SEED) -> list[Query]:
    """Return queries from other titles that orders gave the same item: up to four words of it, drawn.

    One of them stands in the catalogue's title and one does not; titles in capitals alone, of two lines of orders and more. Of
    each second item: those of the other half are what ``fit`` learns from.
    """
    lines = pd.read_parquet(folder / "online_retail_ii" / "events.parquet", columns=["item_id", "title"]).dropna()
    counts = lines.value_counts().reset_index(name="lines")
    counts = counts.merge(pd.DataFrame({"item_id": items["item_id"], "row": np.arange(len(items)), "main": items["title"]}))
    counts = counts[
        (counts["lines"] > 1) & (counts["title"] != counts["main"]) & (counts["title"] == counts["title"].str.upper())
    ]
    counts = counts[counts["row"] % 2 == half].sort_values(["item_id", "title"])
    rng, found = np.random.default_rng(seed), []
    for row, title, main in zip(*(counts[name].repeat(DRAWS_A_TITLE) for name in ("row", "title", "main")), strict=True):
        left, held = _plain(title), set(words_of(fold(main)))
        some = [left[one] for one in np.sort(rng.choice(len(left), min(len(left), 4), replace=False))]
        if 0 < sum(words_of(word)[0] in held for word in some) < len(some):
            found.append(Query(" ".join(some), int(row)))
    return _some(list(dict.fromkeys(found)), seed)


def fit_queries(goods: Goods, items: pd.DataFrame, folder: Path) -> list[Query]:
    """Return queries as `variant_queries` and `price_queries` make them, of the other half of the items."""
    found = variant_queries(goods, items, folder, 0, FIT_SEED)
    return found + price_queries(goods, items, folder, 0, FIT_SEED)[: len(found)]


def price_queries(goods: Goods, items: pd.DataFrame, folder: Path, half: int = 1, seed: int = SEED) -> list[Query]:
    """Return queries of two words of the title, drawn, with a limit of the price in one of ten forms: the item's, rounded up."""
    rng, found = np.random.default_rng(seed), []
    for row, title in enumerate(items["title"]):
        left = [word for word in _plain(title) if not any(sign.isdigit() for sign in word)]
        if len(left) > 2 and goods.price[row] > 0.2 and row % 2 == half:
            two = " ".join(left[at] for at in np.sort(rng.choice(len(left), 2, replace=False)))
            form, high = PRICES[int(rng.integers(len(PRICES)))], float(np.ceil(goods.price[row] * 1.1))
            low = float(np.floor(goods.price[row] * 0.5)) if "{low" in form else None
            found.append(Query(form.format(words=two, low=low, high=high), row, low, high))
    return _some(found, seed)


def _plain(title: str) -> list[str]:
    """Return the distinct words of a title of three letters and more that are no glue."""
    words = [word for word in re.findall(r"[^\W\d_]+", fold(title)) if len(word) > 2]
    return [word for word in dict.fromkeys(words) if word not in ("the", "and", "for", "with", "from")]


def _some(found: list[Query], seed: int = SEED) -> list[Query]:
    if len(found) <= QUERIES:
        return found
    return [found[at] for at in np.sort(np.random.default_rng(seed).choice(len(found), QUERIES, replace=False))]


MAKERS: dict[str, Callable[[Goods, pd.DataFrame, Path], list[Query]]] = {
    "keywords": keyword_queries, "category": category_queries, "typos": typo_queries, "variants": variant_queries,
    "price": price_queries, "fit": fit_queries,
}  # fmt: skip


# --- measures -----------------------------------------------------------------------------------------------------


def _blocks(goods: Goods, made: Sequence[Query], words: SearchWords, work: Path) -> Any:
    encoder = load_encoder("", work)
    for start in range(0, len(made), BLOCK):
        some = made[start : start + BLOCK]
        wishes = [wish_for(goods, normalise(query.text), words) for query in some]
        yield some, wishes, features(goods, wishes, encoder.encode([wish.rest for wish in wishes]))


def measure(goods: Goods, made: Sequence[Query], words: SearchWords, work: Path) -> None:
    """Print MRR and hit@10 of each way, and how many of the listed items lie within what the query says."""
    ranks: dict[str, list[int]] = {}
    inside: dict[str, list[float]] = {}
    read_right = relaxed = 0
    for some, wishes, found in _blocks(goods, made, words, work):
        asked, free = ask(goods, wishes, words), [_unfiltered(goods, wish) for wish in wishes]
        read_right += sum((wish.low, wish.high) == (query.low, query.high) for wish, query in zip(wishes, some, strict=True))
        whole = answer(goods, asked, found, np.array(PRIOR), len(goods))
        relaxed += sum(bool(one.relaxed) for one in whole)
        lists = {"recpipe": [one.rows for one in whole]}
        lists["recpipe, no filters"] = [one.rows for one in answer(goods, free, found, np.array(PRIOR), len(goods))]
        lists |= {way: _order(np.tensordot(np.array(weights, float), found, 1)) for way, weights in WAYS.items()}
        lists["reciprocal rank fusion"] = _order(_fused(found))
        for way, listed in lists.items():
            for query, rows in zip(some, listed, strict=True):
                place = np.flatnonzero(rows == query.target)
                ranks.setdefault(way, []).append(int(place[0]) + 1 if len(place) else 0)
                inside.setdefault(way, []).append(_within(goods, query, rows[:K]))
    print(f"limits of the price read right: {read_right / len(made):.4f}; a filter relaxed: {relaxed / len(made):.4f}")
    report(ranks, inside, any(query.high is not None or query.category for query in made))


def _unfiltered(goods: Goods, wish: Wish) -> Ask:
    bare = replace(wish, low=None, high=None, cheap=False, without=(), named="")
    return Ask(bare, Named(), {}, np.ones(len(goods), bool))


def _order(scores: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    return [np.argsort(-row, kind="stable") for row in np.round(scores, 6)]


def _fused(found: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return reciprocal ranks of words and meaning, added (Cormack, Clarke and Buettcher 2009, k = 60)."""
    place = np.argsort(np.argsort(-found[[0, 2]], axis=2, kind="stable"), axis=2)
    return np.asarray((1 / (61 + place)).sum(0))


def _within(goods: Goods, query: Query, rows: NDArray[np.intp]) -> float:
    """Return the share of the first items that lie within the limits, and within the category, that a query was made with."""
    if not len(rows):
        return float("nan")
    good = np.ones(len(rows), bool)
    if query.high is not None:
        good &= (goods.price[rows] <= query.high) & (goods.price[rows] >= (query.low or 0))
    if query.category:
        good &= np.array(
            [goods.categories[row][-1] == query.category[-1] or query.category[-1] in goods.categories[row] for row in rows]
        )
    return float(good.mean())


def report(ranks: dict[str, list[int]], inside: dict[str, list[float]], filters: bool) -> None:
    """Print one line a way, with intervals by draws of queries."""
    for way, found in ranks.items():
        place = np.array(found)
        mrr, hit = np.where(place > 0, 1 / np.maximum(place, 1), 0.0), (place > 0) & (place <= K)
        parts = []
        for name, value in (("MRR", mrr), (f"hit@{K}", hit.astype(float))):
            low, high = ends(mean_draws(value, DRAWS, np.random.default_rng(SEED)))
            parts.append(f"{name} {value.mean():.3f} [{low:.3f}, {high:.3f}]")
        print(f"  {way:<24} {'  '.join(parts)}" + (f"  inside {np.nanmean(inside[way]):.3f}" if filters else ""), flush=True)


def learn(goods: Goods, made: Sequence[Query], words: SearchWords, work: Path) -> None:
    """Print the weights that are likeliest on some queries, drawn to nothing but zero a little."""
    choices = []
    for some, wishes, found in _blocks(goods, made, words, work):
        for at, one in enumerate(ask(goods, wishes, words)):
            choices += choice(found[:, at], eligible(goods, one, found[:, at]), some[at].target)
    print(
        dict(zip(FEATURES, fit(choices, prior=[0.0] * len(FEATURES), strength=1e-3), strict=True)), f"from {len(choices)} choices"
    )


if __name__ == "__main__":
    main()
