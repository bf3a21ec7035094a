"""The house rules: one basename means one thing, folders and modules stay small, functions stay short."""

from __future__ import annotations

import ast
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "recpipe"
MODULES = sorted(PACKAGE.rglob("*.py"))
SHARED = frozenset({"__init__", "__main__", "encoders", "job"})
"""Basenames that stand for the same role in several rooms: ``encoders`` is the registry of encoders and its command."""
LONG = frozenset({"contract", "lake/lake", "training/loop"})
"""Modules above 350 lines: each is one list, one formula or one loop, read from top to bottom."""
FILES_IN_CLI, FILES = 18, 14
CLAUSES = frozenset({"what", "who", "whose", "which", "how", "is", "was", "where", "when", "why"})


def place(path: Path) -> str:
    return str(path.relative_to(PACKAGE).with_suffix(""))


@cache
def functions() -> list[tuple[int, str]]:
    """Return the lines of each function, without its docstring; those of a command without its options."""
    found = []
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                said = node.body[0] if ast.get_docstring(node, clean=False) is not None else None
                lines = node.end_lineno - node.lineno + 1 - (said.end_lineno - said.lineno + 1 if said else 0)
                options = node.body[0].lineno - node.lineno - 1 if "cli" in path.parts else 0
                found.append((lines - options, f"{place(path)}.{node.name}"))
    return sorted(found)


def test_one_basename_means_one_thing() -> None:
    places = defaultdict(list)
    for path in MODULES:
        places[path.stem].append(place(path))
    assert {name: found for name, found in places.items() if len(found) > 1 and name not in SHARED} == {}


def test_a_folder_holds_few_files() -> None:
    count = {folder: len(list(folder.glob("*.py"))) for folder in {path.parent for path in MODULES}}
    most = {folder: FILES_IN_CLI if folder.name == "cli" else FILES for folder in count}
    assert {place(folder): number for folder, number in count.items() if number > most[folder]} == {}


def test_no_module_is_a_drawer_of_odds_and_ends() -> None:
    assert [place(path) for path in MODULES if path.stem.strip("_") in {"util", "utils", "helpers", "misc", "common"}] == []


def test_a_module_is_a_noun_and_says_so() -> None:
    begin = {
        place(path): (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split(" ")[0] for path in MODULES
    }
    assert [
        name
        for name, word in begin.items()
        if word.lower().strip(",.:;") in CLAUSES or (not word and not name.endswith("__init__"))
    ] == []


def test_a_module_is_read_in_one_sitting() -> None:
    lines = {place(path): len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    assert {name: number for name, number in lines.items() if number > 350 and name not in LONG} == {}
    assert {name for name in LONG if lines[name] <= 350} == set(), "no longer an exception: take it from the list"


@pytest.mark.parametrize(("share", "most"), [(0.95, 21), (1.0, 51)], ids=["nineteen of twenty", "the longest"])
def test_functions_are_short(share: float, most: int) -> None:
    found = functions()
    lines, name = found[min(int(share * len(found)), len(found) - 1)]
    assert lines <= most, name
