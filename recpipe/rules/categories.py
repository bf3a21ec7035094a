"""categories.yaml: which path of the tree a delivered path is."""

from __future__ import annotations

from typing import Any

from recpipe.rules.model import Path, Tree
from recpipe.rules.yaml_source import Sheet, line_of

KEYS = ("paths", "rename", "merge")


def read_tree(sheet: Sheet, node: Any) -> Tree:
    """Return the tree of the file's node; what is wrong stands in the sheet's faults."""
    top = sheet.mapping(node, "the file", KEYS)
    if top is None:
        return Tree()
    paths = _paths(sheet, top.get("paths"))
    renames: dict[Path, tuple[Path, int]] = {}
    for entry in sheet.sequence(top.get("rename"), "'rename'"):
        keys = sheet.mapping(entry, "a rename", ("from", "to"), ("from", "to"))
        if keys:
            _note(sheet, renames, keys["from"], sheet.path(keys["to"]))
    for entry in sheet.sequence(top.get("merge"), "'merge'"):
        keys = sheet.mapping(entry, "a merge", ("into", "from"), ("into", "from"))
        into = sheet.path(keys["into"]) if keys else None
        for source in sheet.sequence(keys["from"], "'from'") if keys else ():
            _note(sheet, renames, source, into)
    lines = {**paths, **{source: line for source, (_, line) in renames.items()}}
    allowed = frozenset(path[:length] for path in paths for length in range(1, len(path) + 1))
    tree = Tree({source: target for source, (target, _) in renames.items()}, allowed, lines)
    _look_at_targets(sheet, tree)
    _look_at_paths(sheet, tree, paths)
    return tree


def _paths(sheet: Sheet, node: Any) -> dict[Path, int]:
    found: dict[Path, int] = {}
    for entry in sheet.sequence(node, "'paths'"):
        path = sheet.path(entry)
        if path in found:
            sheet.fault(entry, f"{shown(path)} stands in line {found[path]} already. Remove one of the two.")
        elif path:
            found[path] = line_of(entry)
    return found


def _note(sheet: Sheet, renames: dict[Path, tuple[Path, int]], node: Any, target: Path | None) -> None:
    source = sheet.path(node)
    if source is None or target is None:
        return
    if source in renames:
        sheet.fault(node, f"{shown(source)} is renamed in line {renames[source][1]} already. Remove one of the two.")
    elif source == target:
        sheet.fault(node, f"{shown(source)} is renamed to itself. Remove the entry.")
    else:
        renames[source] = target, line_of(node)


def _look_at_targets(sheet: Sheet, tree: Tree) -> None:
    """Refuse names that are themselves renamed, so that a path is renamed at most once and none goes in a circle."""
    for source, target in tree.renames.items():
        line, further = tree.lines[source], tree.renamed(target)
        if further != target:
            circle = _comes_back(tree, source)
            remedy = "the two go in a circle. Remove one." if circle else f"write {shown(further)} here."
            sheet.fault(line, f"{shown(source)} becomes {shown(target)}, which is itself renamed to {shown(further)}: {remedy}")
        elif tree.allowed and target not in tree.allowed:
            sheet.fault(line, f"{shown(source)} becomes {shown(target)}, which is not among 'paths'. Add it there.")


def _comes_back(tree: Tree, source: Path) -> bool:
    """Whether a path never comes to rest: each rename is used at most once by one that does."""
    path = source
    for _ in range(len(tree.renames) + 1):
        if (following := tree.renamed(path)) == path:
            return False
        path = following
    return True


def _look_at_paths(sheet: Sheet, tree: Tree, paths: dict[Path, int]) -> None:
    for path, line in paths.items():
        if (found := tree.renamed(path)) != path:
            sheet.fault(line, f"{shown(path)} is among 'paths', and is renamed to {shown(found)}. Remove one of the two.")


def shown(path: Path | None) -> str:
    """Return a path for people."""
    return "'" + " > ".join(path or ()) + "'"
