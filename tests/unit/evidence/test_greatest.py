"""The greatest entries of rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from recpipe.evidence.pair_patterns import greatest


@given(
    arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(1, 12)), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0])),
    st.integers(0, 15),
)
def test_the_first_of_the_greatest_positive_entries_are_kept_in_order(dense, keep):
    column, value, count = greatest(dense, keep)
    wanted = []
    for row in dense:
        best = sorted(range(len(row)), key=lambda place: (-row[place], place))[:keep]
        wanted.append(sorted(place for place in best if row[place] > 0))
    assert column.tolist() == [place for places in wanted for place in places]
    assert count.tolist() == [len(places) for places in wanted]
    np.testing.assert_array_equal(value, [dense[row, place] for row, places in enumerate(wanted) for place in places])
