"""Names in the files that the catalogue does not have: nothing is refused for them, but somebody should hear of it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import date

from recpipe.config.settings import Settings
from recpipe.lake.lake import Lake
from recpipe.rules.model import Knowledge, Path

log = logging.getLogger(__name__)


def absent_names(knowledge: Knowledge, item_ids: Iterable[str], delivered: Iterable[Path]) -> list[tuple[str, int]]:
    """Return the file and line of what is named and stands in no catalogue.

    Parameters
    ----------
    knowledge
        The files.
    item_ids, delivered
        Of the catalogue: its items, and their categories as they were delivered.
    """
    items, paths, tree = set(item_ids), set(delivered), knowledge.tree
    there, known = _begun(paths), {*items, *_begun(tree.of(path) for path in paths)}
    names = [
        *(("substitutes.yaml", name) for group in knowledge.substitutes for name in group.names),
        *(("blocked.yaml", block.name) for block in knowledge.blocked),
        *(("age_limits.yaml", limit.name) for limit in knowledge.age_limits),
    ]
    renamed = [("categories.yaml", tree.lines[path]) for path in tree.renames if path not in there]
    return renamed + [(file, one.line) for file, one in names if (one.item or one.category) not in known]


def _begun(paths: Iterable[Path]) -> set[Path]:
    """Return some paths, and all that lie above them."""
    return {path[:length] for path in paths for length in range(1, len(path) + 1)}


def absent_lines(knowledge: Knowledge, item_ids: Iterable[str], delivered: Sequence[Path]) -> list[str]:
    """Return, a file each, how much it names that the catalogue does not have; and how many items stand outside the tree."""
    by_file: dict[str, list[int]] = {}
    for file, line in absent_names(knowledge, item_ids, delivered):
        by_file.setdefault(file, []).append(line)
    found = []
    for file, lines in by_file.items():
        some = ", ".join(map(str, sorted(lines)[:10])) + (", …" if len(lines) > 10 else "")
        found.append(f"{len(lines)} names of {file} stand in no catalogue (lines {some}).")
    tree = knowledge.tree
    if outside := sum(bool(path) and tree.of(path) != tree.renamed(path) for path in delivered):
        found.append(f"{outside} items have a category that is not among the paths of categories.yaml.")
    return found


def warn_of_absent(knowledge: Knowledge, day: date, item_ids: Iterable[str], delivered: Sequence[Path]) -> None:
    """Log what `absent_lines` returns, if anything is known at all."""
    for line in absent_lines(knowledge, item_ids, delivered) if knowledge.sha256 else ():
        log.warning("Knowledge on %s: %s", day, line)


def absent_today(settings: Settings, knowledge: Knowledge) -> list[str]:
    """Return what `absent_lines` returns for the newest catalogue of the lake; nothing where no day is published."""
    lake = Lake.from_settings(settings)
    if (day := lake.newest_day("items")) is None:
        return []
    rows = lake.reader().as_of("items", day, ["day", "item_id", "category"])
    delivered = [tuple(level for level in path or () if level) for path in rows["category"].to_pylist()]
    return [f"By {day}: {line}" for line in absent_lines(knowledge, rows["item_id"].to_pylist(), delivered)]
