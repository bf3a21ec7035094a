"""The table ``episodes``: the supports of those who are new."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from recpipe.contract import EPISODES, SUPPORT_ENTRY, TIMESTAMP, WARM
from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.cohorts import UserDay


def episode_rows(users: UserDay, catalogue: Catalogue, day: date) -> pa.Table:
    """Return the rows of ``episodes`` for a day, by user id; the warm are computed every night and not stored."""
    rows = np.flatnonzero(users.cohort != WARM)
    k = users.support.k[rows]
    columns = [
        pa.array([day] * len(rows), pa.date32()),
        pa.array(users.user_ids[rows], pa.string()),
        pa.array(users.cohort[rows], pa.string()),
        pa.array(k, pa.int32()),
        _entries(users, catalogue, rows),
        pa.array([users.query_texts[row] for row in rows], pa.list_(pa.string())),
    ]
    return pa.Table.from_arrays(columns, schema=EPISODES.schema)


def _entries(users: UserDay, catalogue: Catalogue, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> pa.ListArray:
    """Return one list of support entries a row."""
    indptr = users.support.indptr
    spans = [np.arange(indptr[row], indptr[row + 1]) for row in rows]
    entry = np.concatenate(spans) if spans else np.array([], np.int64)
    fields = [
        pa.array(catalogue.item_ids[users.support.item[entry]], pa.string()),
        pa.array(users.support.label[entry], pa.float32()),
        pa.array(users.support.weight[entry], pa.float32()),
        pa.array(users.support_ts[entry], pa.timestamp("us")).cast(TIMESTAMP),
    ]
    ends = np.concatenate([[0], np.cumsum([len(span) for span in spans])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.StructArray.from_arrays(fields, fields=list(SUPPORT_ENTRY)))
