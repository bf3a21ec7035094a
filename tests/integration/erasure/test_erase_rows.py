"""The parts of an erasure, on tables of a few rows: the list, the hook of ingest, kills, and nights that are under way."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.erasure.erase import erase
from recpipe.errors import BadSetting, MissingDay
from recpipe.lake.erased_rows import USER_TABLES, remove_users
from recpipe.lake.lake import Lake
from recpipe.lake.stale import stale_days
from recpipe.lake.tombstones import check_tokens, erased_users, erasure_tokens, note
from recpipe.pipeline.erased_texts import check_published
from recpipe.tables.ingest.stage import stage_day
from recpipe.text.cache import VectorCache
from recpipe.user_ids.keys import user_key

FIRST = date(2026, 3, 1)
DAYS = [FIRST + timedelta(days=offset) for offset in range(4)]
GONE, STAYS = "anna's-id-000001", ("user-b", "user-c")
"""With a sign that SQL has a meaning for."""
FindBytes = Callable[..., list[str]]


def publish(settings: Settings, table: str, day: date, *rows: dict[str, Any]) -> None:
    schema = TABLES[table].schema
    full = [{name: {**row, "day": day}.get(name) for name in schema.names} for row in rows]
    Lake.from_settings(settings).publish(table, [day], pa.Table.from_pylist(full, schema=schema))


def purchase(user: str | None, number: int, **more: Any) -> dict[str, Any]:
    ts = datetime(2026, 3, 1, 10, tzinfo=UTC)
    return {"event_id": f"{user}-{number}", "user_id": user, "item_id": "i", "event_type": "purchase", "ts": ts, **more}


def fill(settings: Settings) -> None:
    """Publish days with three users, what one of them wrote, and tables that quote it."""
    for number, day in enumerate(DAYS):
        bought = [purchase(user, number) for user in (GONE, *STAYS, None)]
        review = purchase(GONE, 10 + number, event_type="review", text="Marzipan, it's awful. Too sweet")
        other = purchase("user-b", 10 + number, event_type="review", text="Fine")
        typed = purchase(GONE, 20 + number, event_type="search", item_id=None, query="Marzipan  lamp, it's under 20")
        shared = [purchase(user, 30 + number, event_type="search", item_id=None, query="lamp") for user in (GONE, "user-c")]
        publish(settings, "events", day, *bought, review, other, typed, *shared)
        publish(settings, "users", day, *({"user_id": user, "registered_at": review["ts"]} for user in (GONE, *STAYS)))
        insight = {"item_id": "i", "aspect": "overall", "abstained": False, "model_version": "1"}
        said = ((review, "Marzipan, it's awful"), (other, "Fine"))
        publish(
            settings, "review_insights", day, *({**insight, "event_id": one["event_id"], "evidence": text} for one, text in said)
        )
        counts = dict.fromkeys(("reviews", "reviews_before", "positive", "negative"), 2)
        quotes = {
            "praise": "Fine",
            "praise_event_id": other["event_id"],
            "complaint": "Marzipan",
            "complaint_event_id": review["event_id"],
        }
        publish(settings, "item_digests", day, {"item_id": "i", "aspect": "overall", "model_version": "1", **counts, **quotes})
        answer = {
            "rank": 1,
            "item_id": "i",
            "score": 1.0,
            "searches": 1,
            "cheap": False,
            "categories": [],
            "without": [],
            "relaxed": [],
        }
        answer |= {"matched_words": [], "reason": "", "model_version": "1"}
        texts = ("marzipan lamp, it's under 20", "lamp")
        publish(settings, "search_recommendations", day, *({**answer, "query": text} for text in texts))


def rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    found = Lake.from_settings(settings).reader().read(table).to_pylist()
    return sorted(found, key=lambda row: (str(row["day"]), *(str(row[name]) for name in TABLES[table].key)))


def everything(settings: Settings) -> dict[str, Any]:
    return {name: rows(settings, name) for name in TABLES if name != "days"}


# --- the list


def test_a_token_is_the_same_for_the_same_user_and_names_nobody(settings: Settings) -> None:
    first, again = erasure_tokens(settings, [GONE, "user-b", f" {GONE} "]), erasure_tokens(settings, [GONE])
    assert len(first) == 2
    assert again == first[:1]
    assert GONE not in first[0]
    check_tokens(first)


def test_with_a_key_the_raw_id_and_its_key_have_one_token(settings: Settings) -> None:
    keyed = load_settings(home=settings.places.home / "keyed", user_key="ab" * 32)
    (token,) = erasure_tokens(keyed, [GONE])
    assert erasure_tokens(keyed, [user_key(keyed, GONE)]) == [token]
    assert erasure_tokens(settings, [GONE]) != [token]
    assert token.removeprefix("erase-") != user_key(keyed, GONE)


def test_without_the_key_of_the_lake_nobody_is_said_to_be_erased(settings: Settings) -> None:
    keyed, other = (settings.changed(user_key=SecretStr(digits * 32)) for digits in ("5e", "5f"))
    publish(keyed, "users", FIRST, {"user_id": user_key(keyed, GONE), "registered_at": datetime(2026, 1, 1, tzinfo=UTC)})
    tokens = erasure_tokens(keyed, [GONE])
    for wrong in (settings, other):
        with pytest.raises(BadSetting, match="kept under"):
            erasure_tokens(wrong, [GONE])
        with pytest.raises(BadSetting, match="kept under"):
            erase(wrong, tokens)
    assert erase(keyed, tokens)["tables"]["users"]["rows"] == 1


@pytest.mark.parametrize("wrong", [[], [GONE], ["erase-xyz"], ["erase-" + "0" * 64 + "\n"]])
def test_what_is_no_token_is_refused_and_not_repeated(wrong: list[str]) -> None:
    with pytest.raises(BadSetting) as refused:
        check_tokens(wrong)
    assert GONE not in str(refused.value)


@given(ids=st.lists(st.one_of(st.none(), st.text(max_size=8)), max_size=20), gone=st.sets(st.text(max_size=8), max_size=5))
@hypothesis_settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_list_finds_its_own_and_nobody_else(ids: list[str | None], gone: set[str]) -> None:
    from recpipe.lake.tombstones import Erased

    empty = Erased(b"secret", {}, 0)
    erased = Erased(b"secret", {empty.token(one): False for one in gone}, 0)
    assert erased.among(pa.array(ids, pa.string())).tolist() == [one in gone for one in ids]


# --- ingest


def deliver(settings: Settings, **tables: list[dict[str, Any]]) -> None:
    for name in ("events", "items", "users"):
        folder = settings.places.landing_root / name / f"day={FIRST}"
        folder.mkdir(parents=True, exist_ok=True)
        if tables.get(name):
            pq.write_table(pa.Table.from_pylist(tables[name]), folder / "part.parquet")
        (folder / "_SUCCESS").touch()


@pytest.mark.parametrize("key", ["", "cd" * 32])
def test_ingest_leaves_erased_users_out_good_rows_and_bad_ones(settings: Settings, key: str, find_bytes: FindBytes) -> None:
    settings = load_settings(home=settings.places.home, user_key=key, max_bad_share=1)
    noon = datetime(2026, 3, 1, 12)
    event = {"item_id": "i1", "event_type": "purchase", "ts": noon}
    events = [{**event, "user_id": user, "order_id": f"order-{user}"} for user in (GONE, "user-b", "p-account", None)]
    events += [{**row, "event_type": "teleport"} for row in events] + events[:2]  # bad ones, and duplicates
    users = [
        {"user_id": user, "registered_at": noon, "person_id": person}
        for user, person in ((GONE, None), ("user-b", None), ("p-account", "person-9"))
    ]
    deliver(settings, events=events, users=users, items=[{"item_id": "i1", "title": "Lamp"}])
    note(settings, erasure_tokens(settings, [GONE, "person-9"]), finished=True)
    folder = Path(stage_day(settings, FIRST))
    facts = json.loads((folder / "facts.json").read_text())["days"][str(FIRST)]
    assert facts["users"] | {"erased_rows": 2, "delivered_rows": 1, "rows": 1, "bad_rows": 0} == facts["users"]
    # user-b and nobody have a bad row each, user-b a copy; the person's account was not in the list before
    assert (
        facts["events"] | {"erased_rows": 5, "delivered_rows": 5, "rows": 2, "bad_rows": 2, "copied_rows": 1} == facts["events"]
    )
    assert find_bytes(folder, [GONE, f"order-{GONE}", "person-9", "p-account"], ()) == []
    refused = pq.read_table(folder / "quarantine" / f"{FIRST}.parquet").to_pylist()
    assert [row["row_number"] for row in refused] == [5, 7], "numbers are those of the delivered file"


def test_with_nobody_erased_the_staged_facts_are_as_ever(settings: Settings) -> None:
    deliver(settings, items=[{"item_id": "i1", "title": "Lamp"}])
    assert "erased_rows" not in (Path(stage_day(settings, FIRST)) / "facts.json").read_text()
    assert erased_users(settings).version == -1, "no list is made for asking"


# --- tables


def test_the_others_rows_stay_and_each_day_is_registered_with_its_rows(settings: Settings, find_bytes: FindBytes) -> None:
    fill(settings)
    before = everything(settings)
    done = erase(settings, erasure_tokens(settings, [GONE]))
    assert find_bytes(settings.places.home, [GONE, "marzipan"]) == []
    assert (done["users_found"], done["tables"]["events"]["rows"], done["tables"]["users"]["rows"]) == (1, 16, 4)
    after = everything(settings)
    for name in ("events", "users"):
        assert after[name] == [row for row in before[name] if row["user_id"] != GONE]
    assert after["review_insights"] == [row for row in before["review_insights"] if row["evidence"] == "Fine"]
    assert after["item_digests"] == [{**row, "complaint": None, "complaint_event_id": None} for row in before["item_digests"]]
    assert after["search_recommendations"] == [row for row in before["search_recommendations"] if row["query"] == "lamp"]
    lake = Lake.from_settings(settings)
    for record in lake.days():
        assert record.rows == lake.reader().read(record.table, record.day, record.day).num_rows
        assert [one.table_version for one in lake.history(record.table, record.day)] == [record.table_version] * len(
            lake.history(record.table, record.day)
        )
    assert stale_days(lake) == []


def test_a_second_time_finds_nothing_and_changes_nothing(settings: Settings) -> None:
    fill(settings)
    tokens = erasure_tokens(settings, [GONE])
    erase(settings, tokens)
    lake = Lake.from_settings(settings)
    versions = lake.versions_now(list(TABLES))
    again = erase(settings, tokens)
    assert (again["users_found"], again["rows"], again["files"], again["folders"]) == (0, 0, 0, 0)
    assert "nothing of them found" in Path(again["report"]).read_text()
    assert lake.versions_now(list(TABLES)) == versions


def test_scratch_and_vectors_go_and_those_of_others_stay(settings: Settings) -> None:
    import hashlib

    import numpy as np

    fill(settings)
    theirs = ["Marzipan  lamp, it's under 20", "marzipan lamp, it's under 20", "Marzipan, it's awful. Too sweet", "Too sweet"]
    others = ["Fine", "something else"]
    cache = VectorCache(settings.places.work / "encoder" / "e.sqlite", 2)
    keys = [hashlib.sha256(text.encode()).digest() for text in [*theirs, *others]]
    cache.add(keys, np.ones((len(keys), 2), np.float32))
    for user, run in ((GONE, "one"), ("user-b", "two")):
        folder = settings.places.work / "nights" / "2026-03-04" / run / "recommendations"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"user_id": ["user-c", user]}), folder / "shard-0.parquet")
    (settings.places.work / "train" / "2026-03-04").mkdir(parents=True)
    done = erase(settings, erasure_tokens(settings, [GONE]))
    assert set(cache.get(keys)) == set(keys[len(theirs) :])
    assert keys[0] not in (settings.places.work / "encoder" / "e.sqlite").read_bytes()
    assert sorted(path.name for path in (settings.places.work / "nights" / "2026-03-04").iterdir()) == ["two"]
    assert list((settings.places.work / "train").iterdir()) == []
    assert (done["folders"], done["vectors"]) == (2, 4)


KILLED_AT = """
import os, signal, sys
from recpipe.config import load_settings
from recpipe.erasure import erase
from recpipe.lake import erased_rows
calls, at, real = 0, int(sys.argv[2]), erased_rows.tried
def tried(*words):
    global calls
    calls += 1
    if calls == at:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*words)
