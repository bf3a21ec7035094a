"""The reading of a folder of rule files: every fault at once, or every rule."""

from __future__ import annotations

import hashlib
import json
import pathlib
from collections.abc import Mapping
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.rules.categories import read_tree
from recpipe.rules.model import NOTHING, Knowledge, Tree
from recpipe.rules.rule_lists import read_age_limits, read_blocked, read_substitutes
from recpipe.rules.yaml_source import Fault, Sheet

CATEGORIES, SUBSTITUTES, BLOCKED, AGE_LIMITS = FILES = (
    "categories.yaml", "substitutes.yaml", "blocked.yaml", "age_limits.yaml",
)  # fmt: skip
MOST_SHOWN: Final = 100


def read_rules(settings: Settings) -> Knowledge:
    """Return what the folder of the settings says; `NOTHING` where none is set.

    Raises
    ------
    BadSetting
        If there is no such folder, or something in it is wrong: every fault with its file and line.
    """
    return load_rules(settings.rules.knowledge, settings.shop.category_separator) if settings.rules.knowledge else NOTHING


def load_rules(folder: str | pathlib.Path, separator: str = ">") -> Knowledge:
    """Return what a folder says (errors as in `read`); ``separator`` is that of categories that are written as one text."""
    return understand(read_files(folder), separator)


def read_files(folder: str | pathlib.Path) -> dict[str, bytes]:
    """Return the files of a folder by name.

    Raises
    ------
    BadSetting
        If there is no such folder, none of `FILES` is in it, or another YAML file is, of which nobody would hear.
    """
    place = pathlib.Path(folder)
    if not place.is_dir():
        raise BadSetting(f"RECPIPE_KNOWLEDGE: there is no folder {place}. Make it, or leave the setting empty.")
    there = sorted(file.name for file in place.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    if strange := [name for name in there if name not in FILES]:
        raise BadSetting(
            f"RECPIPE_KNOWLEDGE: {place} holds {strange[0]}, line 1: no such file is known. Rename or remove it; "
            f"the files are {', '.join(FILES)}."
        )
    if not there:
        raise BadSetting(f"RECPIPE_KNOWLEDGE: {place} holds none of {', '.join(FILES)}. Add one, or leave the setting empty.")
    return {name: (place / name).read_bytes() for name in there}


def understand(files: Mapping[str, bytes], separator: str = ">") -> Knowledge:
    """Return what some files say, by name.

    Raises
    ------
    BadSetting
        If something is wrong: every fault with its file and line.
    """
    sheets = {name: Sheet(name, separator) for name in FILES}
    nodes = {name: sheets[name].compose(raw) for name, raw in files.items()}

    def made(name: str, make: Any, otherwise: Any) -> Any:
        return otherwise if nodes.get(name) is None else make(sheets[name], nodes[name])

    tree = made(CATEGORIES, read_tree, Tree())
    # where the tree is wrong, names are not held against it: one fault would make many
    names = Tree() if sheets[CATEGORIES].faults else tree
    substitutes = made(SUBSTITUTES, lambda sheet, node: read_substitutes(sheet, node, names), ())
    blocked = made(BLOCKED, lambda sheet, node: read_blocked(sheet, node, names), ())
    limits, source = made(AGE_LIMITS, lambda sheet, node: read_age_limits(sheet, node, names), ((), None))
    _refuse([fault for sheet in sheets.values() for fault in sorted(sheet.faults)])
    return Knowledge(hash_of(files), tree, substitutes, blocked, limits, source)


def _refuse(faults: list[Fault]) -> None:
    if not faults:
        return
    rest = f"\n… and {len(faults) - MOST_SHOWN} more." if len(faults) > MOST_SHOWN else ""
    count = "a fault" if len(faults) == 1 else f"{len(faults)} faults"
    lines = "".join(f"\n{fault}" for fault in faults[:MOST_SHOWN])
    raise BadSetting(f"RECPIPE_KNOWLEDGE: {count} in the files of knowledge; mend them, and run again.{lines}{rest}")


def hash_of(files: Mapping[str, bytes]) -> str:
    """Return the sha256 of some files with their names."""
    parts = {name: hashlib.sha256(raw).hexdigest() for name, raw in sorted(files.items())}
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()
