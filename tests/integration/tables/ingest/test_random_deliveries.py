"""Random deliveries against the real ingest: a refusal in one sentence with the rest untouched, or every row exactly once.

A run of the suite tries a few; ``RANDOM_DELIVERIES=10000 pytest tests/integration/tables/ingest/test_random_deliveries.py`` tries as many, from
the seed ``RANDOM_DELIVERIES_FROM`` on; with ``-s`` it tells how far it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from random_delivery import BEFORE, FIRST, TRACEABLE, TYPES, Made, Part, make, make_shop

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import AuditFailed, BadDelivery, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.day_commit import publish_days
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.stage import stage_day, stage_days

COUNT = int(os.environ.get("RANDOM_DELIVERIES", "30"))
START = int(os.environ.get("RANDOM_DELIVERIES_FROM", "0"))
TOGETHER = 10
"""Deliveries of one shop."""
RAW = ("traceback", "pyarrow", "arrow", "duckdb", "errno", "exception", "deltalake", "sqlite", "0x", "thrift", "c++")
MOST_SHOWN = 12


def home_of(shop: dict[str, Any], homes: dict[Any, Path], tmp_path: Path) -> Path:
    """Return a home in which the day before is published; one is made a shop's zone and key, the others are copies."""
    kind = (shop["timezone"], shop["user_key"])
    if kind not in homes:
        homes[kind] = tmp_path / f"template-{len(homes)}"
        settings = load_settings(home=homes[kind], timezone=kind[0], user_key=kind[1])
        when = datetime(BEFORE.year, BEFORE.month, BEFORE.day, 12)
        rows = [{"user_id": f"b{n}", "item_id": "before", "event_type": "view", "ts": when.replace(minute=n)} for n in range(5)]
        put(settings, "events", BEFORE, [Part("a.parquet", [], parquet(rows))])
        put(settings, "items", BEFORE, [Part("a.parquet", [], parquet([{"item_id": "before", "title": "T"}]))])
        put(settings, "users", BEFORE, [])
        ingest_day(settings, BEFORE)
    shutil.rmtree(tmp_path / "home", ignore_errors=True)
    shutil.copytree(homes[kind], tmp_path / "home")
    return tmp_path / "home"


def parquet(rows: list[dict[str, Any]]) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows), sink)
    return sink.getvalue().to_pybytes()


def put(settings: Settings, table: str, day: Any, parts: list[Part], mark: bool = True) -> None:
    folder = settings.places.landing_root / table / f"day={day}"
    folder.mkdir(parents=True, exist_ok=True)
    for part in parts:
        file = folder / part.name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(part.content)
    if mark:
        (folder / "_SUCCESS").touch()


