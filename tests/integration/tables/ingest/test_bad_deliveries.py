"""Every kind of bad delivery is refused with one sentence that names file, column and remedy."""

from datetime import date, datetime

import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import BadDelivery, BadSetting, MissingDay, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.day_commit import publish_day
from recpipe.tables.ingest.days_in import ingest_day, ingest_history
from recpipe.tables.ingest.landed.delivery import find_delivery
from recpipe.tables.ingest.stage import stage_day

DAY = date(2011, 9, 1)


def refusal(settings, day=DAY) -> str:
    with pytest.raises(BadDelivery) as caught:
        stage_day(settings, day)
    return str(caught.value)


def test_a_delivery_without_its_marks_is_not_complete(settings, deliver, an_event):
    deliver(settings, events=[an_event()])
    (settings.places.landing_root / "users" / "day=2011-09-01" / "_SUCCESS").unlink()
    (settings.places.landing_root / "events" / "day=2011-09-01" / "_SUCCESS").unlink()
    assert not find_delivery(settings, DAY).complete
    assert refusal(settings) == (
        "The delivery of 2011-09-01 is not complete: _SUCCESS is missing in users/day=2011-09-01, events/day=2011-09-01 under "
        f"{settings.places.landing_root}. Write _SUCCESS into each folder once its last file is there; a folder with _SUCCESS alone "
        "says that nothing happened."
    )


def test_a_file_that_is_no_parquet(settings, deliver, an_event, part):
    deliver(settings, events=[an_event()])
    part(settings, "events").write_text("user_id,item_id\n1,2\n")
    assert refusal(settings) == (
        "events/day=2011-09-01/part-0.parquet is no parquet file: write it as parquet, then run the day again."
    )


@pytest.mark.parametrize("keep", [0.5, 0.99])
def test_a_truncated_file(settings, deliver, an_event, part, keep):
    deliver(settings, events=[an_event(user=str(n)) for n in range(1000)])
    whole = part(settings, "events").read_bytes()
    part(settings, "events").write_bytes(whole[: int(len(whole) * keep)])
    assert refusal(settings) == (
        "events/day=2011-09-01/part-0.parquet is truncated or damaged: copy it again, and write _SUCCESS only after the last "
        "byte; then run the day again."
    )


def test_a_file_that_is_damaged_in_the_middle(settings, deliver, an_event, part):
    deliver(settings, events=[an_event(user=str(n)) for n in range(1000)])
    whole = bytearray(part(settings, "events").read_bytes())
    whole[10:200] = bytes(190)
    part(settings, "events").write_bytes(whole)
    assert "part-0.parquet is truncated or damaged" in refusal(settings)


def test_a_needed_column_is_missing(settings, deliver, an_event):
    row = an_event()
    row["product"] = row.pop("item_id")
    deliver(settings, events=[row])
    assert refusal(settings) == (
        "events/day=2011-09-01/part-0.parquet has no column item_id, which events need (it has: user_id, event_type, ts, "
        "product). Deliver it, or name the column that holds it in RECPIPE_EVENT_COLUMNS."
    )


def test_items_without_a_column_of_titles(settings, deliver):
    deliver(settings, items=[{"item_id": "a"}])
    assert refusal(settings) == (
        "items/day=2011-09-01/part-0.parquet has no column title, which items need (it has: item_id). Deliver it, or name the "
        "column that holds it in RECPIPE_ITEM_COLUMNS."
    )


@pytest.mark.parametrize(
    ("column", "value", "sentence"),
    [
        ("user_id", 12345.0, "column user_id has type double; ids are text or whole numbers: deliver it as text, 12345 and not 12345.0."),
        ("item_id", True, "column item_id has type bool; ids are text or whole numbers: deliver it as text, 12345 and not 12345.0."),
        ("ts", True, "column ts has type bool; deliver it as timestamps, as texts such as 2026-03-10 10:00:00, or as numbers since 1970."),
        ("event_type", 1.5, "column event_type has type double; deliver it as text."),
        ("price", True, "column price has type bool; deliver it as numbers."),
        ("quantity", datetime(2011, 9, 1), "column quantity has type timestamp[us]; deliver it as whole numbers."),
    ],
)  # fmt: skip
def test_a_column_of_a_wrong_type(settings, deliver, an_event, column, value, sentence):
    deliver(settings, events=[{**an_event(), column: value}])
    assert refusal(settings) == f"events/day=2011-09-01/part-0.parquet: {sentence}"


def test_two_columns_for_one(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, event_columns={"unit_price": "price"})
    deliver(settings, events=[an_event(price=1.0, unit_price=2.0)])
    assert refusal(settings) == (
        "events/day=2011-09-01/part-0.parquet has two columns for price of events: price and unit_price. Leave one out, or "
        "mend RECPIPE_EVENT_COLUMNS."
    )


