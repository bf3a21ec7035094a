"""The groups of newcomers that are replayed, by the number of their known items."""

from __future__ import annotations

from typing import Final

from recpipe.reports.series import TOGETHER
from recpipe.training.windows import NEW_USER_SIZES

GROUPS: Final = (*(f"k={size}" for size in NEW_USER_SIZES), TOGETHER)