def kept_files(settings: Settings) -> dict[str, str]:
    """Return hashes of all data files and commits of the lake; later ones only come to them."""
    root = Path(settings.places.lake_root)
    files = [
        file for file in root.rglob("*") if file.is_file() and file.name != "_last_checkpoint" and "_verdicts" not in str(file)
    ]
    return {str(file.relative_to(root)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def faults_of(shop: dict[str, Any], deliveries: list[Made], home: Path) -> list[str]:
    """Take the deliveries of a shop in, and return what is wrong with what became of them.

    Each is staged by itself, as a night does. What is not refused there is published together, as a history does, so that
    one audit holds many.
    """
    settings = load_settings(home=home, **shop)
    for made in deliveries:
        for table in ("events", "items", "users"):
            put(settings, table, made.day, made.parts[table], table in made.marks)
    before = kept_files(settings)
    records = [record for record in Lake.from_settings(settings).days() if record.day == BEFORE]
    found = [f"{shown(made)}: {fault}" for made in deliveries for fault in staged_faults(made, settings)]
    good = [made for made in deliveries if not made.refused]
    if good:
        found += published_faults(good, settings)
    after = kept_files(settings)
    found += [f"{name} of the day before has changed" for name, content in before.items() if after.get(name) != content]
    if [record for record in Lake.from_settings(settings).days() if record.day == BEFORE] != records:
        found.append("the register of the day before has changed")
    return found


def shown(made: Made) -> str:
    return f"seed {made.seed} [{made.damage} {made.unclear}]"


def staged_faults(made: Made, settings: Settings) -> list[str]:
    try:
        stage_day(settings, made.day)
    except RecpipeError as error:
        made.refused = True
        return [*sentence_faults(made, error), *unwarranted(made, error), *not_open(made, settings)]
    except Exception as error:
        made.refused = True
        return [f"raw {type(error).__name__}: {str(error)[:300]}"]
    return []


def published_faults(good: list[Made], settings: Settings) -> list[str]:
    days = [made.day for made in good]
    try:
        publish_days(settings, days, stage_days(settings, days))
    except Exception as error:
        return [f"{', '.join(map(shown, good))}: staged and not published, {type(error).__name__}: {str(error)[:400]}"]
    reader = Lake.from_settings(settings).reader()
    tables = {name: reader.read(name).to_pylist() for name in ("events", "items", "users", "quarantine")}
    found = []
    for made in good:
        rows = {name: [row for row in table if row["day"] == made.day] for name, table in tables.items()}
        found += [f"{shown(made)}: {fault}" for fault in conservation_faults(made, rows)]
    return found


# --- refusals ---------------------------------------------------------------------------------------------------------


def sentence_faults(made: Made, error: RecpipeError) -> list[str]:
    text = str(error)
    found = [] if isinstance(error, BadDelivery) else [f"refused as {type(error).__name__}: {text[:300]}"]
    if isinstance(error, AuditFailed):
        found.append("the audit found what staging let through")
    if raw := [word for word in RAW if word in text.lower()]:
        found.append(f"the text of a library ({raw[0]}): {text[:300]}")
    if not text.isprintable() or not text.endswith(".") or len(text) > 2_500:
        found.append(f"no sentence for a person: {text[:200]!r} … {text[-100:]!r}")
    if not any(table in text for table in ("events", "items", "users")):
        found.append(f"does not say where: {text[:200]}")
    return found


def unwarranted(made: Made, error: RecpipeError) -> list[str]:
    clean = not made.damage and not made.unclear
    few_bad = not (made.dirty or made.repeated) or made.settings["max_bad_share"] == 1.0
    return [f"refused without need: {str(error)[:400]}"] if clean and few_bad else []


def not_open(made: Made, settings: Settings) -> list[str]:
    days = [record for record in Lake.from_settings(settings).days() if record.day == made.day]
    found = [f"{record.table} of a refused day is {record.status}" for record in days if record.complete]
    return found or ([] if days else ["the refused day is not marked open"])


# --- rows -------------------------------------------------------------------------------------------------------------


def conservation_faults(made: Made, tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    if len(made.marks) < 3:
        return ["published without its mark"]
    quarantine = tables["quarantine"]
    places = Counter((row["source_table"], row["source_file"], row["row_number"]) for row in quarantine)
    found = [f"{place} is in quarantine {count} times" for place, count in places.items() if count > 1]
    for table in ("events", "items", "users"):
        out = {(row["source_file"], row["row_number"]) for row in quarantine if row["source_table"] == table}
        found += [f"{table}: {fault}" for fault in table_faults(made, table, tables[table], out)]
    return found


def table_faults(made: Made, table: str, rows: list[dict[str, Any]], out: set[tuple[str, int]]) -> list[str]:
    delivered = [row for part in made.parts[table] for row in part.rows]
    copies = len(delivered) - len({row.tag for row in delivered})
    if len(delivered) != len(rows) + len(out):
        return [f"{len(delivered)} rows delivered, {copies} copies, {len(rows)} published, {len(out)} in quarantine"]
    if made.settings["user_key"] or made.damage.partition(" (")[0] not in TRACEABLE:
        return []
    return traced_faults(made, table, rows, out)


def traced_faults(made: Made, table: str, rows: list[dict[str, Any]], out: set[tuple[str, int]]) -> list[str]:
    """Follow every delivered row: to one published row with its values, or to its place in the quarantine."""
    key = {"events": "session_id", "items": "item_id", "users": "user_id"}[table]
    published = {row[key]: row for row in rows}
    tags = Counter(row.tag for part in made.parts[table] for row in part.rows)
    found = []
    last = {row.values[key]: row for part in sorted(made.parts[table], key=lambda part: part.name) for row in part.rows}
    for part in made.parts[table]:
        for number, row in enumerate(part.rows):
            there = published.get(row.tag if table == "events" else row.values[key])
            kept_out = (part.name, number) in out
            readable = row.clean and not any(form.startswith(f"{table}.") for form in made.unclear)
            if readable and not there:
                found.append(f"the clean row {row.tag} is not published")
            elif row.clean and there and last[row.values[key]] is row and (wrong := wrong_values(row.values, there)):
                found.append(f"{row.tag} is published with {wrong}; forms {made.forms}")
            elif table == "events" and tags[row.tag] == 1 and kept_out == bool(there):
                found.append(f"{row.tag} is {'both published and' if there else 'neither published nor'} in quarantine")
    return found


def wrong_values(delivered: dict[str, Any], row: dict[str, Any]) -> str:
    for name, value in delivered.items():
        wanted = TYPES.get(value, value) if name == "event_type" else value
        if name in row and name != "event_id" and row[name] != wanted:
            return f"{name} {row[name]!r} instead of {wanted!r}"
    return ""


# --- the test ---------------------------------------------------------------------------------------------------------


def test_a_random_delivery_is_refused_in_a_sentence_or_every_row_of_it_is_kept_once(tmp_path: Path) -> None:
    homes: dict[Any, Path] = {}
    seen: list[str] = []
    for start in range(START, START + COUNT, TOGETHER):
        shop = make_shop(start)
        deliveries = [make(start + n, FIRST + timedelta(days=n), shop) for n in range(min(TOGETHER, START + COUNT - start))]
        found = faults_of(shop, deliveries, home_of(shop, homes, tmp_path))
        seen += found
        print(
            *found, f"{start + TOGETHER - START} of {COUNT} deliveries, {len(seen)} faults", sep="\n", flush=True
        )  # shown by -s
    assert not seen, f"{len(seen)} faults in {COUNT} deliveries:\n" + "\n".join(seen[: MOST_SHOWN if COUNT <= 100 else None])
