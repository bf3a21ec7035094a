"""The promises of the lake: one day at a time, whole or not at all, whoever writes beside."""

import multiprocessing
import signal
import subprocess
import sys
import textwrap
import threading
import time
from datetime import date, timedelta

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from recpipe.contract import EPISODES, ITEMS
from recpipe.errors import MissingDay, RecpipeError
from recpipe.lake.day_record import Input
from recpipe.lake.lake import Lake

FIRST = date(2011, 9, 1)


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def items(n: int, titles: dict[str, str]) -> pa.Table:
    rows = [{"day": day(n), "item_id": i, "title": t, "available": True} for i, t in titles.items()]
    return pa.Table.from_pylist(rows, schema=ITEMS.schema)


def titles(table: pa.Table) -> dict[str, str]:
    return dict(zip(table["item_id"].to_pylist(), table["title"].to_pylist(), strict=True))


@pytest.fixture
def lake(tmp_path) -> Lake:
    return Lake(str(tmp_path / "lake"))


def test_a_day_that_is_published_again_is_replaced(lake):
    lake.publish("items", [day(0)], items(0, {"a": "old", "b": "old"}))
    lake.publish("items", [day(1)], items(1, {"c": "kept"}))
    lake.publish("items", [day(0)], items(0, {"a": "new"}))
    assert titles(lake.reader().read("items")) == {"a": "new", "c": "kept"}
    assert [(r.day, r.status, r.rows) for r in lake.days("items")] == [(day(0), "closed", 1), (day(1), "closed", 1)]


def test_the_register_remembers_each_time_that_a_day_was_written(lake):
    lake.publish("items", [day(0)], items(0, {"a": "old"}), model_version="1")
    lake.publish("items", [day(1)], items(1, {"c": "another"}))
    lake.publish("items", [day(0)], items(0, {"a": "new", "b": "new"}), model_version="2")
    assert [(record.model_version, record.rows) for record in lake.history("items", day(0))] == [("1", 1), ("2", 2)]
    assert lake.history("items", day(2)) == []


def test_as_of_a_day_the_newest_row_up_to_it_counts(lake):
    lake.publish("items", [day(0)], items(0, {"a": "first", "b": "first"}))
    lake.publish("items", [day(2)], items(2, {"a": "third"}))
    reader = lake.reader()
    assert titles(reader.as_of("items", day(0))) == {"a": "first", "b": "first"}
    assert titles(reader.as_of("items", day(1))) == {"a": "first", "b": "first"}
    assert titles(reader.as_of("items", day(2))) == {"a": "third", "b": "first"}
    assert reader.as_of("items", day(-1)).num_rows == 0


def test_an_empty_day_stands_in_the_register(lake):
    lake.publish("items", [day(0)], items(0, {"a": "x"}))
    lake.publish("items", [day(1)], items(1, {}))
    assert lake.day("items", day(1)).status == "empty"
    assert lake.require("items", day(1)).rows == 0
    assert lake.newest_day("items") == day(1)


def test_a_day_can_become_empty(lake):
    lake.publish("items", [day(0)], items(0, {"a": "x"}))
    lake.publish("items", [day(0)], items(0, {}))
    assert lake.day("items", day(0)).status == "empty"
    assert lake.reader().read("items").num_rows == 0


def test_several_days_go_in_one_commit(lake):
    rows = pa.concat_tables([items(0, {"a": "x"}), items(2, {"b": "y", "c": "z"})])
    records = lake.publish("items", [day(0), day(1), day(2)], rows)
    assert [(r.status, r.rows) for r in records] == [("closed", 1), ("empty", 0), ("closed", 2)]
    assert len({r.table_version for r in records}) == 1


def test_a_missing_day_says_what_to_run(lake):
    with pytest.raises(
        MissingDay, match="Day 2011-09-01 of table items does not stand in the register: run the DAG that writes items"
    ):
        lake.require("items", day(0))
    lake.mark_open("items", day(0))
    with pytest.raises(MissingDay, match="is open"):
        lake.require("items", day(0))


