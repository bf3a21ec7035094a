"""The protocol of new users, as far as training has to know of it: how long a list is looked at, and who counts as new.

A benchmark asks it of a public log, the weekly replay of the shop's own (docs/decisions/0007-newcomers-are-replayed.md).
"""

from __future__ import annotations

from typing import Any

import numpy as np


def protocol_facts(
    first: np.datetime64, until: np.datetime64, last_day: str, *, horizon_days: int, window_days: int
) -> dict[str, Any]:
    """Return the facts of a training input whose model serves users who come after it ends.

    Parameters
    ----------
    first, until
        datetime64: the first event of the input, and the instant at which it ends.
    last_day
        The last day before ``until``, as text.
    horizon_days
        Days of behaviour after a list; the facts have fewer where the log is too short to cut both an episode's past and its
        future from.
    window_days
        Days after ``until`` in which users count as new.
    """
    reach = (until - first) / np.timedelta64(1, "D")
    return {
        "trained_until": last_day,
        "fitted_until": last_day,
        "horizon_days": max(1, min(horizon_days, int(reach // 2))),
        "window_days": window_days,
    }
