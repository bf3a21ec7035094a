"""substitutes.yaml, blocked.yaml and age_limits.yaml: what items and categories are named for."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from typing import Any

from recpipe.rules.categories import shown
from recpipe.rules.model import AGE_FORMS, AgeLimit, AgeSource, Block, Group, Name, Path, Tree
from recpipe.rules.yaml_source import Sheet, line_of

BLOCK_KEYS = ("from", "until", "countries", "why")


# --- substitutes --------------------------------------------------------------------------------------------------


def read_substitutes(sheet: Sheet, node: Any, tree: Tree) -> tuple[Group, ...]:
    """Return the groups of the file's node; what is wrong stands in the sheet's faults."""
    top = sheet.mapping(node, "the file", ("groups",))
    found, seen = [], dict[tuple[str, Path], int]()
    for entry in sheet.sequence((top or {}).get("groups"), "'groups'"):
        keys = sheet.mapping(entry, "a group", ("name", "items", "categories"))
        if keys is None:
            continue
        if "name" in keys:
            sheet.text(keys["name"], "the name of a group")
        names = tuple(_names(sheet, keys, tree))
        _once(sheet, names, seen, "an item or category belongs to one group. Remove one, or make one group of both.")
        if len(names) < 2 and not any(name.category for name in names):
            sheet.fault(entry, "a group needs two items, or a category. Add what they replace, or remove the group.")
        found.append(Group(names))
    return tuple(found)


def _once(sheet: Sheet, names: tuple[Name, ...], seen: dict[tuple[str, Path], int], remedy: str) -> None:
    for name in names:
        if name.what in seen:
            sheet.fault(name.line, f"{called(name)} stands in line {seen[name.what]} already: {remedy}")
        seen.setdefault(name.what, name.line)


def _names(sheet: Sheet, keys: dict[str, Any], tree: Tree) -> Iterator[Name]:
    """Yield what the lists ``items`` and ``categories`` of a mapping name."""
    for node in sheet.sequence(keys.get("items"), "'items'"):
        if name := _item(sheet, node):
            yield name
    for node in sheet.sequence(keys.get("categories"), "'categories'"):
        if name := _category(sheet, node, tree):
            yield name


def _item(sheet: Sheet, node: Any) -> Name | None:
    item = sheet.text(node, "an item's id")
    return Name(item, (), line_of(node)) if item else None


def _category(sheet: Sheet, node: Any, tree: Tree) -> Name | None:
    path = sheet.path(node)
    if path is None:
        return None
    if (now := tree.renamed(path)) != path:
        sheet.fault(node, f"{shown(path)} is called {shown(now)} by categories.yaml. Write that.")
        return None
    if tree.allowed and path not in tree.allowed:
        sheet.fault(node, f"{shown(path)} is not among the paths of categories.yaml. Add it there, or correct it here.")
        return None
    return Name("", path, line_of(node))


def called(name: Name) -> str:
    """Return what is named, for people."""
    return f"item '{name.item}'" if name.item else f"category {shown(name.category)}"


# --- blocked ------------------------------------------------------------------------------------------------------


def read_blocked(sheet: Sheet, node: Any, tree: Tree) -> tuple[Block, ...]:
    """Return what is blocked by the file's node; what is wrong stands in the sheet's faults."""
    top = sheet.mapping(node, "the file", ("items", "categories")) or {}
    found: dict[tuple[str, Path], list[Block]] = {}
    for key, name in (("items", "id"), ("categories", "path")):
        for entry in sheet.sequence(top.get(key), f"'{key}'"):
            block = _block(sheet, entry, name, tree)
            if block is None:
                continue
            others = found.setdefault(block.name.what, [])
            if twice := next((one for one in others if one.meets(block)), None):
                line = twice.name.line
                sheet.fault(
                    entry, f"{called(block.name)} is blocked in line {line} already on some of these days. Make one entry."
                )
            others.append(block)
    return tuple(block for some in found.values() for block in some)


def _block(sheet: Sheet, entry: Any, key: str, tree: Tree) -> Block | None:
    keys = {key: entry}
    if entry.id == "mapping":
        keys = sheet.mapping(entry, "an entry", (key, *BLOCK_KEYS), (key,)) or {}
    if not keys:
        return None
    name = _item(sheet, keys[key]) if key == "id" else _category(sheet, keys[key], tree)
    first = sheet.day(keys["from"], "from") if "from" in keys else date.min
    last = sheet.day(keys["until"], "until") if "until" in keys else date.max
    countries = [sheet.text(one, "a country") for one in sheet.sequence(keys.get("countries"), "'countries'")]
    if "countries" in keys and not countries:
        sheet.fault(keys["countries"], "'countries' names none. Name some, or remove it: then it is blocked in all.")
    if len(set(countries)) < len(countries):
        sheet.fault(keys["countries"], "a country is named twice. Remove one of the two.")
    if "why" in keys:
        sheet.text(keys["why"], "'why'")
    if first and last and last < first:
        sheet.fault(keys["until"], f"it ends on {last}, before it begins on {first}. Exchange the days.")
        return None
    if name is None or first is None or last is None:
        return None
    return Block(name, first, last, frozenset(one for one in countries if one))


# --- age limits ---------------------------------------------------------------------------------------------------


def read_age_limits(sheet: Sheet, node: Any, tree: Tree) -> tuple[tuple[AgeLimit, ...], AgeSource | None]:
    """Return the limits of the file's node, and where ages stand; what is wrong stands in the sheet's faults."""
    top = sheet.mapping(node, "the file", ("age_from", "limits")) or {}
    found: list[AgeLimit] = []
    seen: dict[tuple[str, Path], int] = {}
    for entry in sheet.sequence(top.get("limits"), "'limits'"):
        keys = sheet.mapping(entry, "a limit", ("age", "items", "categories"), ("age",))
        if keys is None:
            continue
        age, names = sheet.years(keys["age"], "age"), tuple(_names(sheet, keys, tree))
        _once(sheet, names, seen, "it can have one least age. Remove one of the two.")
        if "items" not in keys and "categories" not in keys:
            sheet.fault(entry, "a limit names no items and no categories. Name some, or remove it.")
        found += [AgeLimit(name, age) for name in names if age]
    source = _age_source(sheet, top["age_from"]) if "age_from" in top else None
    if found and "age_from" not in top:
        sheet.fault(node, "'age_from' is missing: without it nobody's age is known. Add age_from with 'attribute' and 'as'.")
    return tuple(found), source


def _age_source(sheet: Sheet, node: Any) -> AgeSource | None:
    keys = sheet.mapping(node, "'age_from'", ("attribute", "as"), ("attribute", "as"))
    if keys is None:
        return None
    attribute, form = sheet.text(keys["attribute"], "'attribute'"), sheet.text(keys["as"], "'as'")
    if form and form not in AGE_FORMS:
        sheet.fault(keys["as"], f"'as' is '{form[:40]}'. It has to be one of {', '.join(AGE_FORMS)}.")
    return AgeSource(attribute, form) if attribute and form else None
