"""`recpipe check-delivery` on shops of other shapes: what it proposes takes their files in, and it guesses nothing in silence."""

from __future__ import annotations

import csv
import io
import json
import random
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console
from typer.testing import CliRunner

from recpipe.cli.check import _progress
from recpipe.cli.command import app
from recpipe.config.layouts import folder_of
from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadSetting
from recpipe.lake.lake import Lake
from recpipe.onboarding.checked import Asked, Checked, questions
from recpipe.onboarding.delivery_check import check
from recpipe.onboarding.found_layout import find_layout
from recpipe.onboarding.sources import Source
from recpipe.tables.ingest.days_in import ingest_history

FIRST = date(2024, 3, 1)
DAYS = 5


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    return folder


def log(seed: int = 1, count: int = 300) -> list[dict[str, Any]]:
    """Return events of five days, in order, with the plain names of this test; times are naive."""
    dice = random.Random(seed)
    start = datetime.combine(FIRST, datetime.min.time())
    times = sorted(start + timedelta(seconds=dice.randrange(DAYS * 86_400)) for _ in range(count))
    kinds = ["view", "view", "view", "add_to_cart", "transaction"]
    return [
        {"who": f"{dice.randrange(20):04}", "what": f"A-{dice.randrange(40)}", "kind": dice.choice(kinds), "when": when}
        for when in times
    ]


def written(folder: Path, called: str, rows: list[dict[str, Any]], **names: str) -> Path:
    """Write rows under other names as parquet or, where the name says so, as csv."""
    renamed = [{names[key]: value for key, value in row.items() if key in names} for row in rows]
    file = folder / called
    if called.endswith(".csv"):
        with file.open("w", newline="") as stream:
            to = csv.DictWriter(stream, renamed[0].keys())
            to.writeheader()
            to.writerows(renamed)
    else:
        pq.write_table(pa.Table.from_pylist(renamed), file)
    return file


def checked_and_taken_in(shop: Path, tmp_path: Path, **asked: Any) -> tuple[Checked, Settings, dict[str, int]]:
    """Check, cut and take in, with nothing but what was proposed."""
    landing = tmp_path / "cut"
    checked = check(Asked(shop, cut=landing, **asked), tmp_path / "scratch")
    assert checked.proposal.missing == []
    settings = load_settings(home=tmp_path / "home", **checked.proposal.settings())
    return checked, settings, ingest_history(settings, checked.survey.first, checked.survey.last)


def test_a_shop_of_csv_files_with_names_of_its_own_comes_in_without_a_hand(shop: Path, tmp_path: Path) -> None:
    rows = log()
    written(shop, "Orders Export.csv", rows, who="Customer No", what="StockCode", kind="Action", when="Event Time")
    goods = [{"what": f"A-{n}", "name": f"Lamp {n}", "tree": f"Home / Light / {n % 3}", "cost": n + 0.5} for n in range(40)]
    written(shop, "products.csv", goods, what="StockCode", name="Product Name", tree="Category Path", cost="Unit Price")
    people = [{"who": f"{n:04}", "since": "2024-03-02", "land": "France"} for n in range(20)]
    written(shop, "customers.csv", people, who="Customer No", since="Signup Date", land="Country")
    checked, settings, counted = checked_and_taken_in(shop, tmp_path, zone="Europe/Paris")
    assert (counted["events"], counted["items"], counted["users"], counted["quarantine"]) == (300, 40, 20, 0)
    reader = Lake.from_settings(settings).reader()
    events = reader.read("events").to_pylist()
    assert {row["user_id"] for row in events} == {row["who"] for row in rows}  # 0007 stays 0007
    assert {row["event_type"] for row in events} == {"view", "cart", "purchase"}
    assert min(row["ts"] for row in events) == rows[0]["when"].astimezone(UTC) - timedelta(hours=1)
    items = {row["item_id"]: row for row in reader.read("items").to_pylist()}
    assert items["A-7"]["category"] == ["Home", "Light", "1"]
    assert (items["A-7"]["title"], items["A-7"]["price"]) == ("Lamp 7", 7.5)
    assert {row["country"] for row in reader.read("users").to_pylist()} == {"France"}
    assert checked.proposal.settings()["event_types"] == {"add_to_cart": "cart", "transaction": "purchase"}


