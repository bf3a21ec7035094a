"""The place of the DAG files: beside the package in a checkout, under the environment's share/ where a wheel was installed."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

import recpipe
from recpipe.errors import BadSetting

INSTALLED = "share/recpipe/dags"
"""Where the wheel puts them, under the root of the environment."""


def dag_files(given: str = "") -> Path:
    """Return the folder of the DAG files.

    Parameters
    ----------
    given
        What the setting says; empty for the folder that recpipe brings.

    Raises
    ------
    BadSetting
        If there is no such folder.
    """
    return existing_folder(given or str(_brought()), "dags")


def existing_folder(path: str, name: str) -> Path:
    """Return a folder of this name with its whole path; a sentence is raised if there is none."""
    folder = Path(path).resolve()
    if not folder.is_dir():
        raise BadSetting(f"There is no folder {folder}: set RECPIPE_{name.upper()}_FOLDER to the folder {name}/ of recpipe.")
    return folder


def _brought() -> Path:
    beside = Path(recpipe.__file__).resolve().parent.parent / "dags"
    if beside.is_dir():
        return beside
    installed = [file for file in metadata.files("recpipe") or [] if file.match(f"{INSTALLED}/*.py")]
    return Path(str(installed[0].locate())).resolve().parent if installed else beside
