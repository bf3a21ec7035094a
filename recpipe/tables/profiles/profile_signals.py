"""The families of tags that a user may have, each from a kind of evidence: interests, prices, rhythm, searches and reviews."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from typing import Any, Final

import numpy as np

from recpipe.config.settings import Settings
from recpipe.dataset.catalogue_reader import item_texts
from recpipe.tables.profiles.preferences import Evidence, Family, Floats, Ints, Keys, family_of
from recpipe.tables.profiles.profile_events import Catalogue, Happened, met
from recpipe.text.encoder import load_encoder
from recpipe.text.queries import is_personal

INTERESTS: Final = ("category", "brand", "topic")
BANDS: Final = ("low", "middle", "high")
PEERS: Final = 10
"""Items with a price that a category needs, to say what is dear in it; else the category above it counts."""
GAPS: Final = ((2, "every few days"), (10, "weekly"), (45, "monthly"), (1 << 30, "seldom"))
"""Longest gap in days between two days on which a user came, and what it is called."""
PARTS: Final = ((5, "night"), (11, "morning"), (17, "afternoon"), (22, "evening"), (24, "night"))
"""Hours of the day before which a part of it ends."""
SEARCH_WEIGHT: Final = 0.3
"""What a search counts as evidence of an interest: more than a view, less than a cart."""
NEAR_ITEMS, NEAR, NEAR_SHARE = 20, 0.35, 0.5
"""Items closest to a search, the cosine they need, and the share of them that makes their tags the search's."""
QUERIES_AT_ONCE: Final = 256
TOPIC_ITEMS, TOPIC_SHARE = 3, 0.2
STARS_APART: Final = 0.5
WORD: Final = re.compile(r"[^\W\d_]+")
EMPTY_WORDS: Final = frozenset({"all", "and", "for", "from", "not", "the", "with", "without", "your"})
"""Words of titles that say nothing of a thing; those of one or two letters are left out anyway."""

Shares = dict[str, float]
"""How far a piece of evidence counts for each tag."""


def families(settings: Settings, happened: Happened) -> list[Family]:
    """Return every family of tags of which there is evidence on a day."""
    users = len(happened.user_ids)
    items, prices = _items_met(happened, met(happened))
    queries, searches = _searches(happened)
    tags = interests(happened.items)
    near = _near(settings, happened.items, queries, tags)
    found = []
    for kind in INTERESTS:
        rows: list[Shares] = [dict.fromkeys(some, 1.0) for some in tags[kind]]
        asked = _moved(searches, len(rows), SEARCH_WEIGHT)
        found.append(_family(kind, kind, rows + near[kind], _joined(items, asked), users))
    found.append(_prices(happened.items, tags, items, prices, users))
    found += _rhythm(happened, users)
    found.append(_family("search", "search", [{f"search:{query}": 1.0} for query in queries], searches, users))
    found += _reviews(happened, users)
    return [one for one in found if len(one.evidence.user)]


def without_texts(happened: Happened) -> list[Family]:
    """Return the families of interests, prices and rhythm by what was met alone: no search and no review is read."""
    users, tags = len(happened.user_ids), interests(happened.items)
    items, prices = _items_met(happened, met(happened))
    found = [_family(kind, kind, [dict.fromkeys(some, 1.0) for some in tags[kind]], items, users) for kind in INTERESTS]
    return [*found, _prices(happened.items, tags, items, prices, users), *_rhythm(happened, users)]


def _items_met(happened: Happened, kept: Any) -> tuple[Evidence, Floats]:
    """Return what was met as evidence whose key is the item, and its prices."""
    user, item, dates = (kept[name].to_numpy(np.int64) for name in ("user", "item", "date"))
    amount = kept["weight"].to_numpy(np.float64) * happened.decayed(dates)
    return Evidence(user, item, item, dates, amount), kept["price"].to_numpy(np.float64)


def _family(kind: str, says: str, rows: list[Shares], evidence: Evidence, users: int) -> Family:
    """Return a family whose tags are named by the rows of its keys."""
    tags = sorted({tag for row in rows for tag in row})
    code = {tag: place for place, tag in enumerate(tags)}
    keys = Keys.of([{code[tag]: share for tag, share in row.items()} for row in rows])
    return family_of(kind, says, tags, keys, evidence, users)


def _joined(one: Evidence, other: Evidence) -> Evidence:
    """Return the evidence of both by user, each in its order."""
    names = ("user", "key", "item", "date", "amount")
    both = Evidence(*(np.concatenate([getattr(one, name), getattr(other, name)]) for name in names))
    return both.take(np.argsort(both.user, kind="stable"))


def _moved(one: Evidence, by: int, weight: float) -> Evidence:
    return replace(one, key=one.key + by, amount=one.amount * weight)


# --- interests ----------------------------------------------------------------------------------------------------


