"""A staged shard that is gone or damaged, and a table that cannot be read or written, are named with their remedy."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from coloured_night import DAY, TEXT, fill
from small_shop import Shop, open_shop

from recpipe.errors import Trouble
from recpipe.tables.recommendations.night_plan import plan_night
from recpipe.tables.recommendations.night_publish import publish_night, recommend_day
from recpipe.tables.recommendations.night_shards import rank_shard
from recpipe.validation.verdicts import load_verdict, newest_verdicts


@pytest.fixture
def three(tmp_path) -> Shop:
    return fill(open_shop(tmp_path / "home", top_k=3))


def ranked(shop: Shop, plan: dict[str, Any]) -> list[str]:
    return [rank_shard(shop.settings, plan, shard) for shard in range(plan.shards)]


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 0xFF
    data[-6] ^= 0xFF
    file.write_bytes(data)


def without_note(file: Path) -> None:
    pq.write_table(pq.read_table(file).replace_schema_metadata({}), file)


@pytest.mark.parametrize("damage", [cut, flip, without_note, Path.unlink, lambda file: file.write_bytes(b"")])
def test_a_staged_shard_that_was_damaged_is_named_and_nothing_is_published(three, damage: Callable[[Path], None]) -> None:
    plan = three.plan(TEXT, DAY, 1)
    file = Path(rank_shard(three.settings, plan, 0))
    damage(file)
    with pytest.raises(
        Trouble, match=rf"The staged shard {file} of recommendations of {DAY} cannot be read .*Make this shard again"
    ):
        publish_night(three.settings, plan, [str(file)])
    assert not three.lake.day("recommendations", DAY)
    rank_shard(three.settings, plan, 0)
    assert publish_night(three.settings, plan, [str(file)])


def test_a_table_whose_file_is_gone_is_named(three) -> None:
    plan = three.plan(TEXT, DAY, 1)
    next(Path(three.lake.root, "items").rglob("*.parquet")).unlink()
    with pytest.raises(Trouble, match=r"Table items names the file .*\.parquet, which is gone.*Restore it from a backup"):
        rank_shard(three.settings, plan, 0)


def test_a_table_whose_file_is_damaged_is_named(three) -> None:
    plan = three.plan(TEXT, DAY, 1)
    file = next(Path(three.lake.root, "items").rglob("*.parquet"))
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(
        Trouble, match=rf"What recommendations of {DAY} is made from .*items at version \d+.* cannot be read .*{file.name}"
    ):
        rank_shard(three.settings, plan, 0)


@pytest.mark.parametrize("place", ["work", "reports", "lake/recommendations"])
def test_a_place_that_may_not_be_written_is_named_and_the_night_goes_on_later(three, place) -> None:
    three.model(TEXT)
    recommend_day(three.settings, DAY, "1")
    folder = three.settings.places.home / place
    folder.mkdir(exist_ok=True)
    plan = plan_night(three.settings, DAY, "1")
    made = subprocess.run(["mount", "--bind", str(folder), str(folder)], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("this account may not mount a file system")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(folder)], check=True)
        with pytest.raises(
            Trouble, match=rf"{DAY}.*could not be (written|published).*a right is missing|cannot be read or written .*right"
        ):
            publish_night(three.settings, plan, ranked(three, plan))
    finally:
        subprocess.run(["umount", str(folder)], check=True)
    assert publish_night(three.settings, plan, ranked(three, plan))


def test_a_damaged_verdict_is_named(three) -> None:
    three.model(TEXT)
    recommend_day(three.settings, DAY, "1")
    (file,) = Path(three.lake.root, "_verdicts", "recommendations").glob("*.json")
    for content in ("", "{", "[]", "{}", '{"checks": [{"x": 1}]}'):
        file.write_text(content)
        with pytest.raises(Trouble, match=r"The stored verdict .*\.json is damaged .*Remove the file"):
            load_verdict(three.settings.places, "recommendations", DAY)
        with pytest.raises(Trouble, match="is damaged"):
            newest_verdicts(three.settings.places, "recommendations", 5)
    file.unlink()
    assert load_verdict(three.settings.places, "recommendations", date(2011, 1, 1)) is None
