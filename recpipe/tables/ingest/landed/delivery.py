"""The delivery of a day: the files of each table, their completeness, and files that nothing reads."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property

from recpipe.config.layouts import folder_of, pattern_of
from recpipe.config.place_settings import DeliverySettings, PrivacySettings
from recpipe.config.settings import Settings
from recpipe.contract import DELIVERED
from recpipe.errors import BadDelivery
from recpipe.printable import named
from recpipe.tables.ingest.landed.contents import Contents, Strange, is_hidden, listed, sort_out
from recpipe.tables.ingest.landed.landing import LandedFile, Landing
from recpipe.tables.ingest.landed.manifest import is_manifest, sort_by_manifest
from recpipe.tables.ingest.landed.neighbours import refuse_neighbours
from recpipe.user_ids.keys import has_key


@dataclass(frozen=True)
class Delivery:
    """The delivery of one day.

    Attributes
    ----------
    day
        The day it is for.
    landing
        Where the shop drops its files.
    folders
        Folder of the day by table, under the landing's root.
    missing
        Tables whose folder has no mark yet.
    left_out
        Tables that the shop left out that day, as `optional_tables` lets it.
    settings
        Say what is read and what is passed over.
    """

    day: date
    landing: Landing
    folders: dict[str, str]
    missing: tuple[str, ...]
    left_out: tuple[str, ...]
    settings: Settings = field(repr=False)

    @property
    def complete(self) -> bool:
        """Whether the mark stands in the folder of every table."""
        return not self.missing

    @property
    def message(self) -> str:
        """What is missing and what to do; empty if nothing is."""
        if self.complete:
            return ""
        folders, mark = ", ".join(self.folders[table] for table in self.missing), self.settings.delivery.landing_mark
        alone = "" if is_manifest(mark) else f"; a folder with {mark} alone says that nothing happened"
        return (
            f"The delivery of {self.day} is not complete: {mark} is missing in {folders} under {self.landing.shown}. "
            f"Write {mark} into each folder once its last file is there{alone}."
        )

    @property
    def files(self) -> dict[str, tuple[LandedFile, ...]]:
        """Files by table, sorted by name; none where nothing happened. They are looked for when first asked for."""
        return {table: contents.files for table, contents in self._contents.items()}

    @property
    def strange(self) -> list[Strange]:
        """What lies in the day's folders and is neither read nor hidden."""
        return [entry for contents in self._contents.values() for entry in contents.strange]

    @cached_property
    def _contents(self) -> dict[str, Contents]:
        marked = {table for table in self.folders if table not in (*self.missing, *self.left_out)}
        by_list = is_manifest(self.settings.delivery.landing_mark)
        return {
            table: sort_by_manifest(self.settings.delivery, self.landing, folder)
            if by_list and table in marked
            else sort_out(self.settings.delivery, self.landing, folder)
            for table, folder in self.folders.items()
        }


def find_delivery(settings: Settings, day: date) -> Delivery:
    """Look for the delivery of a day; nothing is opened yet.

    Raises
    ------
    Unreachable
        If the landing does not answer.
    """
    landing = Landing.of(settings)
    patterns = patterns_of(settings.delivery)
    folders = {table: folder_of(pattern, table, day) for table, pattern in patterns.items()}
    unmarked = [table for table, folder in folders.items() if not landing.has(f"{folder}/{settings.delivery.landing_mark}")]
    left_out = [
        table
        for table in unmarked
        if table in settings.delivery.optional_tables and not _holds(settings.delivery, landing, folders[table])
    ]
    missing = [table for table in unmarked if table not in left_out]
    return Delivery(day, landing, folders, tuple(missing), tuple(left_out), settings)


def patterns_of(delivery: DeliverySettings) -> dict[str, str]:
    """Return the layout of each table."""
    return {table.name: pattern_of(delivery.landing_layout, delivery.landing_tables, table.name) for table in DELIVERED}


def _holds(delivery: DeliverySettings, landing: Landing, folder: str) -> bool:
    return any(found.kind != "folder" and not is_hidden(delivery, folder, found) for found in landing.everything(folder))


def require_delivery(settings: Settings, day: date) -> Delivery:
    """Return the delivery of a day.

    Raises
    ------
    BadDelivery
        If it is not complete, or anything lies in its folders that is neither read nor hidden, or beside an empty folder
        what may be its delivery; the text names it.
    Unreachable
        If the landing does not answer.
    """
    delivery = find_delivery(settings, day)
    if not delivery.complete:
        raise BadDelivery(delivery.message)
    if delivery.strange:
        raise BadDelivery(_refusal(settings.privacy, delivery))
    for table, pattern in patterns_of(settings.delivery).items():
        refuse_neighbours(settings, delivery.landing, table, pattern, day, empty=not delivery.files[table])
    return delivery


def _refusal(privacy: PrivacySettings, delivery: Delivery) -> str:
    by_place = has_key(privacy)
    entries = (f"{entry.place if by_place else named(entry.name)} ({entry.why})" for entry in delivery.strange)
    return (
        f"The delivery of {delivery.day} holds what is not read: {listed(entries)}. Nothing was published. Deliver parquet files "
        f"whose names end with .parquet, or say in RECPIPE_LANDING_FILES which others are, and in RECPIPE_LANDING_LAYOUT and "
        f"RECPIPE_LANDING_MARK how the folders are laid out. Give what is no part of the delivery a name that begins with an "
        f"underscore, or name it in RECPIPE_LANDING_PASSED_OVER. Then run the day again."
    )


def shown_name(privacy: PrivacySettings, delivery: Delivery, file: LandedFile) -> str:
    """Name a file for messages: as in the landing, and with a key of user ids by its place alone.

    Shops name files after customers, too; the place is that among the files of the table's day, by name.
    """
    if not has_key(privacy):
        return named(file.name, 400)
    table, number = next(_places(delivery, file))
    return f"{delivery.folders[table]}/file {number} of {len(delivery.files[table])}"


def source_name(privacy: PrivacySettings, delivery: Delivery, file: LandedFile) -> str:
    """Name a file for the quarantine: its path below the day's folder, and with a key of user ids its place alone."""
    table, number = next(_places(delivery, file))
    if has_key(privacy):
        return f"file {number} of {len(delivery.files[table])}"
    return file.name.removeprefix(f"{delivery.folders[table]}/")


def _places(delivery: Delivery, file: LandedFile) -> Iterator[tuple[str, int]]:
    """Yield the table of a file, and its number among the table's files, from 1."""
    for table, files in delivery.files.items():
        for number, one in enumerate(files, start=1):
            if one.name == file.name:
                yield table, number