def test_a_column_that_event_ids_are_made_of_is_missing(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, event_id_from=["order_id", "line_no"])
    deliver(settings, events=[an_event(order_id="o1")])
    assert refusal(settings) == (
        "events/day=2011-09-01/part-0.parquet has no column line_no, which RECPIPE_EVENT_ID_FROM makes event ids from (it has: "
        "user_id, item_id, event_type, ts, order_id). Deliver it, or mend the setting."
    )


def test_a_setting_that_names_no_column(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, event_columns={"when": "time"})
    deliver(settings, events=[an_event()])
    with pytest.raises(
        BadSetting, match=r"RECPIPE_EVENT_COLUMNS sends when to time, which events does not have. Use one of: event_id"
    ):
        stage_day(settings, DAY)


def test_too_many_bad_rows(settings, deliver, an_event):
    deliver(
        settings, events=[an_event(user=str(n), item=None if n < 6 else "i", price=-1.0 if n == 6 else 1.0) for n in range(100)]
    )
    assert refusal(settings) == (
        "7 of 100 rows of events of 2011-09-01 are bad: 7.0%, where at most 5.0% may be (6 × no item id (item_id), 1 × negative "
        "price (price)). Nothing was published. Mend the delivery and run the day again, or raise RECPIPE_MAX_BAD_SHARE."
    )
    assert [(r.table, r.status) for r in Lake.from_settings(settings).days()] == [
        ("events", "open"), ("items", "open"), ("users", "open"),
    ]  # fmt: skip


def test_too_many_events_that_differ_and_have_one_id(settings, deliver, an_event):
    deliver(settings, events=[an_event(user=str(n), event_id=f"e{n % 50}") for n in range(100)])
    assert refusal(settings) == (
        "50 of 100 rows of events of 2011-09-01 are bad: 50.0%, where at most 5.0% may be (50 × replaced by a later row of the day). "
        "Nothing was published. Events that differ have one id: name in RECPIPE_EVENT_ID_FROM the delivered columns that tell them "
        "apart (event_id may be one of them), or deliver ids of which each is one event's; then run the day again."
    )


def test_rows_that_are_set_aside_do_not_count_as_bad(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, set_aside_event_types=["adjustment"], item_id_pattern=r"^i\d+$")
    aside = [an_event(kind="adjustment", user=str(n)) for n in range(40)] + [
        an_event(item="POST", user=str(n)) for n in range(40)
    ]
    good = [an_event(item=f"i{n}") for n in range(20)]
    deliver(settings, events=aside + good, items=[{"item_id": "POST", "title": "Postage"}, {"item_id": "i1", "title": "One"}])
    assert publish_day(settings, DAY, stage_day(settings, DAY)) == {"items": 1, "users": 0, "quarantine": 81, "events": 20}


def test_the_catalogue_has_to_be_there_where_events_are_held_against_it(settings, deliver, an_event):
    settings = load_settings(home=settings.places.home, items_must_be_known=True, first_day=date(2011, 8, 30))
    deliver(settings, events=[an_event()])
    with pytest.raises(MissingDay) as caught:
        stage_day(settings, DAY)
    assert str(caught.value) == (
        "Events of 2011-09-01 are held against the catalogue, and the items of 2011-08-30 and 1 more are not there yet: take in "
        "every day from 2011-08-30 first, move RECPIPE_FIRST_DAY, or set RECPIPE_ITEMS_MUST_BE_KNOWN to false."
    )


def test_a_staged_day_that_is_gone(settings, tmp_path):
    with pytest.raises(RecpipeError, match=r"holds no staged day .* stage 2011-09-01 again, then publish it"):
        publish_day(settings, DAY, str(tmp_path))


def test_history_names_the_first_day_that_is_not_complete_before_it_begins(settings, deliver):
    deliver(settings, date(2011, 9, 1))
    with pytest.raises(BadDelivery) as caught:
        ingest_history(settings, date(2011, 9, 1), date(2011, 9, 4))
    assert str(caught.value).startswith("The delivery of 2011-09-02 is not complete: ")
    assert str(caught.value).endswith(" The same holds for 2 other days up to 2011-09-04.")
    assert Lake.from_settings(settings).days() == []


def test_a_bad_redelivery_leaves_the_published_day_served(settings, deliver, an_event, part, rows_of):
    deliver(settings, events=[an_event()], items=[{"item_id": "i1", "title": "One"}], users=[{"user_id": "u1"}])
    ingest_day(settings, DAY)
    before = {table: rows_of(settings, table) for table in ("events", "items", "users", "quarantine")}
    register = Lake.from_settings(settings).days()
    for spoil in (lambda file: file.write_bytes(b"no"), lambda file: file.write_bytes(b"PAR1 broken")):
        spoil(part(settings, "events"))
        refusal(settings)
    deliver(settings, events=[an_event(item=None)])
    refusal(settings)
    assert {table: rows_of(settings, table) for table in before} == before
    assert Lake.from_settings(settings).days() == register