def interests(items: Catalogue) -> dict[str, list[list[str]]]:
    """Return the tags of every item: each category that it stands in, its brand, and the words of its title.

    A word is a topic where it stands in the titles of at least `TOPIC_ITEMS` items, and at most of the share `TOPIC_SHARE`.
    """
    categories = [sorted({">".join(path[:depth]) for depth in range(1, len(path) + 1)}) for path in items.categories]
    words = [words_of(title) for title in items.titles]
    known = Counter(word for some in words for word in some)
    most = max(TOPIC_SHARE * len(words), TOPIC_ITEMS)
    topics = [sorted(word for word in some if TOPIC_ITEMS <= known[word] <= most) for some in words]
    named = {"category": categories, "brand": [[brand] if brand else [] for brand in items.brands], "topic": topics}
    return {kind: [[f"{kind}:{name}" for name in some] for some in rows] for kind, rows in named.items()}


def words_of(text: str) -> set[str]:
    """Return the words of a text in lower case; of scripts without spaces, pairs of signs.

    Examples
    --------
    >>> sorted(words_of("SET OF 3 Red mugs"))
    ['mugs', 'red', 'set']
    """
    found: set[str] = set()
    for word in WORD.findall(text.lower()):
        if ord(word[0]) > 0x2E7F:
            found.update(word[at : at + 2] for at in range(len(word) - 1))
        elif len(word) > 2 and word not in EMPTY_WORDS:
            found.add(word)
    return found


def _searches(happened: Happened) -> tuple[list[str], Evidence]:
    """Return the distinct search texts, in lower case and single spaces, and who searched for them, once a day.

    Texts that may hold more of a person than a wish (an address, a long number) are left out.
    """
    asked = happened.events[(happened.events["event_type"] == "search") & happened.events["query"].notna()]
    asked = asked.assign(query=asked["query"].astype(str).str.lower().str.split().str.join(" "))
    kept = np.array([query != "" and not is_personal(query) for query in asked["query"]], np.bool_)
    asked = asked[kept].drop_duplicates(["user", "date", "query"])
    asked = asked.sort_values(["user", "date", "query"], kind="stable")
    queries = sorted(asked["query"].unique())
    place = {query: number for number, query in enumerate(queries)}
    dates = asked["date"].to_numpy(np.int64)
    key = np.array([place[query] for query in asked["query"]], np.int64)
    return queries, Evidence(asked["user"].to_numpy(np.int64), key, np.full(len(key), -1), dates, happened.decayed(dates))


def _near(settings: Settings, items: Catalogue, queries: list[str], tags: dict[str, list[list[str]]]) -> dict[str, list[Shares]]:
    """Return what searches say of interests: tags that most of the items closest in meaning share, and topics that they name."""
    found: dict[str, list[Shares]] = {kind: [{} for _ in queries] for kind in tags}
    if not queries or not len(items.ids):
        return found
    encoder = load_encoder(settings.text.encoder, settings.places.work / "encoder")
    vectors = encoder.encode(item_texts(list(items.titles), items.categories, list(items.brands)))
    asked = encoder.encode(queries)
    topics = {tag for some in tags["topic"] for tag in some}
    for start in range(0, len(queries), QUERIES_AT_ONCE):
        cosines = np.round(asked[start : start + QUERIES_AT_ONCE] @ vectors.T, 6)
        for at, row in enumerate(cosines, start):
            closest = np.argsort(-row, kind="stable")[:NEAR_ITEMS]
            closest = closest[row[closest] >= NEAR]
            for kind, of_item in tags.items():
                counts = Counter(tag for item in closest for tag in of_item[item])
                found[kind][at] = {t: n / len(closest) for t, n in sorted(counts.items()) if n >= NEAR_SHARE * len(closest)}
            said = sorted(f"topic:{word}" for word in words_of(queries[at]))
            found["topic"][at].update((tag, 1.0) for tag in said if tag in topics)
    return found


# --- prices -------------------------------------------------------------------------------------------------------


def _prices(items: Catalogue, tags: dict[str, list[list[str]]], met_items: Evidence, price: Floats, users: int) -> Family:
    place = percentiles(items, tags, met_items.item, price)
    known = ~np.isnan(place)
    band = np.minimum((np.where(known, place, 0.0) * len(BANDS)).astype(np.int64), len(BANDS) - 1)
    rows: list[Shares] = [{f"price:{name}": 1.0} for name in BANDS]
    evidence = replace(met_items, key=band).take(known)
    return _family("price", "price", rows, evidence, users)


def percentiles(items: Catalogue, tags: dict[str, list[list[str]]], item: Ints, price: Floats) -> Floats:
    """Return how dear things are among their like: the share of these that cost less, half of equals; NaN where it is not known.

    An item's like are those of its narrowest category that holds `PEERS` items with a price; of an item without a category, those
    that share the rarest word of its title of which there are as many; failing these, the whole shop.
    """
    place, values = _peers(items, tags)
    group = place[item]
    found = np.full(len(item), np.nan)
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        if len(rows) and group[rows[0]] >= 0:
            prices = values[group[rows[0]]]
            below, upto = (np.searchsorted(prices, price[rows], "left"), np.searchsorted(prices, price[rows], "right"))
            found[rows] = np.where(np.isnan(price[rows]), np.nan, (below + upto) / (2 * len(prices)))
    return found