erased_rows.tried = tried
erase.erase(load_settings(home=sys.argv[1]), sys.argv[3:])
"""


@pytest.mark.slow
def test_killed_anywhere_and_run_again_it_ends_in_the_same_state(tmp_path: Path, find_bytes: FindBytes) -> None:
    """A process is killed before its first, seventh and twelfth change of a table, and each time started again."""
    whole, killed = (load_settings(home=tmp_path / name) for name in ("whole", "killed"))
    for settings in (whole, killed):
        fill(settings)
    erase(whole, erasure_tokens(whole, [GONE]))
    tokens = erasure_tokens(killed, [GONE])
    for at in (1, 7, 12):
        words = [sys.executable, "-c", KILLED_AT, str(killed.places.home), str(at), *tokens]
        assert subprocess.run(words, capture_output=True, check=False).returncode == -9
    erase(killed, tokens)
    assert find_bytes(killed.places.home, [GONE, "marzipan"]) == []
    assert everything(killed) == everything(whole)
    registers = [
        [(one.table, one.day, one.rows, one.status) for one in Lake.from_settings(home).days()] for home in (whole, killed)
    ]
    assert registers[0] == registers[1]
    assert erased_users(killed).finished == {tokens[0]: True}


# --- runs that are under way


def test_what_was_read_before_and_is_published_after_is_taken_out_again(settings: Settings, find_bytes: FindBytes) -> None:
    fill(settings)
    day = DAYS[-1]
    read = [row for row in rows(settings, "events") if row["day"] == day]
    quoted = [row for row in rows(settings, "review_insights") if row["day"] == day]
    erase(settings, erasure_tokens(settings, [GONE]))
    for table, old in (("events", read), ("review_insights", quoted)):
        publish(settings, table, day, *old)
        assert find_bytes(settings.places.home, [GONE]) != []
        check_published(settings, table, [day])
        assert find_bytes(settings.places.home, [GONE]) == []
    assert Lake.from_settings(settings).require("events", day).rows == 5


def test_a_day_whose_rows_went_between_its_commit_and_its_row_in_the_register_is_counted_anew(settings: Settings) -> None:
    fill(settings)
    lake = Lake.from_settings(settings)
    erase(settings, erasure_tokens(settings, [GONE]))
    since = datetime(2026, 1, 1, tzinfo=UTC)
    publish(settings, "users", DAYS[0], *({"user_id": user, "registered_at": since} for user in (GONE, "user-b")))
    remove_users(lake, "users", [GONE])  # as the erasure does that meets the commit
    check_published(settings, "users", [DAYS[0]])
    assert [record.rows for record in lake.days("users")] == [1, 2, 2, 2]


def test_a_run_that_was_planned_before_is_told_to_begin_anew(settings: Settings) -> None:
    fill(settings)
    lake = Lake.from_settings(settings)
    versions = lake.versions_now(["events"])
    erase(settings, erasure_tokens(settings, [GONE]))
    with pytest.raises(MissingDay, match="from its first task on"):
        lake.reader(versions).read("events")


def test_every_table_with_a_user_is_looked_through() -> None:
    """A table that gets a column of users is in; one that quotes them has to be put into `erased_texts`."""
    assert set(USER_TABLES) == {
        "events", "users", "episodes", "recommendations", "campaign_audiences", "cart_recommendations", "user_profiles",
        "newcomer_outcomes",
    }  # fmt: skip
