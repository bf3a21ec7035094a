"""Ids as row numbers."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray


def codes_of(values: pa.ChunkedArray | pa.Array, known: NDArray[np.object_]) -> NDArray[np.int64]:
    """Return the row in ``known`` of each text, −1 where it is null or not known."""
    found = pc.index_in(values, value_set=pa.array(known, pa.string()), skip_nulls=True)
    return np.asarray(pc.fill_null(found, -1).to_numpy(), np.int64)
