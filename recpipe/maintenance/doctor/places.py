"""Checks of recpipe's places: write access, safety, and secrets of its own."""

from __future__ import annotations

import os
import shutil
import stat
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from recpipe.config.settings import Settings
from recpipe.errors import RecpipeError, no_space
from recpipe.lake.lake import Lake
from recpipe.local.home import airflow_home
from recpipe.maintenance.doctor.finding import Finding, ok, warn, wrong

if TYPE_CHECKING:
    from recpipe.tables.ingest.landed.landing import Landing

PRIVATE: Final = ("airflow.cfg", "login.json", "keys.json")
MAKE_ROOM: Final = "Make room: `recpipe maintain` frees some; docs/operations.md (a full disk) says the rest."


def folders(settings: Settings) -> Iterator[Finding]:
    """Say whether files can be written, renamed and flushed to disk in the home, and the landing can be read."""
    places = {"RECPIPE_HOME": settings.places.home, "work": settings.places.work, "reports": settings.places.reports}
    for name, place in places.items():
        yield _writable(place, name)
    yield _landing(settings)


def _landing(settings: Settings) -> Finding:
    """Say whether the landing can be read, wherever it lies."""
    from recpipe.tables.ingest.landed.landing import Landing

    try:
        landing = Landing.of(settings)
        if not landing.on_disk:
            return _landing_elsewhere(landing)
    except RecpipeError as error:
        return wrong("landing", str(error), "Mend RECPIPE_LANDING or RECPIPE_LANDING_OPTIONS, or ask whoever runs the store.")
    folder = settings.places.landing_root
    if not folder.is_dir():
        return warn(
            "landing", f"there is no folder {folder}", "Make it, let the shop drop its files there, or set RECPIPE_LANDING."
        )
    if not os.access(folder, os.R_OK | os.X_OK):
        return wrong("landing", f"{folder} cannot be read", f"Give this user the right to read it: chmod a+rX {folder}")
    return ok("landing", f"{folder} can be read")


def _landing_elsewhere(landing: Landing) -> Finding:
    found = landing.children("")
    if not found:
        remedy = "Let the shop drop its files there, or mend RECPIPE_LANDING: a store cannot tell an empty folder from none."
        return warn("landing", f"{landing.shown} answers, and holds nothing", remedy)
    return ok("landing", f"{landing.shown} can be read: {len(found):,} entries")


def store(settings: Settings) -> Iterator[Finding]:
    """Say whether the lake's store keeps two writers apart: the second of two commits of one version has to be refused.

    On an object store that does not know conditional puts the second would replace the first, and days would be lost.
    """
    root = settings.places.lake_root
    try:
        refused = _second_commit_is_refused(Lake.from_settings(settings))
    except RecpipeError as error:
        yield wrong("lake", str(error), "Mend that setting.")
    except Exception as error:  # of Delta, of a store, of a disk: it says which
        full = no_space(error)
        why = "the disk is full" if full else type(error).__name__
        remedy = MAKE_ROOM if full else "Look at RECPIPE_LAKE and RECPIPE_STORAGE_OPTIONS."
        yield wrong("lake", f"{root} cannot be written ({why})", remedy)
    else:
        if refused:
            yield ok("lake", f"{root} takes a commit, and refuses a second one of the same version")
        else:
            yield wrong(
                "lake",
                f"{root} let a second commit replace the first: two writers would lose days",
                "Use a store with conditional puts, and no option such as aws_s3_allow_unsafe_rename or aws_conditional_put=disabled.",
            )


def modes(settings: Settings) -> Iterator[Finding]:
    """Say whether the files that hold secrets are readable by their owner alone."""
    files = [airflow_home(settings.places) / name for name in PRIVATE]
    files += [Path(settings.privacy.user_key_file)] if settings.privacy.user_key_file else []
    there = [file for file in files if file.is_file()]
    open_ = [file for file in there if stat.S_IMODE(file.stat().st_mode) & 0o077]
    for file in open_:
        yield wrong("modes", f"{file} holds secrets and can be read by others", f"chmod 600 {file}")
    if not open_:
        yield ok("modes", f"{len(there)} files with secrets, readable by their owner alone")


def _writable(place: Path, name: str) -> Finding:
    """Say whether a file can be written there, flushed and renamed."""
    if place.exists() and not place.is_dir():
        return wrong("folders", f"{place} ({name}) cannot be written: it is no folder", f"Move that file away: {place}")
    probe = nearest_folder(place) / f".recpipe-doctor-{uuid.uuid4().hex}"
    try:
        with probe.open("wb") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        probe.replace(probe.with_suffix(".done"))
        probe.with_suffix(".done").unlink()
    except OSError as error:
        full = no_space(error)
        why = "the disk is full" if full else error.strerror or type(error).__name__
        remedy = MAKE_ROOM if full else f"Give this user the folder: chown $(id -u) {place}"
        return wrong("folders", f"{place} ({name}) cannot be written: {why}", remedy)
    finally:
        for left in (probe, probe.with_suffix(".done")):
            with suppress(OSError):
                left.unlink(missing_ok=True)
    return ok("folders", f"{place} can be written")


def nearest_folder(path: Path) -> Path:
    """Return the folder, or the nearest one above it that is there: where the first file will have to be made."""
    return next(place for place in (path.resolve(), *path.resolve().parents) if place.is_dir())


def _second_commit_is_refused(lake: Lake) -> bool:
    """Make a table for the test alone, commit to it twice from the same version, and remove it."""
    import pyarrow as pa
    from deltalake import CommitProperties, DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError
    from deltalake.fs import DeltaStorageHandler
    from pyarrow.fs import PyFileSystem

    name, options = f"_doctor-{uuid.uuid4().hex}", dict(lake.storage_options) or None
    rows = pa.table({"writer": [1]})
    try:
        DeltaTable.create(lake.uri(name), rows.schema, storage_options=options)
        first, second = (DeltaTable(lake.uri(name), storage_options=options) for _ in range(2))
        once = CommitProperties(max_commit_retries=0)
        write_deltalake(first, rows, mode="append", commit_properties=once)
        try:
            write_deltalake(second, rows, mode="append", commit_properties=once)
        except CommitFailedError:
            return True
        return False
    finally:
        if "://" in lake.root:
            PyFileSystem(DeltaStorageHandler(lake.root, dict(lake.storage_options) or None)).delete_dir(name)
        else:
            shutil.rmtree(f"{lake.root}/{name}", ignore_errors=True)
            with suppress(OSError):  # the lake's own folder, if it was made for this
                Path(lake.root).rmdir()
