"""Small synthetic shops: items of a few kinds whose texts are alike, users who like one kind."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence, History
from recpipe.dataset.support import Support

UNTIL = np.datetime64("2011-08-22T00:00:00", "us")
DAY = np.timedelta64(1, "D")


def _catalogue(items: int, dimensions: int = 24, kinds: int = 5, seed: int = 0) -> Catalogue:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((kinds, dimensions))
    vectors = centres[np.arange(items) % kinds] + 0.7 * random.standard_normal((items, dimensions))
    return Catalogue(
        item_ids=np.array([f"i{n:04d}" for n in range(items)], dtype=object),
        texts=[f"item {n}" for n in range(items)],
        vectors=(vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32),
        first_day=np.full(items, np.datetime64("2011-01-01")),
        available=np.ones(items, bool),
        price=np.ones(items, np.float32),
        categories=[()] * items,
    )


def _evidence(users: int = 90, items: int = 70, weeks: int = 20, seed: int = 0, unsold: int = 5) -> Evidence:
    """A shop of five kinds of items; the last ``unsold`` items were never sold."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(users):
        kind, born = user % 5, random.uniform(0, 7 * weeks)
        for _ in range(random.integers(2, 30)):
            item = random.integers(0, items - unsold)
            if random.random() < 0.8:
                item = min((item // 5) * 5 + kind, items - unsold - 1)
            age = random.uniform(0, born)
            rows.append((user, UNTIL - np.timedelta64(int(age * 86_400e6) + 1, "us"), int(item)))
    rows.sort()
    user, ts, item = (np.array(column) for column in zip(*rows, strict=True))
    history = History(
        user_ids=np.array([f"u{n:04d}" for n in range(users)], dtype=object),
        user=user.astype(np.int32),
        item=item.astype(np.int32),
        ts=ts.astype("datetime64[us]"),
        weight=np.ones(len(rows), np.float32),
        country=(np.arange(users) % 4 - 1).astype(np.int32),
        country_names=("France", "Malta", "Spain"),
    )
    order = np.argsort(history.ts, kind="stable")
    return Evidence(_catalogue(items, seed=seed), history, history.item[order], history.ts[order], UNTIL)


def _support(*users: list[tuple], until: np.datetime64 = UNTIL) -> Support:
    """Supports from lists of (item, label, weight)."""
    entries = [entry for user in users for entry in user]
    return Support(
        indptr=np.cumsum([0, *(len(user) for user in users)]).astype(np.int64),
        item=np.array([entry[0] for entry in entries], np.int32),
        label=np.array([entry[1] for entry in entries], np.float32),
        weight=np.array([entry[2] for entry in entries], np.float32),
        age_days=np.ones(len(entries), np.float32),
    )


FACTS = {"fitted_until": "2011-08-21", "trained_until": "2011-08-28", "seed": 7, "encoder": "abc", "half_life_days": 90.0}


@pytest.fixture(scope="session")
def make_evidence():
    """Builds a shop."""
    return _evidence


@pytest.fixture(scope="session")
def make_support():
    """Builds supports from lists of (item, label, weight), one a user."""
    return _support


@pytest.fixture(scope="session")
def evidence() -> Evidence:
    return _evidence()


@pytest.fixture
def facts() -> dict:
    return dict(FACTS)


@pytest.fixture(scope="session")
def training_input(tmp_path_factory, evidence):
    """The shop as a training input."""
    from recpipe.dataset.folder import write_episodes_folder

    folder = tmp_path_factory.mktemp("input")
    write_episodes_folder(folder, evidence, FACTS)
    return folder