def _peers(items: Catalogue, tags: dict[str, list[list[str]]]) -> tuple[Ints, list[Floats]]:
    """Return (items,) the group of each item's like, −1 for none, and the prices of each group, sorted."""
    known = Counter(word for some in tags["topic"] for word in some)
    names = [
        [*sorted(path, key=lambda name: (-len(name), name)), ""]
        if path
        else [*sorted(words, key=lambda word: (known[word], word)), ""]
        for path, words in zip(tags["category"], tags["topic"], strict=True)
    ]  # of a path, the longer name is the narrower one
    prices: dict[str, list[float]] = {}
    for at in np.flatnonzero(~np.isnan(items.prices)):
        for name in names[at]:
            prices.setdefault(name, []).append(items.prices[at])
    enough = sorted(name for name, values in prices.items() if len(values) >= PEERS)
    code = {name: number for number, name in enumerate(enough)}
    place = [next((code[name] for name in some if name in code), -1) for some in names]
    return np.array(place, np.int64), [np.sort(np.array(prices[name])) for name in enough]


# --- rhythm -------------------------------------------------------------------------------------------------------


def _rhythm(happened: Happened, users: int) -> list[Family]:
    """Return when users come: days of the week, hours of the day, and days between two days on which they came."""
    came = happened.events[(happened.events["weight"] > 0) | (happened.events["event_type"] == "search")]
    days = came.drop_duplicates(["user", "date"]).sort_values(["user", "date"])
    user, date = days["user"].to_numpy(np.int64), days["date"].to_numpy(np.int64)
    ends = [end for end, _ in PARTS]
    hours = came[came["hour"] >= 0]
    hours = hours.assign(part=np.searchsorted(ends, hours["hour"].to_numpy(np.int64), side="right") % (len(PARTS) - 1))
    hours = hours.drop_duplicates(["user", "date", "part"]).sort_values(["user", "date", "part"])
    again = np.flatnonzero(user[1:] == user[:-1]) + 1
    gap = np.searchsorted([most for most, _ in GAPS], date[again] - date[again - 1])

    def family(says: str, names: list[str], user: Ints, key: Ints, date: Ints) -> Family:
        evidence = Evidence(user, key.astype(np.int64), np.full(len(user), -1), date, happened.decayed(date))
        return _family("rhythm", says, [{f"rhythm:{name}": 1.0} for name in names], evidence, users)

    weekend = (date + 6) % 7 >= 5  # ordinal 1 was a Monday
    times = (hours[name].to_numpy(np.int64) for name in ("user", "part", "date"))
    return [
        family("weekday", ["weekday", "weekend"], user, weekend, date),
        family("hour", [name for _, name in PARTS[:-1]], *times),
        family("gap", [name for _, name in GAPS], user[again], gap, date[again]),
    ]


# --- reviews ------------------------------------------------------------------------------------------------------


def _reviews(happened: Happened, users: int) -> list[Family]:
    """Return how users rate beside others, and what their reviews speak of."""
    wrote = happened.events[(happened.events["event_type"] == "review") & (happened.events["item"] >= 0)]
    rated = wrote[wrote["rating"].notna()]
    names = ("picky", "as others", "generous")
    apart = rated["rating"].to_numpy(np.float64) - _others(rated)
    side = np.where(apart <= -STARS_APART, 0, np.where(apart >= STARS_APART, 2, 1))
    known = ~np.isnan(apart)
    spoke = wrote[wrote["event_id"].isin(list(happened.aspects))]
    said = [_said(happened.aspects[event]) for event in spoke["event_id"]]
    return [
        _family("review", "rating", [{f"review:{name}": 1.0} for name in names], _of(happened, rated[known], side[known]), users),
        _family("review", "aspect", said, _of(happened, spoke, np.arange(len(spoke))), users),
    ]


def _said(aspects: list[tuple[str, str | None]]) -> Shares:
    complained = [f"review:complains of {name}" for name, polarity in aspects if polarity == "negative"]
    return dict.fromkeys([*(f"review:minds {name}" for name, _ in aspects), *complained], 1.0)


def _of(happened: Happened, rows: Any, key: Any) -> Evidence:
    user, item, dates = (rows[name].to_numpy(np.int64) for name in ("user", "item", "date"))
    return Evidence(user, np.asarray(key, np.int64), item, dates, happened.decayed(dates))


def _others(rated: Any) -> Floats:
    """Return the mean rating that other users gave the item of each review; of all items, where none did; NaN without others."""
    found = np.full(len(rated), np.nan)
    for by in ([], ["item"]):  # the narrower one wins
        groups = rated.assign(all=0).groupby([*by, "all"])["rating"]
        own = rated.assign(all=0).groupby([*by, "all", "user"])["rating"]
        rest = groups.transform("size") - own.transform("size")
        mean = (groups.transform("sum") - own.transform("sum")) / rest.where(rest > 0)
        found = np.where(mean.notna(), mean.astype(np.float64), found)
    return np.asarray(found, np.float64)
