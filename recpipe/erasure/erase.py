"""The erasure of users: from every table with its files and log, from scratch and caches, and from all later deliveries.

The order is what makes it safe. The list of the erased is written first: from then on ingest leaves them out, and whoever
publishes a day looks at the list after the commit (`check_published`). Then vectors go, while the texts that lead to
them are still there; then rows, then scratch, then the files and log entries of the tables. Each step looks for what is
left, so a run that was killed anywhere is simply run again.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.contract import QUARANTINE
from recpipe.erasure.erased_scratch import forget_vectors, remove_folder, staged_folders, training_inputs
from recpipe.erasure.text_vectors import vector_keys
from recpipe.errors import RecpipeError
from recpipe.lake.erased_rows import USER_TABLES, Removed, accounts_of, drop_history, remove_users, users_in
from recpipe.lake.lake import Lake
from recpipe.lake.tombstones import Erased, check_tokens, erased_users, note
from recpipe.pipeline.erased_texts import TEXT_TABLES, remove_texts
from recpipe.tables.ingest.erased_deliveries import remove_quarantined

log = logging.getLogger(__name__)


ROUNDS: Final = 5
"""Times that the tables are looked through; a second is needed where a day was published meanwhile."""


ALWAYS_LEFT: Final = (
    "Parameters of models that were trained with their events: they name nobody; the weekly training makes new ones without them.",
    "Counts over many users: the register, outcomes, digests, popularity, what other users' lists were made from.",
    "The shop's own landing files, and copies that consumers of the tables keep: delete the users there, too.",
)


@dataclass
class Erasure:
    """What one run of an erasure did; nothing in it names a user."""

    asked: int
    accounts: int = 0
    found: set[str] = field(default_factory=set)
    tables: dict[str, Removed] = field(default_factory=dict)
    folders: int = 0
    folder_files: int = 0
    folder_bytes: int = 0
    vectors: int = 0
    left: list[str] = field(default_factory=list)

    def add(self, table: str, removed: Removed) -> None:
        """Add what was taken out of a table."""
        known = self.tables.setdefault(table, Removed())
        known.rows, known.files, known.bytes = known.rows + removed.rows, known.files + removed.files, known.bytes + removed.bytes
        known.days |= removed.days

    def as_json(self) -> dict[str, Any]:
        """Return the counts, as tasks pass them on."""
        tables = {
            name: {"rows": found.rows, "days": len(found.days), "files": found.files, "bytes": found.bytes}
            for name, found in sorted(self.tables.items())
        }
        return {
            "users_asked": self.asked, "accounts": self.accounts, "users_found": len(self.found), "tables": tables,
            "rows": sum(found.rows for found in self.tables.values()),
            "files": self.folder_files + sum(found.files for found in self.tables.values()),
            "bytes": self.folder_bytes + sum(found.bytes for found in self.tables.values()),
            "folders": self.folders, "vectors": self.vectors, "left": self.left,
        }  # fmt: skip


def erase(settings: Settings, tokens: Sequence[str]) -> dict[str, Any]:
    """Erase users.

    Parameters
    ----------
    settings
        Name the lake, the home, and the key if there is one; ``run_id`` names the run in list and report.
    tokens
        As `erasures.erasure_tokens` makes them.

    Returns
    -------
    dict
        Counts by table, what was left and why, and ``report``, the page: nothing in it names a user.

    Raises
    ------
    BadSetting
        If a token is none.
    RecpipeError
        If days with these users were published again and again meanwhile.
    """
    from recpipe.erasure.erasure_report import write_report

    check_tokens(tokens)
    lake, before = Lake.from_settings(settings), erased_users(settings)
    unfinished = [token for token in dict.fromkeys(tokens) if not before.finished.get(token)]
    erased = note(settings, tokens, finished=False).only(tokens)
    erased, accounts = _with_accounts(settings, lake, erased)
    done = Erasure(len(set(tokens)), accounts)
    _remove(settings, lake, erased, done, sweep=bool(unfinished) or accounts > 0)
    note(settings, list(erased.finished), finished=True)
    done.left += ALWAYS_LEFT
    counts = done.as_json()
    log.info("Erasure of %d users: %d found, %d rows removed.", done.asked, len(done.found), counts["rows"])
    return {**counts, "report": write_report(settings, counts)}


def _with_accounts(settings: Settings, lake: Lake, erased: Erased) -> tuple[Erased, int]:
    """Add the accounts of persons to the list, before the rows that say whose they are go."""
    own = {erased.token(one) for one in accounts_of(lake, erased)} - erased.finished.keys()
    if not own:
        return erased, 0
    tokens = [*erased.finished, *sorted(own)]
    return note(settings, tokens, finished=False).only(tokens), len(own)


def _remove(settings: Settings, lake: Lake, erased: Erased, done: Erasure, *, sweep: bool) -> None:
    """Remove all that is left of the list; ``sweep`` also where no row is found, since a run that was killed may have left it."""
    for _ in range(ROUNDS):
        found = {table: users_in(lake, table, erased) for table in USER_TABLES}
        anybody = {one for ids in found.values() for one in ids}
        if not anybody and not sweep:
            return
        done.found |= anybody
        keys = vector_keys(settings.searches, lake, anybody)
        done.vectors += forget_vectors(settings.places, keys)
        _remove_rows(settings, lake, erased, found, done)
        _remove_scratch(settings.places, erased, done)
        done.vectors += forget_vectors(settings.places, keys)  # whoever read the events before may have asked for them since
        sweep = False
    raise RecpipeError(
        f"Users that are to be erased came back {ROUNDS} times, as days with them were published meanwhile. They are in the list, so "
        f"no new day can hold them: run the erasure again when the runs that are under way have ended."
    )


def _remove_rows(settings: Settings, lake: Lake, erased: Erased, found: dict[str, set[str]], done: Erasure) -> None:
    for table, ids in found.items():
        done.add(table, remove_users(lake, table, ids))
    for table in TEXT_TABLES:  # after the events: what no event stands for any more goes
        done.add(table, remove_texts(lake, table))
    removed, unknown = remove_quarantined(settings, lake, erased)
    done.add(QUARANTINE.name, removed)
    if unknown:
        _say(
            done,
            f"quarantine: {unknown} rows of delivered files that are gone; nobody can say whose they were, and they name nobody.",
        )
    for table in (*USER_TABLES, *TEXT_TABLES, QUARANTINE.name):
        lake.recount(table)
        files, left = drop_history(lake, table)
        done.add(table, files)
        for sentence in left:
            _say(done, sentence)


def _remove_scratch(places: PlaceSettings, erased: Erased, done: Erasure) -> None:
    for folder in (*staged_folders(places, erased), *training_inputs(places)):
        files, size = remove_folder(folder)
        done.folders, done.folder_files, done.folder_bytes = done.folders + 1, done.folder_files + files, done.folder_bytes + size


def _say(done: Erasure, sentence: str) -> None:
    if sentence not in done.left:
        done.left.append(sentence)
