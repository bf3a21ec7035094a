"""The erased users: a list of hashes in the lake, of which ingestion and every published day take notice.

An *erasure token* is ``erase-`` and the HMAC-SHA-256 of what stands in the tables for a user, under a secret made from the
shop's key; of a shop without one, under a salt that lies with the list. A token names a user to who holds that secret, and to
nobody else, so it may stand in Airflow's database. Of each token the list has a row when its erasure begins, and one when
it is done.
"""

from __future__ import annotations

import contextlib
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import numpy as np
import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, write_deltalake
from deltalake.exceptions import CommitFailedError
from numpy.typing import NDArray

from recpipe.config.settings import Settings
from recpipe.contract import ERASURES
from recpipe.errors import BadSetting, RecpipeError
from recpipe.lake.lake import Lake
from recpipe.user_ids.keys import secret_of, typed_user, user_keys
from recpipe.user_ids.tokens import TOKEN

PREFIX: Final = "erase-"
ID_COLUMNS: Final = ("user_id", "person_id")
"""Columns that name a user: who is erased as a person is erased with all accounts."""


@dataclass(frozen=True)
class Erased:
    """The users of the list.

    Attributes
    ----------
    secret
        What tokens are made with.
    finished
        By token, whether its erasure is done.
    version
        Delta version of the list; -1 if there is none.
    """

    secret: bytes
    finished: Mapping[str, bool]
    version: int

    def __bool__(self) -> bool:
        return bool(self.finished)

    def only(self, tokens: Iterable[str]) -> Erased:
        """Return the part of the list that some tokens are."""
        return Erased(self.secret, {token: self.finished.get(token, False) for token in tokens}, self.version)

    def token(self, user_id: str) -> str:
        """Return the token of what stands in the tables for a user."""
        return PREFIX + hmac.digest(self.secret, user_id.encode(), "sha256").hex()

    def among(self, ids: pa.Array | pa.ChunkedArray) -> NDArray[np.bool_]:
        """Return (n,) whether each of some ids, as the tables have them, is in the list; null is nobody."""
        ids = ids.combine_chunks() if isinstance(ids, pa.ChunkedArray) else ids
        if not self or not len(ids):
            return np.zeros(len(ids), np.bool_)
        coded = ids.dictionary_encode()
        known = np.array([self.token(one) in self.finished for one in coded.dictionary.to_pylist()] + [False], np.bool_)
        return np.asarray(known[coded.indices.fill_null(len(known) - 1).to_numpy()])

    def rows(self, columns: Mapping[str, pa.Array | pa.ChunkedArray]) -> NDArray[np.bool_] | None:
        """Return which rows belong to somebody of the list, by any column that names a user; None where none does or can."""
        found = [self.among(columns[name]) for name in ID_COLUMNS if name in columns] if self else []
        either = np.logical_or.reduce(found) if found else None
        return either if either is not None and either.any() else None

    def delivered(self, settings: Settings, columns: Mapping[str, pa.Array]) -> NDArray[np.bool_] | None:
        """Return the same of rows with raw ids, as the shop delivers them."""
        if not self:
            return None
        return self.rows({name: user_keys(settings.privacy, columns[name]) for name in ID_COLUMNS if name in columns})


def erased_users(settings: Settings) -> Erased:
    """Read the list; empty if nobody was ever erased."""
    delta = _open(Lake.from_settings(settings))
    if delta is None:
        return Erased(b"", {}, -1)
    rows = delta.to_pyarrow_table(columns=["user_hash", "finished"])
    finished: dict[str, bool] = {}
    for token, done in zip(rows["user_hash"].to_pylist(), rows["finished"].to_pylist(), strict=True):
        finished[token] = finished.get(token, False) or done
    return Erased(_secret(settings, delta), finished, delta.version())


