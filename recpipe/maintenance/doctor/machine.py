"""Checks of this machine: Python, libraries, disk, clock, GPU."""

from __future__ import annotations

import difflib
import email.utils
import os
import platform
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet

import recpipe
from recpipe.config.settings import Settings
from recpipe.local.home import base_url, mlflow_url
from recpipe.maintenance.doctor.finding import Finding, ok, warn, wrong
from recpipe.maintenance.doctor.places import nearest_folder
from recpipe.maintenance.steps import size

LOCK: Final = Path(recpipe.__file__).resolve().parent.parent / "requirements.txt"
LEAST_FREE: Final = 1_000_000_000
LATE_SECONDS: Final = 5.0
WRONG_SECONDS: Final = 60.0
NOT_SETTINGS: Final = frozenset({"RECPIPE_ENV_FILE", "RECPIPE_CONFIG_FILE", "RECPIPE_TEST_DATA"})


def python(settings: Settings) -> Iterator[Finding]:
    """Say whether this is the Python that the lock was resolved for."""
    wanted = metadata.metadata("recpipe")["Requires-Python"]
    found = platform.python_version()
    if found in SpecifierSet(wanted):
        yield ok("python", f"Python {found}")
    else:
        yield wrong("python", f"Python {found}, but recpipe needs {wanted}", "Make the environment anew with Python 3.11: make")


def versions(settings: Settings, lock: Path = LOCK) -> Iterator[Finding]:
    """Say whether the libraries are those of the lock; those that recpipe does not name itself only warn.

    Where no lock lies beside the package, since it was installed from a wheel, the ranges of the package itself are looked at.
    """
    ranges = _ranges()
    if not lock.is_file():
        yield _within(ranges)
        return
    pins = dict(_pins(lock))
    differ = [(name, pin, found) for name, pin in pins.items() if (found := _installed(name)) != pin]
    for level, names in ((wrong, ranges.keys()), (warn, pins.keys() - ranges.keys())):
        told = [f"{name} {found or 'is missing'} (lock: {pin})" for name, pin, found in differ if name in names]
        if told:
            remedy = f"{sys.executable} -m pip install -r requirements.txt"
            yield level("versions", f"not as in the lock: {', '.join(told[:8])}{' …' if len(told) > 8 else ''}", remedy)
    if not differ:
        yield ok("versions", f"{len(pins)} libraries as in the lock")


def _within(ranges: dict[str, SpecifierSet]) -> Finding:
    """Say whether the libraries are in the ranges that were run together."""
    found = {name: _installed(name) for name in ranges}
    outside = [name for name, version in found.items() if not version or version not in ranges[name]]
    told = [f"{name} {found[name] or 'is missing'} (wanted: {ranges[name] or 'any'})" for name in outside]
    if told:
        return wrong("versions", f"not as recpipe needs them: {', '.join(told[:8])}", f"{sys.executable} -m pip install recpipe")
    return ok("versions", f"{len(ranges)} libraries in the ranges that recpipe names")


def environment(settings: Settings) -> Iterator[Finding]:
    """Say whether every variable RECPIPE_* is a setting; a slip of the keyboard is none, and nobody would say so."""
    known = {f"RECPIPE_{name.upper()}" for name in Settings.fields()} | NOT_SETTINGS
    unknown = sorted(name for name in os.environ if name.startswith("RECPIPE_") and name not in known)
    for name in unknown:
        near = difflib.get_close_matches(name, known, 1)
        yield warn("settings", f"{name} is no setting", f"Did you mean {near[0]}?" if near else f"Remove it: unset {name}")
    if not unknown:
        yield ok("settings", "all readable")


def disk(settings: Settings) -> Iterator[Finding]:
    """Say whether there is room for the nights to come: a tenth of what is there, and a gigabyte."""
    roots = [str(settings.places.home), settings.places.lake_root]
    # the lake's folder may be a disk of its own
    for place in dict.fromkeys(nearest_folder(Path(root)) for root in roots if "://" not in root):
        free = shutil.disk_usage(place).free
        needed = LEAST_FREE + _size(Path(settings.places.lake_root)) // 10
        says = f"{size(free)} are free where {place} lies; {size(needed)} are wanted"
        remedy = "Free some: `recpipe maintain` says what it removed; RECPIPE_KEEP_DAYS and RECPIPE_KEEP_SCRATCH_DAYS say how much is kept."
        if free < needed / 2:
            yield wrong("disk", says, remedy)
        elif free < needed:
            yield warn("disk", says, remedy)
        else:
            yield ok("disk", says)


