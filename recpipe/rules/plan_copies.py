"""The files of knowledge that a run obeys: copied once when it is planned, so that none is edited under its feet."""

from __future__ import annotations

import logging
import pathlib
import uuid
from collections.abc import Mapping
from datetime import date

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.errors import BadSetting, RecpipeError
from recpipe.rules.load import hash_of, read_files, understand
from recpipe.rules.model import NOTHING, Knowledge

log = logging.getLogger(__name__)


def keep_rules(settings: Settings) -> str:
    """Validate and copy the files of the settings; return their sha256, empty where no folder is set.

    Raises
    ------
    BadSetting
        If something is wrong with them (`recpipe.rules.load.read_rules`).
    """
    if not settings.rules.knowledge:
        return ""
    files = read_files(settings.rules.knowledge)
    sha256 = understand(files, settings.shop.category_separator).sha256
    _copy(files, _place(settings.places, sha256))
    return sha256


def rules_of_plan(settings: Settings, sha256: str, day: date) -> Knowledge:
    """Return what a run was planned with; `NOTHING` where that was nothing.

    Raises
    ------
    RecpipeError
        If the copy is gone, or is no longer what it was.
    """
    if not sha256:
        return NOTHING
    place = _place(settings.places, sha256)
    try:
        files = read_files(place)
    except BadSetting:
        raise RecpipeError(f"The files of knowledge of {day} are gone from {place}: run again from the plan on.") from None
    if hash_of(files) != sha256:
        raise RecpipeError(
            f"The files of knowledge in {place} are not those that {day} was planned with: remove the folder, and run "
            f"again from the plan on."
        )
    return understand(files, settings.shop.category_separator)


def _place(places: PlaceSettings, sha256: str) -> pathlib.Path:
    return places.work / "knowledge" / sha256


def _copy(files: Mapping[str, bytes], place: pathlib.Path) -> None:
    """Lay files in a folder that appears whole or not at all; one that stands there already stays."""
    if place.is_dir():
        place.touch()  # in use: the sweep of scratch lets it stand
        return
    part = place.with_name(f".{place.name}.{uuid.uuid4().hex}.part")
    part.mkdir(parents=True)
    for name, raw in files.items():
        (part / name).write_bytes(raw)
    try:
        part.rename(place)
    except OSError:  # another run was first to copy the same files
        for name in files:
            (part / name).unlink()
        part.rmdir()
        return
    log.info("Files of knowledge copied to %s.", place)