def test_a_log_alone_tells_of_items_and_users_on_the_day_they_are_first_met(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"name": f"Thing {row['what']}"} for row in log()]
    written(shop, "log.parquet", rows, who="visitorId", what="productId", kind="event", when="timestamp", name="title")
    _, settings, counted = checked_and_taken_in(shop, tmp_path)
    assert counted["events"] == 300
    for table, key, column in (("items", "what", "item_id"), ("users", "who", "user_id")):
        first: dict[str, date] = {}
        for row in rows:
            first.setdefault(row[key], row["when"].date())
        found = Lake.from_settings(settings).reader().read(table).to_pylist()
        assert {row[column]: row["day"] for row in found} == first
        assert len(found) == len(first)
    titles = {row["title"] for row in Lake.from_settings(settings).reader().read("items").to_pylist()}
    assert titles == {f"Thing {row['what']}" for row in rows}


def test_columns_without_telling_names_are_found_by_what_they_hold_and_asked_for(shop: Path, tmp_path: Path) -> None:
    rows = log()
    written(shop, "a.parquet", rows, who="c1", what="c2", kind="c3", when="c4")
    goods = [{"what": f"A-{n}", "name": f"Lamp {n}"} for n in range(40)]
    written(shop, "product.parquet", goods, what="x", name="Name")
    people = [{"who": f"{n:04}", "since": datetime(2024, 3, 1), "land": "FR"} for n in range(20)]
    written(shop, "customer.parquet", people, who="y", since="joined", land="country")
    checked, _, counted = checked_and_taken_in(shop, tmp_path)
    found = {name: guess.delivered for name, guess in checked.tables["events"].guesses.items()}
    assert found == {"user_id": "c1", "item_id": "c2", "event_type": "c3", "ts": "c4"}
    assert counted["events"] == 300
    evidence = checked.tables["events"].guesses["item_id"].evidence
    assert "100% of its values are in x of product.parquet" in evidence
    asked = list(questions(checked.proposal))
    assert any("Is c2 the item_id of events?" in question and "--column events.item_id=COLUMN" in question for question in asked)


def test_what_a_person_says_wins(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"odd": "seen" if row["kind"] == "view" else row["kind"]} for row in log()]
    written(shop, "one.parquet", rows, who="account", what="sku", odd="phase", kind="kind", when="time")
    checked, _, _ = checked_and_taken_in(
        shop, tmp_path, columns={"events": {"event_type": "phase"}}, kinds={"seen": "view"}, zone="Asia/Tokyo"
    )
    settings = checked.proposal.settings()
    assert settings["event_types"] == {"seen": "view", "add_to_cart": "cart", "transaction": "purchase"}
    assert settings["timezone"] == "Asia/Tokyo"
    assert settings["event_columns"]["phase"] == "event_type"


def test_kinds_that_nobody_knows_are_set_aside_and_asked_for(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"kind": "remove" if n % 10 == 0 else row["kind"]} for n, row in enumerate(log())]
    written(shop, "log.parquet", rows, who="user_id", what="item_id", kind="event_type", when="ts")
    checked, _, counted = checked_and_taken_in(shop, tmp_path)
    assert checked.proposal.settings()["set_aside_event_types"] == ["remove"]
    assert (counted["events"], counted["quarantine"]) == (270, 30)
    assert any("What are remove?" in question for question in questions(checked.proposal))


