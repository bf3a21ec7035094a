"""Shops of other shapes come in through the same door, by settings alone."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from recpipe.config.settings import load_settings
from recpipe.tables.ingest.days_in import ingest_history
from recpipe.tables.ingest.stage import stage_day
from recpipe.tables.ingest.staged import staged_rows

DAY = date(2015, 5, 3)
RETAILROCKET = {
    "timezone": "UTC", "items_need_title": False,
    "event_columns": {"visitorid": "user_id", "itemid": "item_id", "event": "event_type", "timestamp": "ts"},
    "event_types": {"addtocart": "cart", "transaction": "purchase"},
}  # fmt: skip
GROCER = {
    "timezone": "America/New_York", "items_need_title": False,
    "event_columns": {"household_id": "user_id", "product_id": "item_id", "basket_id": "order_id", "store_id": "platform"},
    "item_columns": {"category_path": "category"}, "user_columns": {"household_id": "user_id"},
    "event_id_from": ["basket_id", "product_id", "quantity", "sales_value", "ts"],
}  # fmt: skip


def test_a_log_of_views_carts_and_purchases(settings, deliver):
    settings = load_settings(home=settings.places.home, **RETAILROCKET)
    times = [datetime(2015, 5, 3, 3, 25, second) for second in (10, 35, 59)]
    log = pa.table(
        {
            "timestamp": pa.array(times, pa.timestamp("ms")), "visitorid": pa.array([1176, 1176, 5], pa.int32()),
            "event": pa.array(["view", "addtocart", "transaction"]).dictionary_encode(),
            "itemid": pa.array([6768, 6768, 26268], pa.int32()),
        }
    )  # fmt: skip
    deliver(settings, DAY, events=log, items=pa.table({"item_id": pa.array([6768, 26268], pa.int32())}))
    folder = Path(stage_day(settings, DAY))
    columns = ["user_id", "item_id", "event_type", "ts"]
    assert staged_rows(folder, "events", [DAY]).to_table(columns=columns).to_pylist() == [
        {"user_id": "1176", "item_id": "6768", "event_type": "view", "ts": times[0].replace(tzinfo=UTC)},
        {"user_id": "1176", "item_id": "6768", "event_type": "cart", "ts": times[1].replace(tzinfo=UTC)},
        {"user_id": "5", "item_id": "26268", "event_type": "purchase", "ts": times[2].replace(tzinfo=UTC)},
    ]
    assert staged_rows(folder, "items", [DAY]).to_table()["item_id"].to_pylist() == ["6768", "26268"]


def test_a_catalogue_with_a_tree_of_categories(settings, deliver):
    settings = load_settings(home=settings.places.home, **GROCER)
    deliver(
        settings, DAY,
        events=[{"household_id": 900, "product_id": 25671, "basket_id": 31198570044, "store_id": 330, "event_type": "purchase",
                 "ts": datetime(2015, 5, 3, 11, 53, 26), "quantity": 1, "sales_value": 0.5}],
        items=[{"item_id": 25671, "title": "Ice 22 LB", "category_path": "GROCERY > FRZN ICE > ICE", "brand": "National", "price": 3.49},
               {"item_id": 26081, "title": None, "category_path": "MISCELLANEOUS >  > ", "brand": None, "price": None}],
        users=[{"household_id": 900, "age": "65+", "income": None}],
    )  # fmt: skip
    folder = Path(stage_day(settings, DAY))
    rows = {table: staged_rows(folder, table, [DAY]).to_table().to_pylist() for table in ("events", "items", "users")}
    assert [(row["user_id"], row["order_id"], row["platform"], row["ts"].hour) for row in rows["events"]] == [
        ("900", "31198570044", "330", 15)
    ]
    assert [(row["item_id"], row["category"], row["brand"]) for row in rows["items"]] == [
        ("25671", ["GROCERY", "FRZN ICE", "ICE"], "National"), ("26081", ["MISCELLANEOUS"], None),
    ]  # fmt: skip
    assert [(row["user_id"], row["attributes"]) for row in rows["users"]] == [("900", [("age", "65+")])]


def by_day(rows: pa.Table) -> dict[date, pa.Table]:
    days = rows["_day"].to_pylist()
    bare = rows.drop_columns("_day")
    return {day: bare.filter(pa.array([found == day for found in days])) for day in set(days)}


def deliver_log(settings, deliver, folder, first, last, item_columns):
    """Deliver real days as they were: events of the day, items and users on the day they are first seen."""
    log = duckdb.connect()
    log.read_parquet(str(folder / "events.parquet")).create_view("log")
    log.read_parquet(str(folder / "items.parquet")).create_view("catalogue")
    log.execute(f"CREATE VIEW e AS SELECT *, ts::DATE _day FROM log WHERE _day BETWEEN '{first}' AND '{last}'")  # noqa: S608  # the days are the test's
    log.execute("CREATE VIEW first_seen AS SELECT item_id, min(_day) _day FROM e GROUP BY item_id")
    events = by_day(log.sql("SELECT * FROM e").to_arrow_table())
    items = by_day(
        log.sql("SELECT * FROM catalogue JOIN first_seen USING (item_id)").to_arrow_table().select([*item_columns, "_day"])
    )
    users = by_day(log.sql("SELECT user_id, min(_day) _day FROM e GROUP BY 1").to_arrow_table())
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        deliver(settings, day, events=events.get(day), items=items.get(day), users=users.get(day))
    return sum(part.num_rows for part in events.values()), sum(part.num_rows for part in items.values())


def test_retailrocket_as_it_is(settings, deliver, real_data, rows_of):
    settings = load_settings(home=settings.places.home, items_need_title=False)
    first, last = date(2015, 5, 3), date(2015, 5, 9)
    events, items = deliver_log(settings, deliver, real_data / "retailrocket_mb", first, last, ["item_id", "title"])
    assert events > 3_000
    rows = ingest_history(settings, first, last)
    assert (rows["events"] + rows["quarantine"], rows["items"]) == (events, items)
    assert rows["events"] >= 0.99 * events
    assert {row["event_type"] for row in rows_of(settings, "events")} == {"view", "cart", "purchase"}


def test_completejourney_as_it_is(settings, deliver, real_data, rows_of):
    settings = load_settings(
        home=settings.places.home, items_need_title=False, item_columns={"category_path": "category"},
        event_id_from=["order_id", "item_id", "quantity", "sales_value", "ts"], timezone="America/New_York",
    )  # fmt: skip
    first, last = date(2017, 1, 2), date(2017, 1, 4)
    columns = ["item_id", "title", "category_path", "brand", "price"]
    events, items = deliver_log(settings, deliver, real_data / "completejourney", first, last, columns)
    assert events > 5_000
    rows = ingest_history(settings, first, last)
    assert (rows["events"] + rows["quarantine"], rows["items"]) == (events, items)
    assert rows["events"] >= 0.95 * events
    catalogue = rows_of(settings, "items")
    assert sum(row["category"] is not None and len(row["category"]) == 3 for row in catalogue) > 0.9 * len(catalogue)
