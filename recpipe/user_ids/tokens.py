"""The form of an erasure's token."""

from __future__ import annotations

from typing import Final

TOKEN: Final = r"^erase-[0-9a-f]{64}$"  # noqa: S105  # no password: the form of one
"""What the token of a user to be erased looks like; here, since a DAG's file needs it and imports nothing heavy."""
