"""Accounts of one person have one list, however the night is cut."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from coloured_night import TEXT, fill
from small_shop import open_shop, user

from recpipe.models.base import score_users
from recpipe.tables.recommendations import night
from recpipe.tables.recommendations.night_shards import rank_shard

LINKED = date(2026, 3, 3)


def rows(shop, shards: int) -> list[dict]:
    plan = shop.plan(TEXT, LINKED, shards)
    found = pa.concat_tables(pq.read_table(rank_shard(shop.settings, plan, shard)) for shard in range(shards))
    return found.sort_by([("user_id", "ascending"), ("rank", "ascending")]).to_pylist()


@pytest.mark.parametrize("places", [0, 2])
def test_accounts_of_one_person_have_one_list(tmp_path, monkeypatch, places):
    """Also of the items that are drawn: the draw is the person's."""
    monkeypatch.setattr("recpipe.pipeline.blocks.MOST_USERS", 1)
    monkeypatch.setattr("recpipe.pipeline.blocks.FEWEST_USERS", 1)
    shop = fill(open_shop(tmp_path / "home", top_k=3, explore_places=places))
    linked = tuple(user(name, "2026-01-01 08:00") | {"person_id": "p"} for name in ("u1", "u3"))
    shop.deliver("2026-03-03", users=linked)
    once = rows(shop, 1)
    assert rows(shop, 3) == once
    first, third = ([{**row, "user_id": ""} for row in once if row["user_id"] == name] for name in ("u1", "u3"))
    assert first == third
    assert first


def test_the_draw_does_not_hear_the_rounding_of_scores(tmp_path, monkeypatch):
    """Rows of one matrix product may differ in their last bits, whosever they are."""
    exact = score_users

    def rounded(learner, space, support):
        scores = exact(learner, space, support).astype(np.float64)
        return scores + 1e-10 * np.arange(1, len(scores) + 1)[:, None] * np.arange(scores.shape[1])

    monkeypatch.setattr(night, "score_users", rounded)
    shop = fill(open_shop(tmp_path / "home", top_k=2, explore_places=1, seen_items="allow"))
    linked = tuple(user(name, "2026-01-01 08:00") | {"person_id": "p"} for name in ("u1", "u3"))
    shop.deliver("2026-03-03", users=linked)
    once = rows(shop, 1)
    first, third = ([{**row, "user_id": ""} for row in once if row["user_id"] == name] for name in ("u1", "u3"))
    assert 0 < first[-1]["propensity"] < 1
    assert first == third
