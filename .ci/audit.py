"""Look for known vulnerabilities of the pinned packages: `make lint` runs it.

It fails on a vulnerability that exceptions.toml does not name, and on a bad exception. Where the advisories cannot be had (no network, a
mirror without them), it says so and fails nothing: otherwise nobody could work offline.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LOCKS = (ROOT / "requirements.txt", ROOT / "docker" / "requirements-cluster.txt", ROOT / ".ci" / "requirements-audit.txt")
EXCEPTIONS = ROOT / ".ci" / "exceptions.toml"
CANARY = "requests==2.19.1"
"""Known to be vulnerable since 2018 (CVE-2018-18074): a service that knows nothing of it knows no advisories."""
LEAST_REASON = 20
SECONDS = 300


class BadException(ValueError):
    """An entry of exceptions.toml that may not stand there."""


@dataclass(frozen=True)
class Exceptional:
    """One vulnerability that is left standing: which, of which package, why, and until when."""

    id: str
    package: str
    reason: str
    until: date


def read_exceptions(text: str, today: date) -> list[Exceptional]:
    """Return the entries of exceptions.toml.

    Raises
    ------
    BadException
        If one lacks something, gives no reason to speak of, or is past its date.
    """
    found = []
    for number, entry in enumerate(tomllib.loads(text).get("exception", []), 1):
        where = f"exceptions.toml, exception {number} ({entry.get('id', 'without id')})"
        if set(entry) != {"id", "package", "reason", "until"}:
            raise BadException(f"{where} needs id, package, reason and until, and nothing else.")
        if len(str(entry["reason"]).strip()) < LEAST_REASON:
            raise BadException(f"{where} gives no reason: say in a sentence why it cannot be used against recpipe.")
        if type(entry["until"]) is not date:
            raise BadException(f"{where} has no date: write until = 2026-12-31, without quotes.")
        if entry["until"] < today:
            raise BadException(
                f"{where} was to stand until {entry['until']}: update {entry['package']}, or think again and move the date."
            )
        found.append(Exceptional(**entry))
    return found


def judge(dependencies: list[dict[str, Any]], exceptions: list[Exceptional]) -> Iterator[str]:
    """Yield a sentence for each vulnerability that no exception names.

    Parameters
    ----------
    dependencies
        As `pip-audit --format json` writes them: name, version, and vulns (id, aliases, fix_versions) or skip_reason.
    exceptions
        As `read_exceptions` gives them.
    """
    known = {(one.package.lower(), one.id) for one in exceptions}
    for package in dependencies:
        for fault in package.get("vulns", []):
            names = [fault["id"], *fault.get("aliases", [])]
            if not any((package["name"].lower(), name) in known for name in names):
                mended = ", ".join(fault.get("fix_versions", [])) or "no version yet"
                yield f"{package['name']} {package['version']}: {' = '.join(names)}, mended in {mended}."


def ask(program: str, *files: Path) -> list[dict[str, Any]] | None:
    """Return what pip-audit says of the pins in some files; None if it could not ask."""
    words = [program, "--no-deps", "--disable-pip", "--progress-spinner", "off", "--format", "json"]
    try:
        done = subprocess.run(
            [*words, *(word for file in files for word in ("-r", str(file)))],
            capture_output=True, text=True, check=False, timeout=SECONDS,
        )  # fmt: skip
        said: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        return None
    return said


def audit(program: str) -> int:
    """Ask, judge and print; return the exit code."""
    try:
        exceptions = read_exceptions(EXCEPTIONS.read_text(), datetime.now(UTC).date())
    except ValueError as error:  # no TOML among them
        print(f"pip-audit: {error}")
        return 1
    with tempfile.TemporaryDirectory() as scratch:
        canary = Path(scratch) / "canary.txt"
        canary.write_text(CANARY + "\n")
        first = ask(program, canary)
    found = ask(program, *LOCKS) if first and any(package.get("vulns") for package in first) else None
    if found is None:
        print(
            f"pip-audit: the advisories cannot be had here (nothing is known of {CANARY}): the pinned packages were NOT looked at."
        )
        return 0
    faults = list(judge(found, exceptions))
    skipped = [package["name"] for package in found if "skip_reason" in package]
    print(
        f"pip-audit: {len(found) - len(skipped)} packages looked at, {len(faults)} vulnerabilities, {len(exceptions)} exceptions."
    )
    if skipped:
        print(f"pip-audit: not known to the service, and not looked at: {', '.join(skipped)}.")
    for fault in faults:
        print(f"pip-audit: {fault} Update it, or name it in .ci/exceptions.toml with a reason and a date.")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1]))
