"""Memory is bounded by the batch, not by the day."""

import os
import subprocess
import sys
from datetime import date, datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

DAY = date(2011, 9, 1)

MEASURE = """
from datetime import date
from recpipe.config import load_settings
from recpipe.tables.ingest.stage import stage_day
import duckdb
stage_day(load_settings(), date(2011, 9, 1))
# not ru_maxrss: a child begins with its parent's
print(next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024)
"""


def write_day(settings, rows):
    """Write a day a row group at a time, with a free text that makes its rows heavy; one row in a hundred comes twice."""
    folder = settings.places.landing_root / "events" / f"day={DAY}"
    folder.mkdir(parents=True)
    schema = pa.schema(
        [
            ("user_id", pa.int64()),
            ("item_id", pa.int64()),
            ("event_type", pa.string()),
            ("ts", pa.timestamp("us")),
            ("text", pa.string()),
        ]
    )
    noon = np.datetime64(datetime(2011, 9, 1, 12), "us")
    with pq.ParquetWriter(folder / "part-0.parquet", schema, compression="lz4") as writer:
        for start in range(0, rows, 50_000):
            number = np.arange(start, min(start + 50_000, rows))
            number[number % 100 == 99] -= 1
            texts = pa.array([f"{n:0200d}" for n in number])
            columns = [
                pa.array(number),
                pa.array(number),
                pa.array(["view"] * len(number)),
                pa.array(np.full(len(number), noon)),
                texts,
            ]
            writer.write_table(pa.table(columns, schema=schema))
    (folder / "_SUCCESS").touch()
    for table in ("items", "users"):
        other = settings.places.landing_root / table / f"day={DAY}"
        other.mkdir(parents=True)
        (other / "_SUCCESS").touch()


def peak_mib(settings):
    environment = {
        **os.environ, "RECPIPE_HOME": str(settings.places.home), "RECPIPE_BATCH_ROWS": "10000", "RECPIPE_DUPLICATE_MEMORY_MB": "64",
        "ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1",
    }  # fmt: skip
    done = subprocess.run([sys.executable, "-c", MEASURE], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


@pytest.mark.slow
def test_a_day_of_thirty_times_the_rows_needs_no_more_memory(settings, tmp_path):
    from recpipe.config.settings import load_settings

    small, big = (load_settings(home=tmp_path / name) for name in ("small", "big"))
    write_day(small, 40_000)
    write_day(big, 1_200_000)  # 300 MiB of rows
    few, many = peak_mib(small), peak_mib(big)
    print(f"peak {few:.0f} MiB for 40,000 rows, {many:.0f} MiB for 1,200,000")
    assert many - few < 110
