"""A small shop cut in the form of the benchmark: items of five kinds, users who like one kind, and users who come later."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recpipe.text.cache import VectorCache
from recpipe.text.encoder import load_encoder

CUTOFF = pd.Timestamp("2011-03-01")
KINDS = ("mug", "garland", "lantern", "blanket", "box")
ITEMS, UNSOLD = 70, 5


def _items() -> pd.DataFrame:
    rows = [(f"i{n:03d}", f"{KINDS[n % 5]} {n}", f"home > {KINDS[n % 5]}", 1.5) for n in range(ITEMS)]
    return pd.DataFrame(rows, columns=["item_id", "title", "category_path", "price"])


def _events(random: np.random.Generator) -> pd.DataFrame:
    rows = []
    for user in range(90):
        born = random.uniform(7, 140)
        for _ in range(random.integers(4, 30)):
            kind = user % 5 if random.random() < 0.9 else random.integers(5)
            item = 5 * random.integers((ITEMS - UNSOLD) // 5) + kind
            rows.append(
                (f"u{user}", f"i{item:03d}", "purchase", CUTOFF - pd.Timedelta(seconds=int(random.uniform(60, born * 86_400))))
            )
    return pd.DataFrame(rows, columns=["user_id", "item_id", "event_type", "ts"]).sort_values("ts", kind="stable")


def _rows(random: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame]:
    users, support = [], []
    for k in (0, 1, 3):
        for number in range(12):
            user = hashlib.sha256(f"{k}/{number}".encode()).hexdigest()[:16]
            t0 = CUTOFF + pd.Timedelta(hours=int(random.integers(0, 1500)))
            users.append((k, user, t0))
            items = 5 * random.permutation((ITEMS - UNSOLD) // 5)[:k] + number % 5
            support += [(k, user, p, f"i{item:03d}", t0 - pd.Timedelta(hours=k - 1 - p)) for p, item in enumerate(items)]
    columns = ["k", "user_id", "position", "item_id", "ts"]
    return pd.DataFrame(users, columns=["k", "user_id", "t0"]), pd.DataFrame(support, columns=columns)


@pytest.fixture
def tables() -> dict[str, pd.DataFrame]:
    """The tables of a split, to be spoiled and written."""
    random = np.random.default_rng(5)
    users, support = _rows(random)
    meta = pd.DataFrame([(str(CUTOFF.date()), 60, 30)], columns=["cutoff", "window_days", "horizon_days"])
    return {"events": _events(random), "items": _items(), "users": users, "support": support, "meta": meta}


@pytest.fixture
def write_split(tmp_path: Path) -> Callable[[dict[str, pd.DataFrame], str], Path]:
    """Write the tables of a split as a folder."""

    def write(tables: dict[str, pd.DataFrame], name: str = "split") -> Path:
        folder = tmp_path / name
        folder.mkdir()
        for table, rows in tables.items():
            rows.to_parquet(folder / f"{table}.parquet")
        return folder

    return write


@pytest.fixture
def encode() -> Callable[[Sequence[str]], np.ndarray]:
    """Vectors of texts by the kind of item that they name: no encoder is loaded."""

    def vectors(texts: Sequence[str]) -> np.ndarray:
        rows = [[float(kind in text) for kind in KINDS] + [0.01] * 379 for text in texts]
        array = np.array(rows, np.float32)
        return array / np.linalg.norm(array, axis=1, keepdims=True)

    return vectors


@pytest.fixture
def cache(tmp_path: Path, encode: Callable[[Sequence[str]], np.ndarray]) -> Path:
    """Cache of the default encoder in which the texts of the shop stand already."""
    encoder = load_encoder("")
    texts = [f"{title} home {title.split()[0]}" for title in _items().title]
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    folder = tmp_path / "encoder"
    VectorCache(folder / f"{encoder.fingerprint[:16]}.sqlite", encoder.dimensions).add(keys, encode(texts))
    return folder
