"""Users in blocks that no number of shards changes, so that float sums come out the same in every layout.

A matrix product rounds its last bits by the shape it is asked for. A user's block follows from the user's id and the
number of users and items of the day alone, and a block is always computed as a whole: a shard owns blocks, not users.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

CELLS = 4_000_000
"""Scores (users × items) that a block holds about: some 100 MB while it is ranked."""
MOST_USERS = 512
FEWEST_USERS = 16


def users_a_block(items: int) -> int:
    """Return about how many users a block has."""
    return min(MOST_USERS, max(FEWEST_USERS, CELLS // max(items, 1)))


def blocks_of(user_ids: NDArray[np.object_], size: int) -> list[NDArray[np.intp]]:
    """Split users into blocks of about ``size`` by a hash of their ids; rows are in the order of the ids.

    Parameters
    ----------
    user_ids
        (users,) text, sorted.
    size
        Users a block, on average.
    """
    count = -(-len(user_ids) // size)
    block = np.array([stable_hash(user) % count for user in user_ids], np.int64)
    return [np.flatnonzero(block == number) for number in range(count)]


def shard_of(blocks: list[NDArray[np.intp]], shard: int, shards: int) -> list[NDArray[np.intp]]:
    """Return the blocks that a shard ranks."""
    return blocks[shard::shards]


def stable_hash(text: str) -> int:
    """Return a number that depends on the text alone, in every process and on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
