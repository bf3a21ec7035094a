"""Verdicts hold counts and no values, are stored whatever they say, and do not depend on how rows are cut."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from days_of_tables import DAY, GOOD_FACTS, MORNING, good_rows
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recpipe.config.settings import Settings
from recpipe.errors import AuditFailed
from recpipe.validation.audit import DayPart, audit, audit_days
from recpipe.validation.frames import DayCount
from recpipe.validation.suites import LIST_FACTS, SUITES
from recpipe.validation.verdicts import Verdict, load_verdict

SECRET = "planted-person-4711"


def stored_bytes(settings: Settings) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in settings.places.home.rglob("*") if path.is_file()}


@pytest.mark.parametrize("table", ["events", "users", "episodes", "recommendations", "quarantine"])
def test_no_user_id_is_in_any_byte_of_a_verdict_or_page(table: str, settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    column = "payload" if table == "quarantine" else "user_id"
    text = f'{{"user_id": "{SECRET}"}}' if table == "quarantine" else SECRET
    changes = {column: text} | {"events": {"event_type": SECRET}, "episodes": {"cohort": SECRET}}.get(table, {})
    rows = good_rows(table, **changes)
    twice = pa.concat_tables([rows, rows])  # a key that comes twice fails too
    facts = GOOD_FACTS.get(table, {}) | {"said": SECRET}
    with caplog.at_level(logging.DEBUG):
        verdict = audit(settings, table, DAY, twice.to_batches(), facts)
    assert verdict.failed
    with pytest.raises(AuditFailed) as error:
        verdict.raise_if_failed()
    assert SECRET not in str(error.value)
    assert SECRET not in repr(verdict)
    assert SECRET not in caplog.text
    written = stored_bytes(settings)
    assert len(written) == 3  # verdict, page, index
    assert not [path for path, content in written.items() if SECRET.encode() in content]


def test_a_verdict_is_stored_beside_the_table_even_when_it_failed(settings: Settings) -> None:
    verdict = audit(settings, "events", DAY, good_rows("events", price=-1.0).to_batches(), {"bad_share": 0.0})
    assert verdict.failed
    assert (Path(settings.places.lake_root) / "_verdicts" / "events" / "2011-09-01.json").exists()
    assert load_verdict(settings.places, "events", DAY) == verdict
    assert load_verdict(settings.places, "events", date(2011, 9, 2)) is None
    page = (settings.places.reports / "verdicts" / "events-2011-09-01.html").read_text()
    assert "Refused: 22 of 23 checks passed" in page
    assert "1 of 4 rows are otherwise" in page
    assert "events-2011-09-01.html" in (settings.places.reports / "verdicts" / "index.html").read_text()


def test_a_later_verdict_of_the_day_replaces_the_first(settings: Settings) -> None:
    audit(settings, "events", DAY, good_rows("events", price=-1.0).to_batches(), {"bad_share": 0.0})
    second = audit(settings, "events", DAY, good_rows("events").to_batches(), {"bad_share": 0.0})
    assert load_verdict(settings.places, "events", DAY) == second
    assert not second.failed
    assert len(stored_bytes(settings)) == 3  # nothing is left beside verdict, page and index


def test_a_warning_does_not_stop_and_a_failure_does(settings: Settings) -> None:
    warned = audit(settings, "items", DAY, good_rows("items", title=None).to_batches(), {"bad_share": 0.0})
    assert [check.name for check in warned.warnings] == ["title_filled"]
    warned.raise_if_failed()
    failed = audit(settings, "items", DAY, good_rows("items", price=-1.0).to_batches(), {"bad_share": 0.0})
    with pytest.raises(AuditFailed, match="Day 2011-09-01 of table items was not published"):
        failed.raise_if_failed()


def test_a_page_is_whole_in_itself(settings: Settings) -> None:
    audit(settings, "events", DAY, good_rows("events").to_batches(), {"bad_share": 0.0})
    for page in (settings.places.reports / "verdicts").glob("*.html"):
        text = page.read_text()
        assert "http" not in text
        assert "<script" not in text
        assert "src=" not in text


def test_great_expectations_says_nothing_home_and_writes_nothing(settings: Settings, tmp_path: Path) -> None:
    import os

    from recpipe.validation.gx import _batch_definition

    audit(settings, "events", DAY, good_rows("events").to_batches(), {"bad_share": 0.0})
    assert os.environ["GX_ANALYTICS_ENABLED"] == "false"
    context = _batch_definition().data_asset.datasource.data_context
    assert context.config.analytics_enabled is False
    assert type(context).__name__ == "EphemeralDataContext"
    assert context.config.data_docs_sites == {}
    assert not list(tmp_path.rglob("gx"))


def broken_days() -> list[tuple[date, pa.Table]]:
    """Return five days, of which the second, fourth and fifth break something."""
    changes = [{}, {"price": -1.0}, {}, {"event_type": "buy"}, {"event_id": "e2"}]
    shifted = []
    for n, change in enumerate(changes):
        day = DAY + timedelta(days=n)
        rows = good_rows("events", **change).drop_columns(["day"]).add_column(0, "day", pa.array([day] * 4, pa.date32()))
        ts = pa.array([MORNING + timedelta(days=n)] * 4, rows.schema.field("ts").type)
        shifted.append((day, rows.set_column(rows.schema.names.index("ts"), "ts", ts)))
    return shifted


def test_days_held_together_get_the_verdicts_of_days_held_apart(settings: Settings) -> None:
    days = broken_days()
    together = audit_days(settings, "events", [DayPart(day, rows.to_batches(), {"bad_share": 0.0}) for day, rows in days])
    apart = [audit(settings, "events", day, rows.to_batches(), {"bad_share": 0.0}) for day, rows in days]
    assert together == apart
    assert [[check.name for check in verdict.failed] for verdict in together] == [
        [], ["price_in_bounds"], [], ["event_type_known"], ["repeated_keys_in_bounds"],
    ]  # fmt: skip


def test_a_day_of_other_columns_does_not_touch_its_neighbours(settings: Settings) -> None:
    (first, good), (second, _), *_ = broken_days()
    parts = [DayPart(first, good.to_batches(), {"bad_share": 0.0}),
             DayPart(second, good.drop_columns(["price"]).to_batches(), {"bad_share": 0.0})]  # fmt: skip
    whole, lacking = audit_days(settings, "events", parts)
    assert not whole.failed
    assert {check.name for check in lacking.failed} == {"columns_amiss_in_bounds", "price_in_bounds"}


@hypothesis_settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.sampled_from(sorted(SUITES)), size=st.integers(1, 7), batch_rows=st.integers(1, 9), seed=st.integers(0, 5))
def test_batches_of_any_size_give_the_verdict_of_one_batch(
    settings: Settings, table: str, size: int, batch_rows: int, seed: int
) -> None:
    changes = {"events": {"price": -1.0}, "episodes": {"k": 1}, "recommendations": {"cohort": "new"}}.get(table, {})
    rows = pa.concat_tables([good_rows(table), good_rows(table, **(changes if seed % 2 else {})), good_rows(table)])
    small = settings.changed(batch_rows=batch_rows)
    facts = GOOD_FACTS.get(table, {})
    one = audit(settings, table, DAY, rows.combine_chunks().to_batches(), facts)
    many: Verdict = audit(small, table, DAY, rows.combine_chunks().to_batches(max_chunksize=size), facts)
    assert one == many


def test_rows_are_read_a_batch_at_a_time(settings: Settings) -> None:
    one_batch = settings.changed(batch_rows=4)
    batch = good_rows("events").to_batches()[0]
    before = pa.total_allocated_bytes()
    most = 0

    def batches() -> object:
        nonlocal most
        for n in range(12):
            most = max(most, pa.total_allocated_bytes() - before)
            ids = pa.array([f"{n}-{i}-{'x' * 50_000}" for i in range(4)])
            yield batch.set_column(1, "event_id", ids)

    verdict = audit(one_batch, "events", DAY, batches(), {"bad_share": 0.0})  # type: ignore[arg-type]
    assert (verdict.failed, verdict.facts["rows"]) == ([], 48)
    assert most < 6 * 4 * 50_000


def test_the_keys_of_a_very_large_day_are_not_held(settings: Settings) -> None:
    rows = good_rows("events")
    count = DayCount("events", DAY, settings.shop.zone, most_keys=6)
    count.add(rows)
    assert count.facts()["repeated_keys"] == 0
    count.add(rows)
    assert count.facts()["repeated_keys"] is None
    assert count.keys == []


def test_facts_of_lists_are_needed(settings: Settings) -> None:
    assert set(LIST_FACTS) == set(GOOD_FACTS["recommendations"])
