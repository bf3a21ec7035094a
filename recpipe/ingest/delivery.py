"""What a shop dropped for a day: the files of each table, and whether they are all there."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

from recpipe.config import Settings
from recpipe.contract import DELIVERED
from recpipe.errors import BadDelivery
from recpipe.ingest.landing import LandedFile, Landing
from recpipe.privacy.keys import has_key

MARK = "_SUCCESS"


@dataclass(frozen=True)
class Delivery:
    """The delivery of one day.

    Attributes
    ----------
    day
        The day it is for.
    landing
        Where the shop drops its files.
    files
        Parquet files by table, sorted by name; none where nothing happened.
    missing
        Tables whose folder has no ``_SUCCESS`` yet.
    """

    day: date
    landing: Landing
    files: dict[str, tuple[LandedFile, ...]]
    missing: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether ``_SUCCESS`` stands in the folder of every table."""
        return not self.missing

    @property
    def message(self) -> str:
        """What is missing and what to do; empty if nothing is."""
        if self.complete:
            return ""
        folders = ", ".join(f"{table}/day={self.day}" for table in self.missing)
        return (
            f"The delivery of {self.day} is not complete: {MARK} is missing in {folders} under {self.landing.shown}. "
            f"Write {MARK} into each folder once its last file is there; a folder with {MARK} alone says that nothing happened."
        )


def find_delivery(settings: Settings, day: date) -> Delivery:
    """Look for the delivery of a day; nothing is opened."""
    landing = Landing.of(settings)
    folders = {table.name: f"{table.name}/day={day}" for table in DELIVERED}
    missing = tuple(name for name, folder in folders.items() if not landing.has(f"{folder}/{MARK}"))
    return Delivery(day, landing, {name: _files(landing, folder) for name, folder in folders.items()}, missing)


def require_delivery(settings: Settings, day: date) -> Delivery:
    """Return the delivery of a day.

    Raises
    ------
    BadDelivery
        If it is not complete; the text names the folders.
    """
    delivery = find_delivery(settings, day)
    if not delivery.complete:
        raise BadDelivery(delivery.message)
    return delivery


def _files(landing: Landing, folder: str) -> tuple[LandedFile, ...]:
    # what begins with a dot or an underscore is somebody's half-written file, as everywhere in the world of parquet
    parquet = (file for file in landing.files(folder) if file.name.endswith(".parquet"))
    return tuple(sorted((file for file in parquet if file.name.rpartition("/")[2][0] not in "._"), key=lambda file: file.name))


def shown_name(settings: Settings, delivery: Delivery, file: LandedFile) -> str:
    """Name a file for messages and for the quarantine: as in the landing, and with a key of user ids by its place alone.

    Shops name files after customers, too; the place is that among the files of the table's day, by name.
    """
    if not has_key(settings):
        return file.name
    table = file.name.partition("/")[0]
    files = delivery.files[table]
    return f"{table}/day={delivery.day}/file {files.index(file) + 1} of {len(files)}"
