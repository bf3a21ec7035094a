"""The ids of a delivered file, as the tables would have them, and nothing else of its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.tables.ingest.landed.landing import LandedFile
from recpipe.tables.ingest.rows.columns import plan_columns, read_column
from recpipe.tables.ingest.rows.file_reading import open_file, read_batches
from recpipe.tables.ingest.rows.shop_readings import Shop


def delivered_ids(
    settings: Settings, file: LandedFile, shown: str, table: str, columns: Sequence[str]
) -> Iterator[tuple[int, dict[str, pa.Array]]]:
    """Yield, a batch at a time, how many rows it has, and some columns of ids, as far as the file has them.

    Raises
    ------
    BadDelivery
        If the file cannot be read.
    """
    shop = Shop.of(settings)
    with open_file(file, shown) as opened:
        plan = plan_columns(settings, table, shown, opened.schema_arrow)
        there = [name for name in columns if name in plan.sources]
        for batch in read_batches(settings, file, shown, opened):
            ids = {name: read_column(plan, batch, TABLES[table].schema.field(name), shop)[0] for name in there}
            yield batch.num_rows, ids
