"""What goes wrong between staging and the commit ends in a sentence, and changes nothing that is published."""

import json
import os
import threading
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest

from recpipe.config.settings import load_settings
from recpipe.errors import BadDelivery, Trouble
from recpipe.faults import explained
from recpipe.lake.lake import Lake
from recpipe.tables.ingest.day_commit import publish_day
from recpipe.tables.ingest.days_in import ingest_day
from recpipe.tables.ingest.stage import stage_day

DAY = date(2011, 9, 1)
TABLES = ("events", "items", "users", "quarantine")


def a_day(an_event, name="a", people=3):
    return {
        "events": [an_event(user=f"u{n}", platform=name, quantity=1) for n in range(people)] + [an_event(quantity=0)],
        "items": [{"item_id": "i1", "title": "One", "brand": name}],
        "users": [{"user_id": f"u{n}", "platform": name} for n in range(people)],
    }


def everything(settings, rows_of):
    return {table: rows_of(settings, table) for table in TABLES}


def loose(settings):
    return load_settings(home=settings.places.home, max_bad_share=1.0)


@pytest.mark.parametrize("table", TABLES)
def test_a_staged_file_that_changed_is_not_published(settings, deliver, an_event, rows_of, table):
    shop = loose(settings)
    deliver(shop, **a_day(an_event))
    ingest_day(shop, DAY)
    before = everything(shop, rows_of)
    deliver(shop, **a_day(an_event, "b"))
    folder = stage_day(shop, DAY)
    file = Path(folder) / table / f"{DAY}.parquet"
    whole = bytearray(file.read_bytes())
    whole[len(whole) // 2] ^= 1
    file.write_bytes(whole)
    with pytest.raises(Trouble, match=rf"{table}/{DAY}.parquet has changed since its \d+ rows were staged.*Stage {DAY} again"):
        publish_day(shop, DAY, folder)
    assert everything(shop, rows_of) == before


def test_quarantined_rows_that_are_gone_are_missed(settings, deliver, an_event):
    shop = loose(settings)
    deliver(shop, **a_day(an_event))
    folder = stage_day(shop, DAY)
    (Path(folder) / "quarantine" / f"{DAY}.parquet").unlink()
    with pytest.raises(Trouble, match=rf"holds no quarantine/{DAY}.parquet, where 1 rows were staged"):
        publish_day(shop, DAY, folder)


def test_a_file_that_was_not_staged_is_not_published(settings, deliver, an_event):
    shop = loose(settings)
    deliver(shop, **a_day(an_event))
    folder = Path(stage_day(shop, DAY))
    (folder / "events" / f"{DAY}-more.parquet").write_bytes((folder / "events" / f"{DAY}.parquet").read_bytes())
    with pytest.raises(Trouble, match=rf"{DAY}-more.parquet was not staged by recpipe"):
        publish_day(shop, DAY, str(folder))


@pytest.mark.parametrize(
    "damage", [lambda text: text[:-20], lambda text: text.replace('"rows": 3', '"rows": 2'), lambda text: "[]"]
)
def test_facts_that_changed_are_not_believed(settings, deliver, an_event, damage):
    shop = loose(settings)
    deliver(shop, **a_day(an_event))
    folder = stage_day(shop, DAY)
    facts = Path(folder) / "facts.json"
    assert damage(facts.read_text()) != facts.read_text()
    facts.write_text(damage(facts.read_text()))
    with pytest.raises(Trouble, match=rf"facts.json is damaged. Nothing was published. Stage {DAY} again"):
        publish_day(shop, DAY, folder)


def test_facts_say_what_every_file_holds(settings, deliver, an_event):
    shop = loose(settings)
    deliver(shop, **a_day(an_event))
    facts = json.loads((Path(stage_day(shop, DAY)) / "facts.json").read_text())
    assert {name: file["rows"] for name, file in facts["files"].items()} == {
        f"events/{DAY}.parquet": 3, f"items/{DAY}.parquet": 1, f"quarantine/{DAY}.parquet": 1, f"users/{DAY}.parquet": 3,
    }  # fmt: skip


def test_of_writers_with_different_deliveries_one_has_the_whole_day(settings, deliver, an_event, rows_of):
    """Each publishes its own delivery again and again; at no end of a round are tables of two deliveries there."""
    names = ("a", "b", "c")
    for _ in range(3):
        folders = {}
        for name in names:
            shop = load_settings(home=settings.places.home, run_id=f"run-{name}", max_bad_share=1.0)
            deliver(shop, **a_day(an_event, name, people=200))
            folders[name] = (shop, stage_day(shop, DAY))
        start = threading.Barrier(len(names))

        def publish(shop, folder, start=start):
            start.wait()
            publish_day(shop, DAY, folder)

        writers = [threading.Thread(target=publish, args=folders[name]) for name in names]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        whose = {row["platform"] for table in ("events", "users") for row in rows_of(settings, table)}
        whose |= {row["brand"] for row in rows_of(settings, "items")}
        assert len(whose) == 1
        newest = {record.run_id for record in Lake.from_settings(settings).days()}
        assert newest == {f"run-{whose.pop()}"}


def test_an_error_of_a_library_names_table_file_and_day(settings, deliver, an_event, monkeypatch):
    def fails(*given):
        raise pa.ArrowInvalid("Could not convert \x1b[31m'x'\nwith a second line")

    deliver(settings, **a_day(an_event))
    monkeypatch.setattr("recpipe.tables.ingest.stage.judge", fails)
    with pytest.raises(BadDelivery) as refused:
        ingest_day(settings, DAY)
    assert str(refused.value) == (
        "items/day=2011-09-01/part-0.parquet cannot be taken in as items of 2011-09-01: ArrowInvalid: Could not convert "
        "\\x1b[31m'x'. Mend what is named there, then run the day again."
    )
    assert [(r.table, r.status) for r in Lake.from_settings(settings).days()] == [
        ("events", "open"), ("items", "open"), ("users", "open"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("error", "kind", "sentence"),
    [
        (OSError(28, "No space left on device"), Trouble, "It: the disk is full. Make room"),
        (PermissionError(13, "Permission denied", "/there"), Trouble, "Give recpipe the right to read and write there"),
        (KeyError("ts"), BadDelivery, "It: KeyError: 'ts'. Do that."),
        (ValueError("x" * 5000), BadDelivery, "x" * 299 + "…. Do that."),
    ],
)
def test_causes_outside_of_the_delivery_are_told_apart(error, kind, sentence):
    with pytest.raises(kind) as caught, explained("It", "Do that.", BadDelivery):
        raise error
    assert sentence in str(caught.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs a file system of its own")
def test_a_full_disk_is_a_sentence_and_the_day_stays(settings, deliver, an_event, rows_of, tmp_path):
    import subprocess

    home = tmp_path / "small"
    home.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(home)], capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        shop = load_settings(home=home, max_bad_share=1.0, landing=str(tmp_path / "landing"))
        deliver(shop, **a_day(an_event))
        ingest_day(shop, DAY)
        before = everything(shop, rows_of)
        noise = [os.urandom(600).hex() for _ in range(6000)]
        deliver(shop, events=[an_event(kind="review", user=f"u{n}", text=text) for n, text in enumerate(noise)])
        with pytest.raises(Trouble, match=r"the disk is full\. Make room"):
            ingest_day(shop, DAY)
        assert everything(shop, rows_of) == before
    finally:
        subprocess.run(["umount", "-l", str(home)], check=True)


def test_a_try_that_waited_for_an_earlier_one_of_its_run_finds_the_day_published(settings, deliver, an_event, monkeypatch):
    shop = load_settings(home=settings.places.home, max_bad_share=1.0, run_id="nightly")
    deliver(shop, **a_day(an_event))
    folder, claimed, first = stage_day(shop, DAY), Lake.claimed, []

    @contextmanager
    def after_the_other(self, days):
        monkeypatch.setattr(Lake, "claimed", claimed)
        first.append(publish_day(shop, DAY, folder))
        with claimed(self, days):
            yield

    monkeypatch.setattr(Lake, "claimed", after_the_other)
    assert publish_day(shop, DAY, folder) == first[0]


def test_a_refusal_is_heard_where_the_register_cannot_be_written(settings, deliver, an_event, monkeypatch, caplog):
    def fails(*given):
        raise OSError(5, "Input/output error")

    deliver(settings, **a_day(an_event))
    (settings.places.landing_root / "events" / f"day={DAY}" / "part-0.parquet").write_text("no")
    monkeypatch.setattr(Lake, "mark_open", fails)
    with pytest.raises(BadDelivery, match="is no parquet file"):
        ingest_day(settings, DAY)
    assert "2011-09-01 was refused, and could not be registered as open (OSError)." in caplog.text