def erasure_tokens(settings: Settings, ids: Sequence[str]) -> list[str]:
    """Return the tokens of some users, for the parameter of the DAG.

    Parameters
    ----------
    settings
        Name the lake, and the key if there is one.
    ids
        Ids as the shop has them, or what stands in the tables for them; of users, or of persons with all their accounts.

    Raises
    ------
    BadSetting
        If an id is empty, or the lake is kept under another key: such tokens would find nobody.
    """
    if any(not one.strip() for one in ids):
        raise BadSetting("One of the ids to erase is empty: leave it out, or name the user.")
    lake = Lake.from_settings(settings)
    lake.claim()
    delta = _ensured(lake)
    known = Erased(_secret(settings, delta), {}, delta.version())
    return list(dict.fromkeys(known.token(typed_user(settings, one)) for one in ids))


def check_tokens(tokens: Sequence[str]) -> None:
    """Refuse what is no token; the text repeats nothing of it, since it may be an id.

    Raises
    ------
    BadSetting
        If there is none, or one is not of that form.
    """
    if not tokens:
        raise BadSetting("No user is named: give the tokens that `recpipe erasure-token ID …` prints.")
    if wrong := [place for place, token in enumerate(tokens, 1) if not re.fullmatch(TOKEN, token)]:
        raise BadSetting(
            f"Entry {wrong[0]} of ids is no erasure token. Raw ids and keys are not taken, since they would stay in Airflow's "
            f"database: give what `recpipe erasure-token ID …` prints, or run `recpipe erase-users ID …`."
        )


def note(settings: Settings, tokens: Sequence[str], *, finished: bool) -> Erased:
    """Add tokens to the list, as begun or as done, and return the list.

    Raises
    ------
    BadSetting
        If the lake is kept under another key: an erasure would find nobody, and say that it is done.
    """
    lake, now = Lake.from_settings(settings), datetime.now(UTC)
    lake.claim()
    _ensured(lake)
    known = erased_users(settings).finished
    new = [token for token in dict.fromkeys(tokens) if token not in known or (finished and not known[token])]
    if new:
        rows = [
            {"day": now.date(), "user_hash": one, "finished": finished, "run_id": lake.run_id, "recorded_at": now} for one in new
        ]
        plain = pa.schema([pa.field(field.name, field.type, field.nullable) for field in ERASURES.schema])
        write_deltalake(
            lake.uri(ERASURES.name), pa.Table.from_pylist(rows, schema=plain), mode="append",
            storage_options=dict(lake.storage_options) or None, commit_properties=CommitProperties(max_commit_retries=100),
        )  # fmt: skip
    return erased_users(settings)


def note_accounts(settings: Settings, erased: Erased, columns: Mapping[str, pa.Array]) -> None:
    """Add to the list the accounts of its persons that are delivered for the first time, so that their events stay out, too.

    Parameters
    ----------
    settings
        Name the lake, and the key if there is one.
    erased
        The list as it was read.
    columns
        Delivered rows of users, with raw ids.
    """
    theirs = erased.among(user_keys(settings.privacy, columns["person_id"])) if erased else np.zeros(0, np.bool_)
    if theirs.any():
        accounts = user_keys(settings.privacy, columns["user_id"].filter(pa.array(theirs))).drop_null()
        if new := {erased.token(one) for one in accounts.to_pylist()} - erased.finished.keys():
            note(settings, sorted(new), finished=True)


def _open(lake: Lake) -> DeltaTable | None:
    return lake.delta(ERASURES.name)


def _ensured(lake: Lake) -> DeltaTable:
    if (there := _open(lake)) is not None:
        return there
    with contextlib.suppress(CommitFailedError):  # another was first to create it, and its salt counts
        DeltaTable.create(
            lake.uri(ERASURES.name), ERASURES.schema, mode="ignore", description=secrets.token_hex(32),
            storage_options=dict(lake.storage_options) or None,
        )  # fmt: skip
    made = _open(lake)
    if made is None:
        raise RecpipeError(
            f"The list of erased users could not be made in {lake.root}: see whether it can be written, and run again."
        )
    return made


def _secret(settings: Settings, delta: DeltaTable) -> bytes:
    secret = secret_of(settings.privacy)
    salt = str(delta.metadata().description).encode()
    # SHA-512, so that it can never be what some user's id is mapped to
    return hmac.digest(salt if secret is None else secret, b"recpipe erasure", "sha512")