def test_events_without_a_kind_are_taken_for_one_and_it_is_asked_for(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"stars": n % 5 + 1} for n, row in enumerate(log())]
    written(shop, "reviews.parquet", rows, who="reviewerID", what="asin", stars="overall", when="reviewTime")
    checked, settings, _ = checked_and_taken_in(shop, tmp_path)
    assert {row["event_type"] for row in Lake.from_settings(settings).reader().read("events").to_pylist()} == {"review"}
    assert any("Are all of them review?" in question for question in questions(checked.proposal))


def test_instants_that_spark_writes_stay_instants_when_they_are_cut(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"kind": "view"} for row in log()]
    table = pa.Table.from_pylist(
        [{"user_id": r["who"], "item_id": r["what"], "event_type": "view", "ts": r["when"]} for r in rows]
    )
    pq.write_table(table, shop / "log.parquet", use_deprecated_int96_timestamps=True)
    checked, settings, counted = checked_and_taken_in(shop, tmp_path, zone="Asia/Shanghai")
    assert counted["events"] == 300
    events = Lake.from_settings(settings).reader().read("events").to_pylist()
    assert sorted(row["ts"] for row in events) == [row["when"].replace(tzinfo=UTC) for row in rows]
    assert "INT96" in next(line.evidence for line in checked.proposal.lines if line.name == "timezone")


def test_a_catalogue_without_titles_gets_them_from_what_it_has(shop: Path, tmp_path: Path) -> None:
    written(shop, "log.parquet", log(), who="user_id", what="item_id", kind="event_type", when="ts")
    goods = [{"what": f"A-{n}", "maker": "Acme", "sort": f"lamp {n % 7}"} for n in range(39)] + [
        {"what": "A-39", "maker": "B", "sort": "desk"}
    ]
    written(shop, "items.parquet", goods, what="item_id", maker="brand", sort="product_type")
    _, settings, _ = checked_and_taken_in(shop, tmp_path)
    assert {row["title"] for row in Lake.from_settings(settings).reader().read("items").to_pylist()} == {
        "B desk", *(f"Acme lamp {n}" for n in range(7)),
    }  # fmt: skip


def test_what_would_stay_out_is_said_with_the_reason(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"cost": -1.0 if n == 0 else 2.0} for n, row in enumerate(log())]
    written(shop, "log.parquet", rows, who="user_id", what="item_id", kind="event_type", when="ts", cost="price")
    checked = check(Asked(shop), tmp_path / "scratch")
    assert dict(checked.trial.out) == {("events", "negative price", "price", False): 1}
    assert checked.ingestible
    assert checked.trial.rows["events"] == 299


def test_days_that_would_be_refused_are_missing_with_the_sentence_of_the_ingest(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"cost": -1.0} for row in log()]
    written(shop, "log.parquet", rows, who="user_id", what="item_id", kind="event_type", when="ts", cost="price")
    checked = check(Asked(shop), tmp_path / "scratch")
    assert not checked.ingestible
    assert "negative price" in checked.proposal.missing[0]
    assert "other days that were tried" in checked.proposal.missing[0]


def test_files_that_are_no_log_say_what_is_missing(shop: Path, tmp_path: Path) -> None:
    written(shop, "products.parquet", [{"what": f"A-{n}", "name": "x"} for n in range(9)], what="sku", name="name")
    (shop / "notes.docx").write_bytes(b"PK\x03\x04")
    (shop / "broken.parquet").write_bytes(b"PAR1 and no more")
    result = CliRunner().invoke(app, ["check-delivery", str(shop)])
    assert result.exit_code == 1
    assert "Missing: No file has a time and an item in each row" in result.output
    assert "notes.docx is neither parquet nor csv" in result.output
    assert "broken.parquet is truncated or damaged" in result.output


