"""What ingest makes of a delivery under a key: ids mapped, texts masked, nothing of a person in quarantine or messages."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadDelivery, BadSetting, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.tables.campaigns.campaigns import read_responses, read_users
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.user_ids.keys import other_keys, user_key

KEY = "5e" * 32
DAY = date(2026, 2, 1)
WHO, PERSON, MAIL = "Kunde-7f3a9c01", "987650123401", "anna@geheim.example"
NEEDLES = [WHO, PERSON, "geheim.example"]


@pytest.fixture
def keyed(settings: Settings) -> Settings:
    return load_settings(home=settings.places.home, user_key=KEY, first_day=DAY, max_bad_share=0.9)


def event(number: int, **more: Any) -> dict[str, Any]:
    row = {
        "event_id": f"{WHO}-{number}", "user_id": WHO, "item_id": "20001", "event_type": "view", "ts": datetime(2026, 2, 1, 10),
        "session_id": f"{WHO}/1", "order_id": MAIL, "query": None, "text": None, "price": 2.5, "quantity": 1, "platform": "web",
    }  # fmt: skip
    return {**row, **more}


GOOD = [
    event(0),
    event(1, event_type="search", item_id=None, query=f"red lantern {MAIL} for {WHO.lower()}!"),
    event(2, event_type="review", text=f"{WHO} says: write to {MAIL}"),
    event(3, user_id=None),
    event(4, platform=WHO),
    event(5, user_id=PERSON, quantity=3),
]
BAD = [
    event(10, event_type=WHO),
    event(11, user_id="view", event_type=WHO, platform=MAIL),
    event(12, item_id=WHO),
    event(13, item_id=MAIL),
    event(14, user_id=PERSON, quantity=int(PERSON)),
    event(15, user_id=PERSON, price=float(PERSON)),
    event(16, user_id=PERSON, quantity=-1, price=float(PERSON)),
    event(17, event_type="wish", platform="store"),
    event(0),
]
USER = {
    "user_id": WHO, "registered_at": datetime(2026, 1, 1), "country": "Spain", "platform": MAIL, "person_id": PERSON,
    "email": MAIL, "note": f"{WHO} is {PERSON}", "born": "1980",
}  # fmt: skip
ITEMS = [
    {"item_id": "20001", "title": f"Lantern of {MAIL}", "category": ["home", MAIL], "brand": None, "user_id": WHO},
    {"item_id": None, "title": f"Lantern of {MAIL}", "category": ["home", "metal"], "brand": "Acme", "user_id": WHO},
]


def drop(settings: Settings, table: str, rows: list[dict[str, Any]] | pa.Table, name: str = "part-0", day: date = DAY) -> None:
    folder = settings.places.landing_root / table / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    rows = rows if isinstance(rows, pa.Table) else pa.Table.from_pylist(rows)
    if rows.num_rows:
        pq.write_table(rows, folder / f"{name}.parquet")
    (folder / "_SUCCESS").touch()


def deliver(settings: Settings, *events: dict[str, Any]) -> None:
    drop(settings, "events", list(events), name=f"of {WHO}")
    drop(settings, "users", [USER])
    drop(settings, "items", ITEMS)


def rows_of(settings: Settings, table: str) -> list[dict[str, Any]]:
    return Lake.from_settings(settings).reader().read(table).to_pylist()


def planted() -> list[dict[str, Any]]:
    return [*GOOD, *BAD]


def test_nothing_planted_stands_behind_the_door(keyed: Settings, find_bytes: Callable[..., list[str]]) -> None:
    deliver(keyed, *planted())
    ingest_day(keyed, DAY)
    assert find_bytes(keyed.places.home, NEEDLES) == []


def test_without_a_key_the_same_search_finds_it(settings: Settings, find_bytes: Callable[..., list[str]]) -> None:
    raw = load_settings(home=settings.places.home, first_day=DAY, max_bad_share=0.9)
    deliver(raw, *planted())
    drop(raw, "items", [{name: value for name, value in item.items() if name != "user_id"} for item in ITEMS])
    ingest_day(raw, DAY)
    found = find_bytes(raw.places.home, NEEDLES)
    for needle in NEEDLES:
        for table in ("events", "quarantine", "users"):
            assert any(f"lake/{table}/" in place and place.endswith(needle) for place in found), (table, needle)


def test_ids_are_mapped_and_join(keyed: Settings) -> None:
    deliver(keyed, *planted())
    ingest_day(keyed, DAY)
    events = {row["event_id"]: row for row in rows_of(keyed, "events")}
    ids = other_keys(keyed.privacy, "event", pa.array([row["event_id"] for row in GOOD])).to_pylist()
    assert set(events) == set(ids)
    assert events[ids[3]]["user_id"] is None
    first = events[ids[0]]
    assert first["user_id"] == user_key(keyed, WHO)
    assert first["session_id"] == other_keys(keyed.privacy, "session", pa.array([f"{WHO}/1"]))[0].as_py()
    assert first["order_id"] == other_keys(keyed.privacy, "order", pa.array([MAIL]))[0].as_py()
    assert events[ids[1]]["query"] == "red lantern [mail] for [user]!"
    assert events[ids[2]]["text"] == "[user] says: write to [mail]"
    assert [events[ids[n]]["platform"] for n in (0, 4, 5)] == ["web", "[user]", "web"]
    [account] = rows_of(keyed, "users")
    assert (account["user_id"], account["person_id"]) == (user_key(keyed, WHO), user_key(keyed, PERSON))
    assert dict(account["attributes"]) == {"email": "[mail]", "note": "[user] is [user]", "born": "1980"}
    assert [row["title"] for row in rows_of(keyed, "items")] == ["Lantern of [mail]"]


def test_quarantine_says_where_a_row_stands_and_shows_no_person(keyed: Settings) -> None:
    deliver(keyed, *planted())
    ingest_day(keyed, DAY)
    found = {(row["source_table"], row["row_number"]): row for row in rows_of(keyed, "quarantine")}
    events = [row for (table, _), row in found.items() if table == "events"]
    assert {row["source_file"] for row in events} == {"file 1 of 1"}
    assert len(events) == len(BAD)
    reasons = {row["reason"] for row in events}
    assert {"names a person", "unknown event type", "copy of another row"} <= reasons
    wish = next(json.loads(row["payload"]) for row in events if '"wish"' in row["payload"])
    assert (wish["event_type"], wish["platform"], wish["item_id"], wish["price"]) == ("wish", "store", "20001", 2.5)
    assert "user_id" not in json.loads(found["items", 1]["payload"])


def test_made_event_ids_cannot_be_found_by_trying(keyed: Settings, settings: Settings) -> None:
    bare = [{name: value for name, value in event(n).items() if name != "event_id"} | {"item_id": f"2000{n}"} for n in (1, 2)]
    raw = load_settings(home=settings.places.home / "raw", first_day=DAY)
    for one in (keyed, raw):
        drop(one, "events", bare)
        drop(one, "users", [USER])
        drop(one, "items", ITEMS[:1])
        ingest_day(one, DAY)
    ids = [{row["event_id"] for row in rows_of(one, "events")} for one in (keyed, raw)]
    assert [len(some) for some in ids] == [2, 2]
    assert not ids[0] & ids[1]


@pytest.mark.parametrize("fault", ["broken", "headless", "bad"])
def test_a_refusal_names_no_person(keyed: Settings, find_bytes: Callable[..., list[str]], fault: str) -> None:
    deliver(keyed, event(0))
    if fault == "broken":
        (keyed.places.landing_root / "events" / f"day={DAY}" / f"{WHO}.parquet").write_bytes(b"PAR1" + WHO.encode())
    elif fault == "headless":
        drop(keyed, "events", pa.table({WHO: [PERSON], MAIL: ["x"], "item_id": ["y"]}), name=MAIL)
    else:
        drop(keyed, "events", [event(n, event_type=WHO) for n in range(20)], name=MAIL)
    with pytest.raises(BadDelivery) as error:
        ingest_day(keyed, DAY)
    said = "".join(map(str, (error.value, error.value.__cause__, error.value.__context__ if error.value.__cause__ else "")))
    assert not [needle for needle in NEEDLES if needle.lower() in said.lower()]
    assert find_bytes(keyed.places.home, NEEDLES) == []
    if fault != "bad":
        assert "of 2" in said or "[column 1]" in said


def test_an_error_of_a_library_is_not_quoted(keyed: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*given: object) -> None:
        raise ValueError(f"cannot parse '{WHO}'")

    deliver(keyed, event(0))
    monkeypatch.setattr("recpipe.tables.ingest.stage.judge", fails)
    with pytest.raises(RecpipeError, match=r"ValueError in .*test_ingest.py, line \d+. Its text is kept back") as error:
        ingest_day(keyed, DAY)
    assert error.value.__suppress_context__
    assert WHO not in str(error.value)


def test_lists_of_users_are_mapped_and_not_quoted(keyed: Settings, tmp_path) -> None:
    stop, answers, bad = (tmp_path / name for name in ("stop.csv", "answers.csv", "bad.csv"))
    stop.write_text(f"user_id\n{WHO}\n {WHO} \n12345\n")
    answers.write_text(f"campaign_id,user_id,day\nnew,{WHO},2026-02-01\n")
    assert read_users(keyed, stop, DAY) == {user_key(keyed, WHO), user_key(keyed, 12345)}
    told = keyed.changed(campaign_responses=str(answers))
    assert read_responses(told, DAY) == {"new": {user_key(keyed, WHO): DAY}}
    for text in (f"{WHO}\n{PERSON}\n", f"user_id,day\nx,{WHO}\n"):
        bad.write_text(text)
        with pytest.raises(BadSetting) as error:
            read_users(keyed, bad, DAY)
        assert WHO not in str(error.value)


def test_a_masked_text_is_no_longer_than_the_audit_allows(keyed: Settings) -> None:
    short = keyed.changed(max_text_length=40)
    drop(
        short,
        "events",
        [event(1, event_id="e", user_id="u1", session_id=None, order_id=None, text="u1 " * 13 + "u", event_type="review")],
    )
    drop(short, "users", [{"user_id": "u1"}])
    drop(short, "items", [{"item_id": "20001", "title": "Lantern"}])
    assert ingest_day(short, DAY)["events"] == 1
    assert rows_of(short, "events")[0]["text"] == ("[user] " * 13)[:40]