def clock(settings: Settings) -> Iterator[Finding]:
    """Say whether this machine, its disk and the services agree on the time."""
    place = nearest_folder(settings.places.home)
    parts = {"the file system of the home": _disk_skew(place)}
    for name, url in (("Airflow", base_url(settings)), ("MLflow", _tracking_url(settings))):
        parts[name] = _date_skew(url) if url else None
    known = {name: skew for name, skew in parts.items() if skew is not None}
    late = {name: skew for name, skew in known.items() if abs(skew) > LATE_SECONDS}
    for name, skew in late.items():
        level = wrong if abs(skew) > WRONG_SECONDS else warn
        says = f"{name} is {abs(skew):,.0f} s {'ahead of' if skew > 0 else 'behind'} this machine's clock"
        yield level("clock", says, "Let both machines set their clocks by NTP (timedatectl status).")
    if not late:
        yield ok(
            "clock",
            f"agrees with {', '.join(known) or 'nothing that could be asked'}; the shop's zone is {settings.shop.timezone}",
        )


def gpu(settings: Settings) -> Iterator[Finding]:
    """Say whether torch sees the GPUs that the settings count on, where jobs run on this machine."""
    if settings.jobs.job_place != "process":
        yield ok("gpu", f"jobs run in {settings.jobs.job_place}; the GPU is asked for there")
        return
    if not settings.local.gpus and not list(Path("/dev").glob("nvidia[0-9]*")):
        yield ok("gpu", "none on this machine: training uses the CPU")
        return
    words = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)
    seen = int(done.stdout.strip() or 0) if done.returncode == 0 else 0
    if seen >= max(1, settings.local.gpus):
        yield ok("gpu", f"torch sees {seen}")
    else:
        says = f"torch sees {seen} of {max(1, settings.local.gpus)} GPUs"
        yield wrong(
            "gpu",
            says,
            "Look at nvidia-smi; install torch's CUDA build (docker/Dockerfile, target gpu), or set RECPIPE_GPUS to 0.",
        )


# --- what they ask


def _lines(file: Path) -> Iterator[str]:
    if file.is_file():
        yield from (line.split("#")[0].strip() for line in file.read_text().splitlines() if line.split("#")[0].strip())


def _pins(lock: Path) -> Iterator[tuple[str, str]]:
    for line in _lines(lock):
        try:
            asked = Requirement(line)
        except InvalidRequirement:  # an option, such as an index
            continue
        pin = next((entry.version for entry in asked.specifier if entry.operator == "=="), "")
        if pin and (asked.marker is None or asked.marker.evaluate()):
            yield _name(asked), pin


def _ranges() -> dict[str, SpecifierSet]:
    """Return what recpipe itself needs on this machine, without extras: the range of each library, by its name."""
    asked = [Requirement(line) for line in metadata.requires("recpipe") or []]
    return {_name(one): one.specifier for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})}


def _name(asked: Requirement) -> str:
    return asked.name.lower().replace("_", "-")


def _installed(name: str) -> str:
    try:
        return metadata.version(name).split("+")[0]  # torch says +cpu
    except metadata.PackageNotFoundError:
        return ""


def _size(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):  # a run, or another check, removes files of its own meanwhile
                total += Path(root, name).lstat().st_size
    return total


def _disk_skew(folder: Path) -> float | None:
    probe = folder / f".recpipe-doctor-{os.getpid()}"
    try:
        probe.touch()
        skew = probe.stat().st_mtime - time.time()
        probe.unlink()
    except OSError:
        return None  # the check of places says so
    return skew


def _tracking_url(settings: Settings) -> str:
    return settings.places.tracking_uri if settings.places.tracking_uri.startswith("http") else mlflow_url(settings.local)


def _date_skew(url: str) -> float | None:
    """Return how many seconds a server's clock is ahead of ours; its answer says whole seconds. None: it does not answer."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method="HEAD"), timeout=3) as answer:  # noqa: S310  # of the settings
            said = answer.headers.get("Date")
    except urllib.error.HTTPError as error:
        said = error.headers.get("Date")
    except (OSError, ValueError):
        return None
    return email.utils.parsedate_to_datetime(said).timestamp() + 0.5 - time.time() if said else None