def test_a_refused_redelivery_leaves_the_published_day_closed(lake):
    lake.publish("items", [day(0)], items(0, {"a": "x"}))
    lake.mark_open("items", day(0))
    assert lake.day("items", day(0)).status == "closed"


def test_rows_of_another_day_are_refused(lake):
    with pytest.raises(RecpipeError, match="hold day 2011-09-02, which is not among the days to be replaced"):
        lake.publish("items", [day(0)], items(1, {"a": "x"}))
    assert lake.delta("items") is None


def test_columns_that_are_not_the_contracts_are_refused(lake):
    rows = items(0, {"a": "x"}).drop_columns(["brand"])
    with pytest.raises(RecpipeError, match="column brand is missing"):
        lake.publish("items", [day(0)], rows)


def test_a_staged_file_is_streamed_in(lake, tmp_path):
    pq.write_table(items(0, {"a": "x", "b": "y"}), tmp_path / "staged.parquet")
    lake.publish("items", [day(0)], ds.dataset(tmp_path / "staged.parquet", schema=ITEMS.schema))
    assert titles(lake.reader().read("items")) == {"a": "x", "b": "y"}


def test_nested_columns_come_back_as_they_went_in(lake):
    row = {
        "day": day(0), "user_id": "u", "cohort": "few", "k": 1, "query_texts": ["red cup"],
        "support": [{"item_id": "a", "label": 1.0, "weight": 0.5, "ts": pa.scalar(0, pa.timestamp("us", tz="UTC")).as_py()}],
    }  # fmt: skip
    rows = pa.Table.from_pylist([row], schema=EPISODES.schema)
    lake.publish("episodes", [day(0)], rows)
    assert lake.reader().read("episodes").to_pylist() == rows.to_pylist()


def test_a_reader_sees_one_version_and_remembers_it(lake):
    lake.publish("items", [day(0)], items(0, {"a": "old"}))
    reader = lake.reader()
    reader.read("items")
    lake.publish("items", [day(0)], items(0, {"a": "new"}))
    assert titles(reader.read("items")) == {"a": "old"}
    assert reader.inputs[0] == Input("items", day(0), day(0), 1)


def test_tasks_of_one_run_can_read_the_same_versions(lake):
    lake.publish("items", [day(0)], items(0, {"a": "old"}))
    versions = lake.versions_now(["items"])
    lake.publish("items", [day(0)], items(0, {"a": "new"}))
    lake.publish("items", [day(1)], items(1, {"b": "later"}))
    assert titles(lake.reader(versions).read("items")) == {"a": "old"}
    assert titles(lake.reader().read("items")) == {"a": "new", "b": "later"}


def test_local_files_are_read_without_python_on_arrows_threads(lake):
    # a buffer of Python that such a thread lets go while the process ends aborts the process
    lake.publish("items", [day(0)], items(0, {"a": "mug"}))
    assert lake.dataset(lake.delta("items"), "items").filesystem.type_name == "subtree"


def test_a_commit_that_was_never_registered_is_not_seen(lake):
    lake.publish("items", [day(0)], items(0, {"a": "x"}))
    lake._replace("items", [day(1)], items(1, {"b": "unregistered"}))  # what a kill between the two commits leaves behind
    assert titles(lake.reader().read("items")) == {"a": "x"}
    lake.publish("items", [day(1)], items(1, {"b": "again"}))
    assert titles(lake.reader().read("items")) == {"a": "x", "b": "again"}


def _publish(root: str, n: int, title: str) -> None:
    lake = Lake(root)
    for turn in range(5):
        lake.publish("items", [day(n)], items(n, {f"{n}-{i}": f"{title} {turn}" for i in range(20)}))


def test_eight_writers_of_different_days_all_succeed(lake):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_publish, args=(lake.root, n, "day")) for n in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    found = titles(lake.reader().read("items"))
    assert found == {f"{n}-{i}": "day 4" for n in range(8) for i in range(20)}