def test_the_command_writes_an_environment_with_which_the_next_one_works(
    shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written(shop, "it's.csv", log(), who="Customer's Id", what="Item", kind="Action", when="Time")
    file, cut = tmp_path / "env" / "recpipe.env", tmp_path / "days"
    more = ["--column", "events.user_id=Customer's Id", "--timezone", "Europe/London"]
    result = CliRunner().invoke(app, ["check-delivery", str(shop), "--write", str(file), "--cut", str(cut), *more])
    assert result.exit_code == 0, result.output
    assert "Next: recpipe history --from 2024-03-01 --to 2024-03-05" in result.output
    text = file.read_text()
    assert "# said by you; Time holds texts such as 9999-99-99 99:99:99" in text
    assert "RECPIPE_TIMEZONE='Europe/London'" in text
    monkeypatch.setenv("RECPIPE_ENV_FILE", str(file))
    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    taken = CliRunner().invoke(app, ["history", "--from", "2024-03-01", "--to", "2024-03-05"])
    assert taken.exit_code == 0, taken.output
    assert "300 rows of events" in taken.output
    again = CliRunner().invoke(app, ["check-delivery", str(shop), "--write", str(file)])
    assert isinstance(again.exception, BadSetting)


def test_nothing_is_cut_into_a_folder_that_is_in_use(shop: Path, tmp_path: Path) -> None:
    written(shop, "log.parquet", log(), who="user_id", what="item_id", kind="event_type", when="ts")
    with pytest.raises(BadSetting, match="is not empty"):
        check(Asked(shop, cut=shop), tmp_path / "scratch")


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (["--table", "orders=x"], "no table that a shop delivers"),
        (["--table", "events"], "no pair"),
        (["--table", "events=none.parquet"], "There is no none.parquet for events"),
        (["--column", "events.colour=x"], "events.colour, which there is not"),
        (["--event-type", "x=teleport"], "no kind of events"),
        (["--timezone", "Mars/North"], "no time zone"),
    ],
)
def test_what_a_person_says_is_checked(shop: Path, option: list[str], said: str) -> None:
    written(shop, "log.parquet", log(), who="user_id", what="item_id", kind="event_type", when="ts")
    result = CliRunner().invoke(app, ["check-delivery", str(shop), *option])
    assert isinstance(result.exception, BadSetting)
    assert said in str(result.exception)


def test_names_of_others_bring_no_control_signs_to_the_terminal(shop: Path) -> None:
    rows = [row | {"x": 1} for row in log()]
    written(
        shop, "log\x1b[31m.parquet", rows, who="user_id", what="item_id", kind="event_type", when="ts", x="\x1b]0;gone\x07[red]"
    )
    (shop / "other\x1b[2J.bin").write_bytes(b"x")
    result = CliRunner().invoke(app, ["check-delivery", str(shop)])
    assert result.exit_code == 0
    assert not {sign for sign in result.output if not sign.isprintable() and sign != "\n"}


