"""The removal of scratch: folders under ``work/`` that were not touched for days and that nobody works in.

A folder is renamed before it is removed, so that a killed sweep leaves no half of one under its name.
"""

from __future__ import annotations

import logging
import os
import shutil
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import psutil

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.lake.lake import Lake
from recpipe.maintenance.steps import Step
from recpipe.registry.encoder_versions import folder_of
from recpipe.registry.encoders import fingerprints_of
from recpipe.registry.nights import number_of

log = logging.getLogger(__name__)

RUNS: Final = {"nights": 2, "ingest": 2, "training": 2, "train": 1, "adopted": 1, "knowledge": 1, "models": 1}
"""Folders under ``work/`` and how deep below each the folder of a run lies. Encoders, their caches, and what a person started
by hand (benchmarks) are no scratch of runs."""
DOOMED: Final = ".gone-"
LEAST_CACHE: Final = 1_000_000


def prune_folders(settings: Settings, *, dry_run: bool = False) -> list[Step]:
    """Remove the folders of runs that are over since RECPIPE_KEEP_SCRATCH_DAYS; returns a step for each.

    A folder stays where anything in it was touched since, where a process of this machine works in it or was started with its
    name, where the process that its name names lives, and where it holds a model that served within these days.
    """
    before = time.time() - timedelta(days=settings.upkeep.keep_scratch_days).total_seconds()
    kept = _serving(settings, before)
    steps = []
    in_use: str | None = None
    for place in list(_run_folders(settings.places)):  # all, before anything is renamed
        if place in kept or _touched(place) >= before or _named_process_lives(place):
            continue
        in_use = _in_use() if in_use is None else in_use
        if _mentioned(place, in_use):
            continue
        steps.append(_removed(settings.places.work, place, dry_run=dry_run))
    return steps


def _removed(work: Path, place: Path, *, dry_run: bool) -> Step:
    """Remove a folder and say what went of it; what stays is said too."""
    name, size = str(place.relative_to(work)), _bytes(place)
    if dry_run:
        return Step("scratch", name, 1, size)
    left = _remove(place, work)
    if left is None:
        return Step("scratch", name, 1, size)
    return Step(
        "scratch", name, 0, size - _bytes(left), failed=f"{left} could not be removed whole: see who owns it, and run it again."
    )


def empty_caches(settings: Settings, *, dry_run: bool = False) -> list[Step]:
    """Empty the caches of text vectors that are larger than RECPIPE_KEEP_VECTORS_MB, where that is set; returns a step for each."""
    limit = settings.upkeep.keep_vectors_mb * 1_000_000
    found = sorted((settings.places.work / "encoder").glob("*.sqlite*")) if limit else []
    steps = []
    for file in (file for file in found if not file.name.endswith(("-wal", "-shm"))):
        count = file.stat().st_size
        if count > limit:
            steps.append(Step("vectors", str(file.relative_to(settings.places.work)), 1, count))
            if not dry_run:
                _empty(file)
    return steps


def _empty(file: Path) -> None:
    """Delete the rows and give the space back; the file stays, for other processes have it open."""
    with closing(sqlite3.connect(file, timeout=60, isolation_level=None)) as connection:
        connection.execute("DELETE FROM vectors")
        connection.execute("VACUUM")


def _run_folders(places: PlaceSettings) -> Iterator[Path]:
    for kind, depth in RUNS.items():
        pattern = "/".join(["*"] * depth)
        for place in sorted((places.work / kind).glob(pattern)):
            if place.is_dir() and not place.is_symlink():
                yield place
    yield from sorted(places.work.glob(f"{DOOMED}*"))


def _serving(settings: Settings, before: float) -> set[Path]:
    """Return the folders of models that made a day which was published since, or serve the newest."""
    since = datetime.fromtimestamp(before, UTC)
    records = [record for record in Lake.from_settings(settings).days() if record.model_version]
    used = {number_of(record.model_version) for record in records if record.recorded_at >= since}
    newest = max(records, key=lambda record: (record.recorded_at, record.day), default=None)
    if newest is not None:
        used.add(number_of(newest.model_version))
    folders = {settings.places.work / "models" / number for number in used if number}
    encoders = {folder_of(settings.places, print_) for folder in folders for print_ in fingerprints_of(folder).values() if print_}
    return folders | encoders


def _touched(place: Path) -> float:
    """Return when anything in a folder was last changed; now if it vanishes while it is looked at."""
    if place.name.startswith(DOOMED):
        return 0.0
    try:
        return max(path.lstat().st_mtime for path in (place, *place.rglob("*")))
    except FileNotFoundError:
        return time.time()


def _bytes(place: Path) -> int:
    return sum(path.lstat().st_size for path in place.rglob("*") if path.is_file())


def _named_process_lives(place: Path) -> bool:
    """Return whether a folder ``local-PID-…`` belongs to a process of this machine that lives."""
    words = place.name.split("-")
    return len(words) == 3 and words[0] == "local" and words[1].isdigit() and psutil.pid_exists(int(words[1]))


def _in_use() -> str:
    """Return the command lines, folders and open files of this machine's processes, as far as they can be read."""
    said: list[str] = []
    for process in psutil.process_iter():
        if process.pid == os.getpid():
            continue
        try:
            said += process.cmdline()
            said.append(process.cwd())
            said += [opened.path for opened in process.open_files()]
        except (psutil.Error, OSError):
            continue
    return "\n".join(said)


def _mentioned(place: Path, in_use: str) -> bool:
    return str(place.resolve()) in in_use


def _remove(place: Path, work: Path) -> Path | None:
    """Remove a folder; returns what is left of it, under the name that it has then."""
    doomed = place if place.name.startswith(DOOMED) else work / f"{DOOMED}{uuid.uuid4().hex}"
    try:
        if doomed != place:
            place.rename(doomed)
    except OSError as error:
        log.warning("%s stays: %s.", place, error.strerror)
        return place
    shutil.rmtree(doomed, ignore_errors=True)
    for parent in place.parents:
        if parent == work or parent.parent == work:
            break
        try:
            parent.rmdir()
        except OSError:  # another run's folder lies in it
            break
    return doomed if doomed.exists() else None