def test_two_writers_of_the_same_day_leave_one_of_them_whole(lake):
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_publish, args=(lake.root, 0, name)) for name in ("one", "two")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0]
    found = titles(lake.reader().read("items"))
    assert len(found) == 20
    assert len(set(found.values())) == 1


def test_a_reader_in_a_loop_sees_whole_days_only(lake):
    lake.publish("items", [day(0)], items(0, {f"{i}": "0" for i in range(50)}))
    stop, seen = threading.Event(), []

    def read() -> None:
        while not stop.is_set():
            found = titles(lake.reader().read("items"))
            seen.append((len(found), len(set(found.values()))))

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(1, 30):
        lake.publish("items", [day(0)], items(0, {f"{i}": str(turn) for i in range(50)}))
    stop.set()
    reader.join()
    assert len(seen) > 3
    assert set(seen) == {(50, 1)}


def test_a_writer_that_is_killed_leaves_the_day_before_or_after(lake):
    lake.publish("items", [day(0)], items(0, {f"{i}": "before" for i in range(50)}))
    code = textwrap.dedent(
        """
        import sys
        from datetime import date
        import pyarrow as pa
        from recpipe.contract import ITEMS
        from recpipe.lake.lake import Lake
        rows = [{"day": date(2011, 9, 1), "item_id": str(i), "title": "after", "available": True} for i in range(50)]
        table = pa.Table.from_pylist(rows, schema=ITEMS.schema)
        print("ready", flush=True)
        while True:
            Lake(sys.argv[1]).publish("items", [date(2011, 9, 1)], table)
        """
    )
    for delay in (0.0, 0.01, 0.03, 0.1):
        writer = subprocess.Popen([sys.executable, "-c", code, lake.root], stdout=subprocess.PIPE)
        writer.stdout.readline()
        time.sleep(delay)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        found = titles(lake.reader().read("items"))
        assert len(found) == 50
        assert set(found.values()) in ({"before"}, {"after"})
    lake.publish("items", [day(0)], items(0, {f"{i}": "rerun" for i in range(50)}))
    assert set(titles(lake.reader().read("items")).values()) == {"rerun"}


@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.permutations(range(5)), st.integers(0, 2**31))
def test_the_order_of_days_never_matters(tmp_path_factory, order, seed):
    contents = {n: {f"i{(seed >> (n + j)) % 7}": f"t{n}" for j in range(3)} for n in range(5)}
    lake = Lake(str(tmp_path_factory.mktemp("lake")))
    for n in order:
        lake.publish("items", [day(n)], items(n, contents[n]))
    expected: dict[str, str] = {}
    for n in range(5):
        expected |= contents[n]
    assert titles(lake.reader().as_of("items", day(4))) == expected


def test_a_reader_sees_the_days_of_all_tables_as_of_one_moment(lake):
    """The register is read once, which is what makes a night quick where each reading is some hundred requests."""
    lake.publish("items", [day(0)], items(0, {"a": "cup"}))
    reader = lake.reader()
    assert reader.days("items") == [day(0)]
    lake.publish("episodes", [day(0)], EPISODES.schema.empty_table())
    assert reader.days("episodes") == []
    assert lake.reader().days("episodes") == [day(0)]


def test_a_day_that_is_published_while_rows_are_counted_anew_keeps_its_count(lake):
    class Beside(Lake):
        """Publishes as soon as the table was opened for the count."""

        def dataset(self, delta, table):
            lake.publish("items", [day(1)], items(1, {"b": "new", "c": "new"}))
            return super().dataset(delta, table)

    lake.publish("items", [day(0)], items(0, {"a": "kept"}))
    assert Beside(lake.root).recount("items") == []
    assert [(record.day, record.status, record.rows) for record in lake.days("items")] == [
        (day(0), "closed", 1),
        (day(1), "closed", 2),
    ]
