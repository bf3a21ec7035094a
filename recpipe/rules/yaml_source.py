"""One YAML file as nodes that know their lines, and the faults that were found in it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Any, Final

from recpipe.rules.model import Path

STR, INT, NULL = (f"tag:yaml.org,2002:{name}" for name in ("str", "int", "null"))
DAY_FORM: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
SHOWN: Final = 40


@dataclass(frozen=True, order=True)
class Fault:
    """What is wrong in a line of a file, and what to do."""

    file: str
    line: int
    says: str

    def __str__(self) -> str:
        says = " ".join(self.says.splitlines()).encode("utf-8", "replace").decode()
        return f"{self.file}, line {self.line}: {says}"


@dataclass
class Sheet:
    """One file.

    Every question returns what stands at a node, or None after it has noted a fault: so all faults of a file are found at once.

    Attributes
    ----------
    file
        Its name.
    separator
        Of the levels of a category that is written as one text.
    faults
        Found so far.
    """

    file: str
    separator: str
    faults: list[Fault] = field(default_factory=list)

    def fault(self, where: Any, says: str) -> None:
        """Note what is wrong at a node, or in a line."""
        self.faults.append(Fault(self.file, where if isinstance(where, int) else line_of(where), says))

    def compose(self, raw: bytes) -> Any:
        """Return the file's one node; None where it is empty, or no YAML."""
        import yaml  # type: ignore[import-untyped]  # its stubs are no dependency

        try:
            text = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            self.fault(raw[: error.start].count(b"\n") + 1, "this is no UTF-8. Save the file as UTF-8.")
            return None
        try:
            loader = yaml.SafeLoader(text)
        except yaml.reader.ReaderError as error:
            line = text[: error.position].count("\n") + 1
            self.fault(line, f"the character U+{error.character:04X} may not stand in YAML. Remove it.")
            return None
        try:
            return loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            says = error.problem or error.context or "unreadable"
            self.fault(mark.line + 1 if mark else loader.line + 1, f"this is no YAML ({says}). Mend it.")
        except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
            # PyYAML lets "\UFFFFFFFF" and thousands of brackets end in errors of Python's own
            self.fault(loader.line + 1, f"this is no YAML ({type(error).__name__}). Mend it.")
        return None

    def mapping(self, node: Any, what: str, keys: tuple[str, ...], needed: tuple[str, ...] = ()) -> dict[str, Any] | None:
        """Return the nodes of a mapping by key; keys that are empty are left out."""
        if not _is(node, "mapping"):
            self.fault(node, f"{what} has to be a mapping with the keys {', '.join(keys)}, not {_shown(node)}.")
            return None
        found: dict[str, Any] = {}
        for key, value in node.value:
            name = key.value if _is(key, "scalar") else _shown(key)
            if name not in keys:
                self.fault(key, f"{what} has no key '{name[:SHOWN]}'. There are: {', '.join(keys)}.")
            elif name in found:
                self.fault(key, f"the key '{name}' stands in line {line_of(found[name])} already. Make one of the two.")
            else:
                found[name] = value
        found = {name: value for name, value in found.items() if value.tag != NULL}
        missing = [name for name in needed if name not in found]
        if missing:
            self.fault(node, f"{what} needs '{missing[0]}'. Add it.")
        return None if missing else found

    def sequence(self, node: Any, what: str) -> list[Any]:
        """Return the nodes of a list; none where there is no node."""
        if node is None:
            return []
        if not _is(node, "sequence"):
            self.fault(node, f"{what} has to be a list, each entry begun with '- ', not {_shown(node)}.")
            return []
        return list(node.value)

    def text(self, node: Any, what: str) -> str | None:
        """Return a text as it was written: 00123 is '00123', and NO is no text without quotes."""
        if not _is(node, "scalar") or node.tag not in (STR, INT):
            hint = f' Write "{node.value[:SHOWN]}", in quotes.' if _is(node, "scalar") and node.value else ""
            self.fault(node, f"{what} has to be a text, not {_shown(node)}.{hint}")
            return None
        found = str(node.value).strip()
        if not found:
            self.fault(node, f"{what} is empty. Fill it, or remove the entry.")
        elif _is_broken(found):
            self.fault(node, f"{what} holds a half of a character. Remove it.")
        else:
            return found
        return None

    def path(self, node: Any, what: str = "a category") -> Path | None:
        """Return a category: a list of its levels, or one text with separators."""
        if _is(node, "sequence"):
            levels = [self.text(level, f"a level of {what}") for level in node.value]
            if not levels:
                self.fault(node, f"{what} has no level. Fill it, or remove the entry.")
            return tuple(level for level in levels if level) if levels and all(levels) else None
        whole = self.text(node, what)
        if whole is None:
            return None
        parts = tuple(part.strip() for part in whole.split(self.separator))
        if not all(parts):
            self.fault(node, f"{what} has a level that is empty: '{whole[:SHOWN]}'. Fill it, or write the levels as a list.")
            return None
        return parts

    def day(self, node: Any, what: str) -> date | None:
        """Return a day, such as 2011-09-01."""
        value = node.value if _is(node, "scalar") else ""
        if DAY_FORM.fullmatch(value):
            try:
                return date.fromisoformat(value)
            except ValueError:
                pass
        self.fault(node, f"'{what}' has to be a day, not {_shown(node)}. Write it as 2011-09-01.")
        return None

    def years(self, node: Any, what: str) -> int | None:
        """Return a number of years, from 1 to 149."""
        value = node.value if _is(node, "scalar") else ""
        if re.fullmatch(r"[0-9]{1,3}", value) and 0 < int(value) < 150:
            return int(value)
        self.fault(node, f"'{what}' has to be a whole number of years from 1 to 149, not {_shown(node)}.")
        return None


def line_of(node: Any) -> int:
    """Return the line on which a node begins, from 1."""
    return int(node.start_mark.line) + 1


def _is(node: Any, kind: str) -> bool:
    return getattr(node, "id", "") == kind


def _is_broken(text: str) -> bool:
    return any("\ud800" <= character <= "\udfff" for character in text)


def _shown(node: Any) -> str:
    if not _is(node, "scalar"):
        return f"a {node.id}".replace("a sequence", "a list")
    return f"'{node.value[:SHOWN]}'" if node.value else "nothing"
