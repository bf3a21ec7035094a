"""The rules of the shop as its files say them: plain values, without any day or table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Final

Path = tuple[str, ...]
"""A category: its levels, root first."""

BIRTH_DATE, BIRTH_YEAR, AGE = "birth_date", "birth_year", "age"
AGE_FORMS: Final = (BIRTH_DATE, BIRTH_YEAR, AGE)


@dataclass(frozen=True)
class Tree:
    """The category tree: delivered paths that are called otherwise, and the paths that there are.

    Attributes
    ----------
    renames
        Path that is delivered, to the path that it is. What lies below moves along.
    allowed
        Every path of the tree, with all that lie above it; empty: any path is one.
    lines
        Line of the file that names each path of ``renames`` and of ``allowed``.
    """

    renames: dict[Path, Path] = field(default_factory=dict)
    allowed: frozenset[Path] = frozenset()
    lines: dict[Path, int] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.renames or self.allowed)

    def renamed(self, path: Path) -> Path:
        """Return what a delivered path is called: the longest path that is renamed and begins it counts, once."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.renames:
                return self.renames[path[:length]] + path[length:]
        return path

    def of(self, path: Sequence[str]) -> Path:
        """Return the path of the tree that a delivered path is: renamed, and cut where the tree goes no deeper."""
        found = self.renamed(tuple(path))
        while self.allowed and found and found not in self.allowed:
            found = found[:-1]
        return found

    def of_all(self, paths: Sequence[Path]) -> list[Path]:
        """Return the paths of the tree that some delivered paths are."""
        known = {path: self.of(path) for path in set(paths)}
        return [known[path] for path in paths]


@dataclass(frozen=True)
class Name:
    """An item, or a category with all that lies below it, as a file names it: one of the two is empty.

    Attributes
    ----------
    item
        Id.
    category
        Path in the tree (`Tree`).
    line
        Line of the file.
    """

    item: str
    category: Path
    line: int

    @property
    def what(self) -> tuple[str, Path]:
        """What is named, wherever it stands."""
        return self.item, self.category

    def means(self, item: str, path: Path) -> bool:
        """Whether an item of a category of the tree is meant."""
        return item == self.item if self.item else path[: len(self.category)] == self.category


@dataclass(frozen=True)
class Group:
    """Items that replace each other: those that are named, and all of the categories that are."""

    names: tuple[Name, ...]


@dataclass(frozen=True)
class Block:
    """What is never recommended: on the days first to last, in some countries (none named: in all)."""

    name: Name
    first: date = date.min
    last: date = date.max
    countries: frozenset[str] = frozenset()

    def holds(self, day: date) -> bool:
        """Whether it speaks of a day."""
        return self.first <= day <= self.last

    def meets(self, other: Block) -> bool:
        """Whether both speak of the same in one country on one day."""
        days = self.first <= other.last and other.first <= self.last
        countries = not self.countries or not other.countries or bool(self.countries & other.countries)
        return self.name.what == other.name.what and days and countries


@dataclass(frozen=True)
class AgeLimit:
    """What only users of at least so many years may be shown."""

    name: Name
    age: int


@dataclass(frozen=True)
class AgeSource:
    """Where the age of a user stands: a key of ``users.attributes``, and what its value is (`AGE_FORMS`)."""

    attribute: str
    form: str


@dataclass(frozen=True)
class Knowledge:
    """All that the files of one folder say.

    Attributes
    ----------
    sha256
        Of the files; empty where there is no folder.
    tree, substitutes, blocked, age_limits
        One for each file.
    age_source
        Where ages stand; None without age limits.
    """

    sha256: str = ""
    tree: Tree = field(default_factory=Tree)
    substitutes: tuple[Group, ...] = ()
    blocked: tuple[Block, ...] = ()
    age_limits: tuple[AgeLimit, ...] = ()
    age_source: AgeSource | None = None


NOTHING: Final = Knowledge()
"""What is known where no folder is set."""
