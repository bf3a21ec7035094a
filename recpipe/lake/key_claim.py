"""The key of user ids of a lake: said once, beside the tables, and held against every writer."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError, TableNotFoundError

from recpipe.errors import BadSetting

NAME: Final = "user_key"
"""An empty Delta table beside the others; its description is the fingerprint. Delta makes sure, on any store, that of two
writers who begin at once one is first (its log is put if absent)."""
_NEW_LAKE: Final = (
    "Ids of a lake cannot be mapped afterwards: set RECPIPE_LAKE (or RECPIPE_HOME) to a new place, take the history in anew "
    "there (recpipe history --from FIRST --to LAST), and remove the old lake"
)


def fingerprint_of(root: str, options: Mapping[str, str]) -> str:
    """Return the fingerprint of the key that a lake is kept under; empty where its ids are raw, or it was never written."""
    try:
        return DeltaTable(f"{root}/{NAME}", storage_options=dict(options) or None).metadata().description or ""
    except TableNotFoundError:
        return ""


def hold_against(root: str, kept: str, given: str, begun: bool) -> None:
    """Refuse a key, or none, under which a lake is not kept.

    Parameters
    ----------
    root
        Where the lake is, for the message.
    kept, given
        Fingerprints of the lake and of the settings; empty: no key.
    begun
        Whether the lake holds any day.

    Raises
    ------
    BadSetting
        The text says what to do.
    """
    if kept == given or not (kept or begun):
        return
    if not given:
        raise BadSetting(
            f"The tables in {root} are kept under a key of user ids (its fingerprint is {kept}), and none is set. "
            f"Set RECPIPE_USER_KEY or RECPIPE_USER_KEY_FILE to that key."
        )
    if not kept:
        raise BadSetting(
            f"A key of user ids is set, and the days in {root} were taken in without one: their ids are raw. {_NEW_LAKE}."
        )
    raise BadSetting(
        f"The tables in {root} are kept under another key of user ids (its fingerprint is {kept}; that of the key that is set is "
        f"{given}). Set the key that they were begun with. Where it is lost or no longer secret: {_NEW_LAKE[0].lower()}{_NEW_LAKE[1:]}."
    )


def claim(root: str, options: Mapping[str, str], given: str, begun: bool) -> None:
    """Note the key that a lake is begun under; refuse to write one that is kept otherwise (see `hold_against`)."""
    kept = fingerprint_of(root, options)
    hold_against(root, kept, given, begun)
    if kept or not given:
        return
    schema = pa.schema([pa.field("fingerprint", pa.string())])
    with suppress(CommitFailedError):  # another writer was first
        DeltaTable.create(f"{root}/{NAME}", schema, mode="ignore", description=given, storage_options=dict(options) or None)
    hold_against(root, fingerprint_of(root, options), given, begun)