def test_nothing_of_the_persons_own_home_is_touched(shop: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = tmp_path / "mine"
    home.mkdir()
    monkeypatch.chdir(home)
    written(shop, "log.parquet", log(), who="user_id", what="item_id", kind="event_type", when="ts")
    before = {file: file.read_bytes() for file in shop.rglob("*")}
    assert CliRunner().invoke(app, ["check-delivery", str(shop)]).exit_code == 0
    assert list(home.rglob("*")) == []
    assert {file: file.read_bytes() for file in shop.rglob("*")} == before


@pytest.mark.parametrize("name", ["retailrocket_mb", "yoochoose_100k", "movielens_small"])
def test_a_real_log_comes_in_without_a_hand(name: str, real_data: Path, tmp_path: Path) -> None:
    if not (real_data / name).is_dir():
        pytest.skip(f"{real_data} has no {name}")
    checked = check(Asked(real_data / name), tmp_path / "scratch")
    assert checked.proposal.missing == []
    assert checked.trial.rows["events"] > 1000
    bad = sum(count for (_, _, _, aside), count in checked.trial.out.items() if not aside)
    assert bad < 0.01 * checked.trial.delivered
    json.dumps(checked.proposal.settings())


def laid(shop: Path, folder: str, marks: bool = True) -> list[dict[str, Any]]:
    """Lay a log down in folders of its days; the pattern may name {table} and the parts of the day."""
    rows = log()
    for number in range(DAYS):
        day = FIRST + timedelta(days=number)
        of_day = [row for row in rows if row["when"].date() == day]
        for table in ("clicks", "goods", "people"):
            place = shop / folder.format(table=table, day=day)
            place.mkdir(parents=True)
            if table == "clicks":
                written(place, "part-0.parquet", of_day, who="user_id", what="item_id", kind="event_type", when="ts")
            elif number == 0:
                names = [{"what": f"A-{n}", "title": f"Lamp {n}"} for n in range(40)]
                people = [{"who": f"{n:04}", "joined": "2024-03-01"} for n in range(20)]
                if table == "goods":
                    written(place, "part-0.parquet", names, what="item_id", title="title")
                else:
                    written(place, "part-0.parquet", people, who="user_id", joined="registered_at")
            if marks:
                (place / "_SUCCESS").touch()
    return rows


@pytest.mark.parametrize(
    "folder",
    [
        "{table}/dt={day}",
        "{table}/{day:%Y%m%d}",
        "{table}/year={day.year}/month={day:%m}/day={day:%d}",
        "{table}/{day:%Y}/{day:%m}/{day:%d}",
        "shop/{table}/day={day}",
    ],
)
def test_days_that_lie_in_folders_are_taken_in_where_they_lie(shop: Path, tmp_path: Path, folder: str) -> None:
    laid(shop, folder)
    tables = {"events": "clicks", "items": "goods", "users": "people"}
    checked = check(Asked(shop), tmp_path / "scratch")
    assert checked.proposal.missing == []
    assert {table: one.sample.source.name.rpartition("/")[2] for table, one in checked.tables.items()}["events"] == tables[
        "events"
    ]
    settings = load_settings(home=tmp_path / "home", **checked.proposal.settings())
    counted = ingest_history(settings, checked.survey.first, checked.survey.last)
    assert (counted["events"], counted["items"], counted["users"]) == (300, 40, 20)


def test_folders_without_a_mark_say_what_is_missing(shop: Path, tmp_path: Path) -> None:
    laid(shop, "{table}/day={day}", marks=False)
    checked = check(Asked(shop), tmp_path / "scratch")
    assert "_SUCCESS is missing" in checked.proposal.missing[0]


def test_structs_numbers_since_1970_and_names_for_nobody(shop: Path, tmp_path: Path) -> None:
    rows = log()
    told = [
        {
            "user": {"id": "undefined" if n % 10 == 0 else row["who"]}, "product": {"sku": row["what"], "name": "x"},
            "event_name": row["kind"], "event_timestamp": int(row["when"].replace(tzinfo=UTC).timestamp() * 1_000_000),
        }
        for n, row in enumerate(rows)
    ]  # fmt: skip
    pq.write_table(pa.Table.from_pylist(told), shop / "ga4.parquet")
    checked, settings, counted = checked_and_taken_in(shop, tmp_path)
    assert counted["events"] == 300
    assert "numbers: microseconds since 1970" in next(line.evidence for line in checked.proposal.lines if line.name == "timezone")
    events = Lake.from_settings(settings).reader().read("events").to_pylist()
    assert sorted(row["ts"] for row in events) == [row["when"].replace(tzinfo=UTC) for row in rows]
    assert sum(row["user_id"] is None for row in events) == checked.survey.without_user == 30


def test_days_on_which_a_history_would_stop_are_proposed_as_right_and_asked_for(shop: Path, tmp_path: Path) -> None:
    closed = date(2024, 4, 3)
    rows = [
        {"who": f"u{n % 50}", "what": f"A-{n % 40}", "kind": "view", "when": datetime(2024, 3, 1, 9) + timedelta(days=day, seconds=n)}
        for day in range(40) for n in range(3 if date(2024, 3, 1) + timedelta(days=day) == closed else 1_050)
    ]  # fmt: skip
    written(shop, "log.parquet", rows, who="user_id", what="item_id", kind="event_type", when="ts")
    checked, settings, counted = checked_and_taken_in(shop, tmp_path)
    assert settings.intake.accepted_days == [closed]
    assert counted["events"] == len(rows)
    assert any("2024-04-03" in question for question in questions(checked.proposal))


def test_an_export_that_is_cut_at_another_midnight_is_a_question(shop: Path, tmp_path: Path) -> None:
    start = datetime(2024, 3, 1, tzinfo=UTC)
    for number in range(3):
        day = FIRST + timedelta(days=number)
        rows = [
            {
                "user_id": f"u{n % 9}",
                "item_id": f"A-{n % 7}",
                "event_type": "view",
                "ts": start + timedelta(days=number, minutes=4 * n),
            }
            for n in range(360)
        ]
        for table in ("events", "items", "users"):
            (shop / table / f"day={day}").mkdir(parents=True)
            (shop / table / f"day={day}" / "_SUCCESS").touch()
        pq.write_table(pa.Table.from_pylist(rows), shop / "events" / f"day={day}" / "a.parquet")
        pq.write_table(pa.table({"item_id": [f"A-{number}"], "title": ["x"]}), shop / "items" / f"day={day}" / "a.parquet")
        pq.write_table(pa.table({"user_id": [f"u{number}", f"v{number}"]}), shop / "users" / f"day={day}" / "a.parquet")
    checked = check(Asked(shop, zone="America/New_York"), tmp_path / "scratch")
    told = [*questions(checked.proposal), *checked.proposal.missing]
    assert any("midnight" in one for one in told)
    assert not any("midnight" in one for one in questions(check(Asked(shop), tmp_path / "other").proposal))


def test_kinds_that_are_numbers_are_missing_until_a_person_says_what_they_are(shop: Path, tmp_path: Path) -> None:
    rows = [row | {"kind": n % 2 + 1 if n else None} for n, row in enumerate(log())]
    written(shop, "log.parquet", rows, who="user_id", what="item_id", kind="action_type", when="ts")
    checked = check(Asked(shop), tmp_path / "scratch")
    assert "2 of 2 kinds of events in action_type are not known, such as" in checked.proposal.missing[0]
    _, _, counted = checked_and_taken_in(shop, tmp_path, kinds={"1": "view", "2": "purchase"})
    assert (counted["events"], counted["quarantine"]) == (299, 1)  # one has no kind


def test_a_name_in_the_bar_is_neither_markup_nor_steers_the_terminal():
    out = io.StringIO()
    with _progress(Console(file=out, force_terminal=True, width=100)) as say:
        say("looking at a[/b]\x1b[2Jc.csv", 0, 1)
    assert "a[/b]\\x1b[2Jc.csv" in out.getvalue()


@pytest.mark.parametrize(
    ("folders", "pattern"),
    [
        (["year=2024/month=3/day=5", "year=2024/month=12/day=25"], "{table}/year={year}/month={month}/day={day}"),
        (["2024/3/05", "2024/11/30"], "{table}/{year}/{month}/{day:02}"),
        (["2024/03/05", "2024/11/30"], "{table}/{year}/{month:02}/{day:02}"),
    ],
)
def test_months_of_one_digit_and_of_two_are_one_layout(tmp_path: Path, folders: list[str], pattern: str) -> None:
    files = tuple(tmp_path / "events" / folder / "part-0.parquet" for folder in folders)
    found = find_layout(tmp_path, {"events": Source("events", files, pa.schema([]), 0, ("events/*",))})
    assert found is not None
    assert (found.pattern, len(found.days)) == (pattern, 2)
    assert [folder_of(found.pattern, "events", day) for day in found.days] == [f"events/{folder}" for folder in folders]
