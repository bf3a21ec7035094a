"""The locks, compiled from pyproject.toml: `make lock` runs it.

Versions that a lock names already are kept wherever the ranges of pyproject.toml allow them; delete a line to have it resolved anew.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]
FULL = "requirements.txt"
PRODUCTION = "docker/requirements.txt"
CLUSTER = "docker/requirements-cluster.txt"
SERVICES = "tests/services/requirements.txt"
OPTIONS = ("-q", "--strip-extras", "--no-emit-index-url", "--no-emit-find-links", "--no-header", "--annotation-style=line")
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)[^#\n]*(?:# via (.*))?$", re.M)


@dataclass(frozen=True)
class Lock:
    """One lock: what it says of itself, where it is compiled from, which locks bind it, which locks hold what it leaves out."""

    file: str
    title: str
    source: str = "pyproject.toml"
    extras: tuple[str, ...] = ()
    bound_by: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()


LOCKS = (
    Lock(FULL, "The full lock, of development and CI.", extras=("dev", "multilingual")),
    Lock(PRODUCTION, "The lock of production: no tests, no checks.", extras=("multilingual",), bound_by=(FULL,)),
    Lock(
        CLUSTER, "What a cluster needs beside docker/requirements.txt.",
        extras=("cluster", "multilingual"), bound_by=(FULL, PRODUCTION), beside=(PRODUCTION,),
    ),
    Lock(
        SERVICES, "What the tests of the services need beside requirements.txt and docker/requirements-cluster.txt.",
        source="tests/services/requirements.in", bound_by=(FULL, CLUSTER), beside=(FULL, CLUSTER),
    ),
)  # fmt: skip


def markers(project: str) -> dict[str, str]:
    """Return the marker of each dependency and extra of a pyproject.toml that has one; pip-compile drops them."""
    table = tomllib.loads(project)["project"]
    lines = [*table["dependencies"], *(line for extra in table["optional-dependencies"].values() for line in extra)]
    found = [Requirement(line) for line in lines]
    return {one.name: str(one.marker) for one in found if one.marker}


def tidy(text: str, lock: Lock, marked: dict[str, str], left_out: set[str]) -> str:
    """Return a compiled lock without local builds (`+cpu`) and without what other locks hold, with markers."""
    lines = [f"# {lock.title} Compiled from {lock.source} by `make lock`; do not edit by hand."]
    for name, version, via in PIN.findall(text):
        if name not in left_out:
            pin = f"{name}=={version.partition('+')[0]}" + (f" ; {marked[name]}" if name in marked else "")
            lines.append(f"{pin:<25} # via {re.sub('-c [^,]+, ', '', via)}")
    return "\n".join(lines) + "\n"


def names(file: str) -> set[str]:
    """Return the names of the packages that a lock pins."""
    return {name for name, _, _ in PIN.findall((ROOT / file).read_text())}


def compiled(lock: Lock, scratch: Path) -> str:
    """Return what pip-compile resolves for a lock; the pins of today and of the locks that bind it are kept."""
    kept = scratch / "kept.txt"
    kept.write_text((ROOT / lock.file).read_text() if (ROOT / lock.file).exists() else "")
    bounds = [word for file in lock.bound_by for word in ("-c", file)]
    extras = [word for extra in lock.extras for word in ("--extra", extra)]
    command = [sys.executable, "-m", "piptools", "compile", *OPTIONS, *bounds, *extras, "-o", str(kept), lock.source]
    subprocess.run(command, cwd=ROOT, check=True)
    return kept.read_text()


def main() -> None:
    """Compile each lock, in order: later ones are bound by earlier ones."""
    marked = markers((ROOT / "pyproject.toml").read_text())
    with tempfile.TemporaryDirectory() as scratch:
        for lock in LOCKS:
            left_out = {name for file in lock.beside for name in names(file)}
            text = compiled(lock, Path(scratch))
            (ROOT / lock.file).write_text(tidy(text, lock, marked, left_out))
            print(f"{lock.file}: {len(names(lock.file))} packages")


if __name__ == "__main__":
    main()
