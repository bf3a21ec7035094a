"""Erased users are nowhere: searched for in every byte that the line leaves behind, and in what is taken in again."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FIRST, DAYS, USERS, ITEMS = date(2026, 2, 1), 40, 16, 120
LAST = FIRST + timedelta(days=DAYS - 1)
GONE = ("kunde-00007-zq", "kunde-00011-zq", "kunde-00012-zq")
"""One user, and the two accounts of one person."""
LATE = 7
PERSON = "person-zq-77"
WORDS = ("sandalwood", "tangerine", "marzipan", "lavender", "obsidian", "cinnamon")
"""What erased users alone write and search: two words each."""
FindBytes = Callable[..., list[str]]


def user_id(number: int) -> str:
    return f"kunde-{number:05d}-zq"


def own_words(user: str) -> tuple[str, str]:
    if user not in GONE:
        return "plain", "candle"
    at = 2 * GONE.index(user)
    return WORDS[at], WORDS[at + 1]


def of_user(day: date, number: int) -> list[dict[str, Any]]:
    """Return what a user does on a day: a purchase, and now and then a cart, a search or a review; one user came late."""
    if number == LATE and day < LAST - timedelta(days=5):
        return []
    user, at = user_id(number), datetime.combine(day, time(8 + number % 12))
    turn, (one, other) = (day - FIRST).days + number, own_words(user_id(number))
    event = {
        "user_id": user,
        "item_id": f"i{(turn * 37 + number * 11) % ITEMS}",
        "event_type": "purchase",
        "ts": at,
        "query": None,
        "text": None,
        "rating": None,
    }
    found = [event]
    if turn % 2:
        found.append(
            {
                **event,
                "event_type": "search",
                "item_id": None,
                "query": f"{one} lamp under 20 for {number if user in GONE else 0}",
            }
        )
    if turn % 3 == 0:
        good = f"Lovely colour, wonderful quality, great {other} price, just like {one}"
        bad = f"Awful colour, terrible quality, the {other} price is a bad joke, broken like {one}"
        found.append({**event, "event_type": "review", "text": good if turn % 2 else bad, "rating": 5.0 if turn % 2 else 1.0})
    if turn % 4 == 0:
        found.append({**event, "event_type": "cart", "item_id": f"i{(turn + 1) % ITEMS}"})
    if number in (7, 8) and turn % 5 == 0:
        found.append({**event, "event_type": "teleport", "order_id": f"order-of-{user}"})  # goes to quarantine, with its order
    return [{"order_id": None, **row, "event_id": f"e-{day}-{number}-{place}"} for place, row in enumerate(found)]


def deliver(settings: Settings) -> None:
    users = [
        {
            "user_id": user_id(number), "registered_at": datetime(2026, 3, 1) if number == LATE else datetime(2026, 1, 20 + number % 9), "mail": f"{user_id(number)}@post.example",
            "person_id": PERSON if user_id(number) in GONE[1:] else None, "country": "DE",
        }
        for number in range(USERS)
    ]  # fmt: skip
    items = [
        {"item_id": f"i{one}", "title": f"Lamp {one}", "category": ["home", f"light {one % 3}"], "price": 5.0 + one}
        for one in range(ITEMS)
    ]
    for offset in range(DAYS):
        day = FIRST + timedelta(days=offset)
        events = [row for number in range(USERS) for row in of_user(day, number)]
        for name, rows in (
            ("events", events),
            ("users", users if not offset else users[:13]),
            ("items", items if not offset else []),
        ):
            folder = settings.places.landing_root / name / f"day={day}"
            folder.mkdir(parents=True)
            if rows:
                pq.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")
            (folder / "_SUCCESS").touch()


def run_the_line(settings: Settings) -> None:
    """Take the days in, train a little, and make every table that speaks of users."""
    from recpipe.dataset.export import export_training
    from recpipe.evaluation.day_outcomes import evaluate_day
    from recpipe.pipeline.publish import run_day
    from recpipe.promotion.register import register
    from recpipe.tables.families import TASKS
    from recpipe.tables.ingest.days_in import ingest_history
    from recpipe.tables.recommendations.night_publish import recommend_day
    from recpipe.training.config import Config
    from recpipe.training.loop import train

    ingest_history(settings, FIRST, LAST)
    folder = Path(export_training(settings, LAST - timedelta(days=3)))
    train(folder, settings.places.work / "training" / "model", Config(learner="stack", steps=5, device="cpu"))
    register(settings, str(settings.places.work / "training" / "model"), LAST - timedelta(days=3))
    for day in (LAST - timedelta(days=1), LAST):
        recommend_day(settings, day)
        for name in ("review_insights", "item_digests", "search_recommendations", "user_profiles", "cart_recommendations"):
            run_day(settings, TASKS[name], day)
    evaluate_day(settings, LAST)


def rows(settings: Settings, table: str) -> list[dict[str, Any]]:
    found = Lake.from_settings(settings).reader().read(table).to_pylist()
    return sorted(found, key=lambda row: [str(row[name]) for name in TABLES[table].key] + [str(row["day"])])


def needles() -> list[str]:
    return [*GONE, PERSON, *WORDS]


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    home = tmp_path_factory.mktemp("erase") / "home"
    settings = load_settings(home=home, first_day=FIRST, gate_days=2, top_k=5, min_users=1, horizon_days=1, max_bad_share=0.2)
    deliver(settings)
    run_the_line(settings)
    return settings


def test_erased_users_are_nowhere_and_the_others_are_as_before(line: Settings, find_bytes: FindBytes) -> None:
    from recpipe.erasure.erase import erase
    from recpipe.lake.tombstones import erasure_tokens
    from recpipe.tables.ingest.days_in import ingest_history

    places = find_bytes(line.places.home, needles())
    assert {place.split("/")[1] for place in places if place.startswith("lake/")} >= {
        "events", "users", "episodes", "recommendations", "review_insights", "item_digests", "search_recommendations", "user_profiles",
    }, "the search has to find what it shall not find afterwards"  # fmt: skip
    before = {name: rows(line, name) for name in TABLES if name != "days"}
    done = erase(line, erasure_tokens(line, [GONE[0], PERSON]))
    assert (done["users_asked"], done["accounts"], done["users_found"]) == (2, 2, 4)
    assert find_bytes(line.places.home, needles()) == []
    for name, old in before.items():
        assert rows(line, name) == others(name, old), name
    lake = Lake.from_settings(line)
    for record in lake.days():
        assert record.table == "outcomes" or record.rows == lake.reader().read(record.table, record.day, record.day).num_rows
    ingest_history(line, FIRST, LAST)
    assert find_bytes(line.places.home, needles()) == []
    for name in ("events", "users", "items", "quarantine"):
        assert rows(line, name) == others(name, before[name]), name
    again = erase(line, erasure_tokens(line, [GONE[0], PERSON]))
    assert (again["users_found"], again["rows"], again["files"]) == (0, 0, 0)


def others(table: str, found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the rows that have nothing of erased users, by loops over what the test knows of them."""
    own = {f"-{int(user.split('-')[1])}-" for user in GONE}

    def is_own(event_id: str | None) -> bool:
        return bool(event_id) and any(part in event_id[len("e-2026-02-01") :] for part in own)

    kept = []
    for row in found:
        if row.get("user_id") in GONE or row.get("person_id") == PERSON or is_own(row.get("event_id")):
            continue
        if any(word in str(row.get(name)) for name in ("query", "payload") for word in (*WORDS, *GONE)):
            continue
        if row.get("source_table") == "users" and row["row_number"] == LATE:
            continue  # delivered before the account was made, so it was refused until then; its payload names nobody
        if table == "item_digests":
            for side in ("praise", "complaint"):
                gone = is_own(row[f"{side}_event_id"])
                row = {**row, **({side: None, f"{side}_event_id": None} if gone else {})}
        kept.append(row)
    return kept
