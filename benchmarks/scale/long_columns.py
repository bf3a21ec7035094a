"""Whether Arrow's kernels stand a text column of more than 2^31 bytes, as the ids of 67 million events are.

python -m benchmarks.scale.long_columns [MILLIONS]
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.scale.metering import say

MILLION = 1_000_000


def main(millions: int = 70) -> None:
    """Try what reading events does to their ids; all chunks share one buffer, so memory is no matter before it is copied."""
    ids = pa.array([f"{number:032x}" for number in range(MILLION)])
    for kind in (pa.string(), pa.large_string()):
        many = pa.chunked_array([ids.cast(kind)] * millions)
        far = pa.array([0, len(many) - 1, 5])
        work: dict[str, Callable[[], object]] = {
            "combine_chunks": many.combine_chunks,
            "take": lambda many=many, far=far: many.take(far),  # type: ignore[misc]
            "not_equal": lambda many=many: pc.not_equal(many.slice(1), many.slice(0, len(many) - 1)),  # type: ignore[misc]
        }
        for name, do in work.items():
            try:
                do()
            except pa.ArrowInvalid as error:
                say(column=str(kind), gib=round(many.nbytes / 2**30, 1), kernel=name, fails=str(error)[:200])
            else:
                say(column=str(kind), gib=round(many.nbytes / 2**30, 1), kernel=name, fails=None)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
