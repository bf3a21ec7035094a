"""The way of a version's files from MLflow's store of artifacts to this machine: fetched beside the place, checked, moved there at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

from recpipe.errors import MissingModel, Trouble, no_space
from recpipe.faults import MAKE_ROOM

GONE: Final = ("No such artifact", "NoSuchKey", "NoSuchBucket", "404", "Not Found", "does not exist", "No such file")
"""How stores of artifacts (folders, S3 and the like, MLflow's own proxy) say that something is not there."""


def download(uri: str, scratch: str, name: str, place: Path, remedy: str) -> Path:
    """Download a folder of artifacts and return where it lies.

    Parameters
    ----------
    uri
        Address of the folder in MLflow's words.
    scratch
        Folder to download into.
    name, place, remedy
        How errors call the version, where its files are to go in the end, and what to do if they are lost.

    Raises
    ------
    MissingModel
        If the store says that they are gone.
    Trouble
        If it does not answer, or the disk is full.
    """
    import mlflow

    try:
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=scratch))
    except Exception as error:
        raise _not_fetched(error, name, place, remedy) from error


def swap(found: Path, place: Path, whole: Callable[[Path], bool]) -> None:
    """Move a folder to its place; of several who do this one wins, with the same files.

    Parameters
    ----------
    found
        A complete folder on the same disk.
    whole
        Whether a folder that stands there already holds the same files.
    """
    for _ in range(3):
        try:
            found.rename(place)
            return
        except OSError:  # a folder stands there: another night's, whole, or a damaged one
            if whole(place):
                return
            aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=".damaged-"))
            if place.exists():
                place.replace(aside / "old")
            shutil.rmtree(aside, ignore_errors=True)
    raise MissingModel(f"{place} could not be replaced: remove the folder and run again.")


def _not_fetched(error: Exception, name: str, place: Path, remedy: str) -> Exception:
    """Return what to raise where the store did not give the files: they are gone, or it does not answer (which may pass)."""
    said = str(error).strip().splitlines() or [type(error).__name__]
    if no_space(error):
        return Trouble(
            f"The files of {name} could not be fetched: there is no space left in {place.parents[1]} ({said[-1][:200]}). {MAKE_ROOM}"
        )
    if isinstance(error, FileNotFoundError) or any(words in str(error) for words in GONE):
        return MissingModel(f"The files of {name} are gone from MLflow's store of artifacts ({said[-1][:200]}). {remedy}")
    return Trouble(
        f"The files of {name} could not be fetched from MLflow's store of artifacts ({type(error).__name__}: {said[-1][:200]}). Look "
        f"whether it answers (`recpipe doctor`), then run this again."
    )
