"""Whatever dirt a delivery holds: every delivered row is published or quarantined, once."""

from datetime import date, datetime, timedelta

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recpipe.config.settings import load_settings
from recpipe.contract import EVENTS, QUARANTINE
from recpipe.tables.ingest.stage import stage_days
from recpipe.tables.ingest.staged import FACTS

DAY = date(2011, 9, 1)
MIDNIGHT = datetime(2011, 9, 1)
COLUMNS = ("user_id", "item_id", "event_type", "ts", "quantity", "price", "rating", "query", "note")

event = st.fixed_dictionaries(
    {
        "user_id": st.sampled_from([None, "u1", "u2", " u1 ", ""]),
        "item_id": st.sampled_from([None, "i1", "i2", "POST", "x" * 40]),
        "event_type": st.sampled_from([None, "view", "purchase", "cancel", "search", "adjustment", "?"]),
        "ts": st.none()
        | st.sampled_from([-5000, -10, 0, 600, 1439, 1440]).map(lambda minutes: MIDNIGHT + timedelta(minutes=minutes)),
        "quantity": st.sampled_from([None, "1", "-2", "0", "many"]),
        "price": st.sampled_from([None, 1.0, -1.0, float("nan"), float("inf")]),
        "rating": st.sampled_from([None, 0, 3, 9]),
        "query": st.sampled_from([None, "q", "x" * 40]),
        "note": st.sampled_from([None, "n"]),
    }
)
delivery = st.lists(st.lists(event, max_size=12), min_size=1, max_size=3)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=delivery, batch_rows=st.integers(1, 7), data=st.data())
def test_rows_in_are_rows_published_and_rows_quarantined(tmp_path_factory, deliver, files, batch_rows, data):
    home = tmp_path_factory.mktemp("home")
    shop = load_settings(
        home=home, batch_rows=batch_rows, max_bad_share=1.0, max_text_length=30, event_types={"cancel": "return"},
        set_aside_event_types=["adjustment"], item_id_pattern=r"^[ix]",
    )  # fmt: skip
    types = {"quantity": pa.string(), "price": pa.float64(), "rating": pa.int64(), "ts": pa.timestamp("us")}
    parts = []
    for rows in files:
        names = data.draw(st.permutations(COLUMNS))
        schema = pa.schema([pa.field(name, types.get(name, pa.string())) for name in names])
        parts.append(pa.Table.from_pylist(rows, schema))
    deliver(shop, events=parts)

    folder = stage_days(shop, [DAY])

    accepted = [row for file in folder.glob("events/*.parquet") for row in pq.read_table(file)["_row"].to_pylist()]
    refused = [row for file in sorted(folder.glob("quarantine/*.parquet")) for row in pq.read_table(file).to_pylist()]
    starts = {f"part-{n}.parquet": sum(len(rows) for rows in files[:n]) for n in range(len(files))}
    numbers = accepted + [starts[row["source_file"]] + row["row_number"] for row in refused]
    assert sorted(numbers) == list(range(sum(map(len, files))))
    assert (folder / FACTS).exists()
    _keeps_the_contract(folder)


def _keeps_the_contract(folder):
    for table in (EVENTS, QUARANTINE):
        for file in folder.glob(f"{table.name}/*.parquet"):
            rows = pq.read_table(file).select(table.columns)
            for field in table.schema:
                assert field.nullable or rows[field.name].null_count == 0
    for file in folder.glob("events/*.parquet"):
        rows = pq.read_table(file)
        ids = rows["event_id"].to_pylist()
        assert len(set(ids)) == len(ids)
        assert all(
            kind == "search" or item
            for kind, item in zip(rows["event_type"].to_pylist(), rows["item_id"].to_pylist(), strict=True)
        )
        assert all(quantity is None or quantity > 0 for quantity in rows["quantity"].to_pylist())
