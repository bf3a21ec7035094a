"""A night that is killed anywhere and run again ends in the same rows."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from coloured_night import DAY, TEXT, fill, published
from small_shop import open_shop

from recpipe.models.popularity import Popularity
from recpipe.tables.recommendations.night_publish import publish_night
from recpipe.tables.recommendations.night_shards import rank_shard

CHILD = """
import json, os, signal, sys
from recpipe.config import load_settings
from recpipe.lake.lake import Lake
from recpipe.pipeline import shards
from recpipe.pipeline.run_plan import RunPlan
from recpipe.tables.recommendations.night_publish import publish_night
from recpipe.tables.recommendations.night_shards import rank_shard

point, home, plan, files = sys.argv[1], sys.argv[2], RunPlan.from_json(json.loads(sys.argv[3])), json.loads(sys.argv[4])
settings = load_settings(home=home, encoder=home + "/encoder", top_k=3)

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def die_half_way(table, file):
    with open(file, "wb") as handle:
        handle.write(b"PAR1 and no more")
    die()

if point == "rank":
    shards.pq.write_table = die_half_way
    rank_shard(settings, plan, 1)
else:
    name = {"before the commit": "_replace", "between commit and register": "_append"}[point]
    setattr(Lake, name, die)
    publish_night(settings, plan, files)
"""


def kill(shop, point: str, plan: Any, files: list[str]) -> None:
    """Run a step in a process of its own that is killed at a point."""
    command = [sys.executable, "-c", CHILD, point, str(shop.settings.places.home), json.dumps(plan.as_json()), json.dumps(files)]
    done = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()


@pytest.fixture
def shop(tmp_path):
    return fill(open_shop(tmp_path / "home", top_k=3))


def test_ranking_that_is_killed_leaves_no_file_and_can_be_run_again(shop):
    plan = shop.plan(TEXT, DAY, shards=2)
    wanted = [pq.read_table(rank_shard(shop.settings, plan, shard)) for shard in range(2)]
    folder = Path(rank_shard(shop.settings, plan, 1)).parent
    (folder / "shard-1.parquet").unlink()
    kill(shop, "rank", plan, [])
    assert not (folder / "shard-1.parquet").exists()
    assert [pq.read_table(rank_shard(shop.settings, plan, shard)) for shard in range(2)] == wanted


@pytest.mark.slow
@pytest.mark.parametrize("point", ["before the commit", "between commit and register"])
def test_publication_that_is_killed_shows_nothing_half_and_can_be_run_again(shop, point):
    plan = shop.plan(TEXT, DAY)
    files = [rank_shard(shop.settings, plan, 0)]
    wanted = pq.read_table(files[0])
    kill(shop, point, plan, files)
    assert published(shop).num_rows == 0  # readers see days that stand in the register
    publish_night(shop.settings, plan, files)  # a retry finds its files
    assert published(shop).equals(wanted.cast(published(shop).schema))
    assert publish_night(shop.settings, plan, files) == wanted.num_rows  # and so does a retry after success


@pytest.mark.slow
def test_a_killed_replacement_leaves_a_whole_night(shop):
    old = shop.plan(Popularity(), DAY, version="1")
    publish_night(shop.settings, old, [rank_shard(shop.settings, old, 0)])
    before = published(shop)
    plan = shop.plan(TEXT, DAY, version="2")
    files = [rank_shard(shop.settings, plan, 0)]
    kill(shop, "before the commit", plan, files)
    assert published(shop).equals(before)
    publish_night(shop.settings, plan, files)
    assert set(published(shop)["model_version"].to_pylist()) == {"2"}
