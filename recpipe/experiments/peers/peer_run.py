"""The environments of the peers, and the runs of their scripts in them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from recpipe.errors import RecpipeError
from recpipe.experiments.split import read_split
from recpipe.training.folder_claim import alone

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A package that others use: its script, its pinned requirements, and the lists that it writes."""

    script: str
    requirements: str
    lists: tuple[str, ...]


PEERS = {
    "implicit": Peer("implicit_peer.py", "requirements-implicit.txt", ("implicit_als", "implicit_bm25")),
    "rectools": Peer("rectools_peer.py", "requirements-rectools.txt", ("rectools_sasrec",)),
}


def run_peers(
    split: Path, out_dir: Path, envs: Path, *, only: Sequence[str] = (), seed: int = 0, threads: int = 1, quick: bool = False
) -> list[Path]:
    """Serve a split with each peer and return the files of lists.

    Parameters
    ----------
    split
        Folder of the split; its ``truth`` is not opened.
    out_dir
        Gets a parquet file each, in the form of `recpipe.experiments.new_users`, and a JSON file with setting and seconds.
    envs
        Folder of the environments; one is made anew when its requirements change.
    only
        Names of `PEERS`; all of them if empty.
    seed, threads
        Of the packages.
    quick
        One setting and few steps: to try the way.

    Raises
    ------
    RecpipeError
        If the split is wrong, an environment cannot be made, or a script fails.
    """
    if unknown := sorted(set(only) - set(PEERS)):
        raise RecpipeError(f"Peer {', '.join(unknown)} is unknown. There are {', '.join(PEERS)}.")
    read_split(split)  # refuses a wrong one before an environment is made
    written = []
    for name in only or PEERS:
        peer = PEERS[name]
        python = environment(envs, name, HERE / peer.requirements)
        told = ["--split", str(split.resolve()), "--out-dir", str(out_dir.resolve()), "--seed", str(seed)]
        told += ["--threads", str(threads), *(["--quick"] if quick else [])]
        print(f"{name}: {peer.script} runs in {python.parent.parent}", flush=True)
        _run([str(python), str(HERE / peer.script), *told], f"The peer {name} failed on {split}")
        written += [out_dir / f"{entry}.parquet" for entry in peer.lists]
    return written


def environment(envs: Path, name: str, requirements: Path) -> Path:
    """Return the interpreter of an environment with these requirements; it is made if it is not there whole."""
    mark = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    folder = envs / f"{name}-{mark}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if complete.is_file():
        return python
    with alone(envs):  # two runs at once make it one after the other
        if not complete.is_file():
            _make(folder, name, requirements)
            complete.touch()
    return python


def _make(folder: Path, name: str, requirements: Path) -> None:
    python = folder / "bin" / "python"
    shutil.rmtree(folder, ignore_errors=True)
    print(f"{name}: making the environment {folder} ({requirements.name})", flush=True)
    _run([sys.executable, "-m", "venv", str(folder)], f"The environment {folder} could not be made")
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", str(requirements)]
    _run(install, f"The packages of {requirements.name} could not be installed (pip needs a package index)")


def _run(command: list[str], refusal: str) -> None:
    """Run a command, its output in ours; without the paths of this process's own environment."""
    clean = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")}
    # implicit and torch bring their own threads; those of BLAS beside them only get in the way
    found = subprocess.run(command, env={**clean, "OPENBLAS_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}, check=False)
    if found.returncode:
        raise RecpipeError(f"{refusal}: {Path(command[0]).name} ended with code {found.returncode}. What it said stands above.")
