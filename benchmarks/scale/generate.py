"""A synthetic shop as landing folders: Zipf items, log-normal users, titles of words, three levels of categories.

    python -m benchmarks.scale.generate HOME USERS ITEMS EVENTS [--days 68] [--no-event-id]

A tenth of users and of items arrives during the log, a tenth of the events is anonymous, and one item of 200 is delivered
again each day. The same arguments give the same rows.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

FIRST: Final = date(2026, 1, 1)
DAYS: Final = 68
SEED: Final = 7
TYPES: Final = np.array(["view", "cart", "favourite", "purchase", "search", "return"], object)
SHARES: Final = (0.70, 0.12, 0.04, 0.10, 0.035, 0.005)
COUNTRIES: Final = ("DE", "FR", "GB", "ES", "IT", "NL", "PL", "AT", None)
TOPS, MIDS, LEAVES = 12, 8, 6
LEAVES_OF_TOP: Final = MIDS * LEAVES
WORDS: Final = 4000
LIKED_LEAF, LIKED_TOP = 0.5, 0.85
"""Of the events up to the first share fall in a leaf that the user likes, up to the second in its top category, others anywhere."""


@dataclass(frozen=True)
class Items:
    """The catalogue: (items,) each, and cumulated weights of sale by which an event draws its item."""

    ids: pa.Array
    titles: NDArray[np.object_]
    categories: pa.Array
    brands: NDArray[np.object_]
    price: Floats
    first_day: Ints
    query: NDArray[np.object_]
    cumulated: Floats
    tops: Ints
    leaves: Ints
    leaf_share: Floats


@dataclass(frozen=True)
class Users:
    """The accounts: (users,) each; ``likes`` (users, 3) leaves of the category tree."""

    ids: pa.Array
    country: pa.Array
    activity: Floats
    likes: Ints
    joined: Ints


def draw_items(rng: np.random.Generator, items: int, days: int) -> Items:
    """Draw a catalogue: categories of unequal size, popularity by Zipf's law dealt to them at random."""
    leaf_weight = rng.lognormal(0, 0.8, TOPS * LEAVES_OF_TOP)
    share = leaf_weight / leaf_weight.sum()
    leaf = np.sort(rng.choice(len(share), items, p=share))
    weight = rng.permutation((np.arange(items) + 5.0) ** -0.9)
    words = draw_words(rng, WORDS)
    leaf_words = rng.integers(0, 1500, (len(share), 12))
    parts = [
        leaf_words[leaf, rng.integers(0, 12, items)],
        leaf_words[leaf, rng.integers(0, 12, items)],
        1500 + np.minimum(rng.zipf(1.3, items), 2400),
        1500 + rng.integers(0, 2500, items),
    ]
    names = np.stack(parts, 1) % WORDS
    return Items(
        titles=np.array([" ".join(words[row]) for row in names], object),
        query=np.array([" ".join(words[row[:2]]) for row in names], object),
        brands=words[rng.integers(0, 400, items)],
        ids=pa.array([f"i{number:06d}" for number in range(items)]),
        categories=pa.array([_path(one) for one in leaf.tolist()], pa.list_(pa.string())),
        price=np.round(rng.lognormal(2.5, 0.9, items), 2),
        first_day=np.where(rng.random(items) < 0.9, 0, rng.integers(0, days, items)),
        cumulated=np.r_[0, np.cumsum(weight)],
        tops=np.searchsorted(leaf // LEAVES_OF_TOP, np.arange(TOPS + 1)),
        leaves=np.searchsorted(leaf, np.arange(len(share) + 1)),
        leaf_share=share,
    )


def _path(leaf: int) -> list[str]:
    return [f"top {leaf // LEAVES_OF_TOP}", f"mid {leaf // LEAVES}", f"leaf {leaf}"]


def draw_words(rng: np.random.Generator, count: int) -> NDArray[np.object_]:
    """Draw words of two or three syllables, each once."""
    endings = ("a", "e", "i", "o", "u", "an", "er", "el", "on")
    syllables = np.array([consonant + ending for consonant in "bdfgklmnprstvz" for ending in endings])
    found: dict[str, None] = {}
    while len(found) < count:
        found["".join(rng.choice(syllables, rng.integers(2, 4)))] = None
    return np.array(list(found), object)


def draw_users(rng: np.random.Generator, users: int, leaf_share: Floats, days: int) -> Users:
    """Draw accounts: log-normal activity, three liked leaves each, a tenth registers during the log."""
    return Users(
        activity=rng.lognormal(0, 1.3, users),
        likes=rng.choice(len(leaf_share), (users, 3), p=leaf_share),
        joined=np.where(rng.random(users) < 0.9, 0, rng.integers(1, days, users)),
        ids=pa.array([f"u{number:07d}" for number in range(users)]),
        country=pa.array([COUNTRIES[code] for code in rng.integers(0, len(COUNTRIES), users)]),
    )


def draw_events(rng: np.random.Generator, items: Items, users: Users, number: int, count: int, own_ids: bool) -> pa.Table:
    """Draw the events of one day (``number`` from 0), by users who have registered by then."""
    base = np.datetime64((FIRST + timedelta(days=number)).isoformat(), "us")
    there = np.flatnonzero(users.joined <= number)
    reach = np.cumsum(users.activity[there])
    user = there[np.minimum(np.searchsorted(reach, rng.random(count) * reach[-1]), len(there) - 1)]
    item = _drawn_items(rng, items, users.likes[user], count)
    kind = rng.choice(len(TYPES), count, p=SHARES)
    search = kind == 4
    anonymous = rng.random(count) < 0.1
    query = np.full(count, None, object)
    query[search] = items.query[item[search]]
    columns: dict[str, Any] = {"event_id": hex_ids(rng, count)} if own_ids else {}
    columns |= {
        "user_id": users.ids.take(pa.array(user, mask=anonymous)),
        "item_id": items.ids.take(pa.array(item, mask=search)),
        "event_type": pa.array(TYPES[kind], pa.string()),
        "ts": pa.array(base + rng.integers(0, 86_400_000_000, count).astype("timedelta64[us]"), pa.timestamp("us", "UTC")),
        "session_id": pa.array(rng.integers(0, 10**9, count)).cast(pa.string()),
        "query": pa.array(query, pa.string()),
        "price": pa.array(items.price[item]),
        "quantity": pa.array(np.ones(count, np.int64)),
        "platform": pa.array(np.array(["app", "web"], object)[(rng.random(count) < 0.6).astype(int)], pa.string()),
    }
    return pa.table(columns)


def _drawn_items(rng: np.random.Generator, items: Items, likes: Ints, count: int) -> Ints:
    """Draw an item an event: in a liked leaf, in its top category, or anywhere; each by the weights of sale."""
    how = rng.random(count)
    leaf = likes[np.arange(count), rng.integers(0, 3, count)]
    top = leaf // LEAVES_OF_TOP
    low, high = items.cumulated[items.leaves[leaf]], items.cumulated[items.leaves[leaf + 1]]
    low = np.where(how < LIKED_LEAF, low, items.cumulated[items.tops[top]])
    high = np.where(how < LIKED_LEAF, high, items.cumulated[items.tops[top + 1]])
    low = np.where(how > LIKED_TOP, 0, low)
    high = np.where(how > LIKED_TOP, items.cumulated[-1], high)
    found = np.searchsorted(items.cumulated, low + rng.random(count) * (high - low), side="right") - 1
    return np.minimum(found, len(items.ids) - 1)


def hex_ids(rng: np.random.Generator, count: int) -> pa.Array:
    """Draw ids of 32 hexadecimal digits."""
    data = rng.bytes(16 * count).hex().encode()
    offsets = np.arange(0, 32 * count + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(data))


def draw_delivery(rng: np.random.Generator, items: Items, number: int) -> pa.Table:
    """Return the items that are delivered on a day: those that are new, and one of 200 of the others anew."""
    new = np.flatnonzero(items.first_day == number)
    count = len(items.ids)
    changed = rng.choice(count, max(1, count // 200), replace=False) if number else new[:0]
    some = pa.array(np.union1d(new, changed[items.first_day[changed] <= number]))
    columns = {
        "item_id": items.ids.take(some),
        "title": pa.array(items.titles).take(some),
        "category": items.categories.take(some),
        "brand": pa.array(items.brands).take(some),
        "price": pa.array(items.price).take(some),
        "available": pa.array(rng.random(len(some)) < 0.98),
    }
    return pa.table(columns)


def draw_registrations(rng: np.random.Generator, users: Users, number: int) -> pa.Table:
    """Return the accounts of a day; those of the first day were made in the two years before."""
    base = np.datetime64((FIRST + timedelta(days=number)).isoformat(), "us")
    new = pa.array(np.flatnonzero(users.joined == number))
    if number:
        since = np.full(len(new), base) + rng.integers(0, 86_000, len(new)).astype("timedelta64[s]")
    else:
        since = base - rng.integers(0, 2 * 365 * 86_400, len(new)).astype("timedelta64[s]")
    registered = pa.array(since.astype("datetime64[us]"), pa.timestamp("us", "UTC"))
    return pa.table({"user_id": users.ids.take(new), "registered_at": registered, "country": users.country.take(new)})


def land(folder: Path, rows: pa.Table) -> None:
    """Drop a delivery as a shop would; a day without rows has no file."""
    folder.mkdir(parents=True, exist_ok=True)
    if rows.num_rows:
        pq.write_table(rows, folder / "part-0.parquet", compression="snappy")
    (folder / "_SUCCESS").touch()


def generate(home: Path, users: int, items: int, events: int, days: int = DAYS, own_ids: bool = True) -> None:
    """Lay down the landing folders of a shop.

    Parameters
    ----------
    home
        Home of recpipe; deliveries land in its folder ``landing``.
    users, items, events
        How many there are at the end of the last day.
    days
        Days of the log.
    own_ids
        Whether events are delivered with ids.
    """
    rng = np.random.default_rng(SEED)
    catalogue = draw_items(rng, items, days)
    accounts = draw_users(rng, users, catalogue.leaf_share, days)
    for number in range(days):
        day = f"day={FIRST + timedelta(days=number)}"
        land(home / "landing" / "events" / day, draw_events(rng, catalogue, accounts, number, events // days, own_ids))
        land(home / "landing" / "items" / day, draw_delivery(rng, catalogue, number))
        land(home / "landing" / "users" / day, draw_registrations(rng, accounts, number))


def main() -> None:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale.generate", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("home", type=Path)
    for name in ("users", "items", "events"):
        parser.add_argument(name, type=int)
    parser.add_argument("--days", type=int, default=DAYS)
    parser.add_argument("--no-event-id", action="store_true", help="events are delivered without ids")
    asked = parser.parse_args()
    generate(asked.home, asked.users, asked.items, asked.events, asked.days, not asked.no_event_id)


if __name__ == "__main__":
    main()
