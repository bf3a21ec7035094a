"""The file of words that say what a search text asks for: read with its lines, so that a mistake can be named."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from recpipe.config.table_settings import SearchSettings
from recpipe.errors import BadSetting
from recpipe.files import existing, sha256_of
from recpipe.text.lexical import RUN, fold

SHIPPED: Final = Path(__file__).with_name("search_words.yaml")
KINDS: Final = (
    "below", "below_money", "after_below", "above", "after_above", "between", "to", "cheap", "without", "without_in_items",
    "free", "free_ending", "and", "fillers",
)  # fmt: skip
"""What the words of a language may be."""
TOP: Final = ("currency", "units", "synonyms", "languages")
NONE: Final = r"(?!)"
"""A pattern that nothing matches, where there are no words."""


@dataclass(frozen=True)
class SearchWords:
    """Words of all languages together.

    Attributes
    ----------
    kinds
        Folded words of each of `KINDS`, and of ``currency`` and ``units``; longest first.
    synonyms
        Groups of words that mean the same.
    """

    kinds: dict[str, tuple[str, ...]]
    synonyms: tuple[tuple[str, ...], ...]

    def pattern(self, *kinds: str) -> str:
        """Return a regular expression that finds a word of some kinds: whole, where writing has blanks."""
        found = sorted({word for kind in kinds for word in self.kinds[kind]}, key=lambda word: (-len(word), word))
        return "(?:" + "|".join(_whole(word) for word in found) + ")" if found else NONE


def _whole(word: str) -> str:
    """Return a pattern of a word: with edges where it begins and ends with a letter, blanks of any number within."""
    inner = r"\s+".join(re.escape(part) for part in word.split())
    before = r"(?<![^\W\d])" if word[0].isalnum() and not RUN.match(word[0]) else ""
    after = r"(?![^\W\d])" if word[-1].isalnum() and not RUN.match(word[-1]) else ""
    return before + inner + after


def words_file(searches: SearchSettings) -> Path:
    """Return the file of words that the settings name, or the shipped one.

    Raises
    ------
    BadSetting
        If there is no such file.
    """
    file = Path(searches.search_words) if searches.search_words else SHIPPED
    return existing(file, "RECPIPE_SEARCH_WORDS", " Name a YAML file of words, or leave the setting empty.")


def words_hash(searches: SearchSettings) -> str:
    """Return a hash of the file's content, which names it in the version of rows."""
    return sha256_of(words_file(searches))


def load_words(searches: SearchSettings) -> SearchWords:
    """Read the words that the settings name.

    Raises
    ------
    BadSetting
        If the file is no YAML, or holds anything but lists of words under the known keys; the text names file and line.
    """
    file = words_file(searches)
    return _read(file, file.read_bytes())


@lru_cache(maxsize=4)
def _read(file: Path, content: bytes) -> SearchWords:
    import yaml  # type: ignore[import-untyped]  # its stubs are no dependency

    try:
        root = yaml.compose(content.decode(), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadSetting(f"{file}{where}: this is no YAML ({getattr(error, 'problem', error)}). Mend the line.") from None
    top = _mapping(file, root, TOP, "The file")
    kinds: dict[str, list[str]] = {kind: [] for kind in (*KINDS, "currency", "units")}
    for name in ("currency", "units"):
        kinds[name] += _words(file, top[name], name) if name in top else []
    languages = _mapping(file, top["languages"], None, "languages") if "languages" in top else {}
    for language, node in languages.items():
        for kind, some in _mapping(file, node, KINDS, f"Language {language}").items():
            kinds[kind] += _words(file, some, kind)
    groups = (
        [_words(file, node, "a group of synonyms") for node in _list(file, top["synonyms"], "synonyms")]
        if "synonyms" in top
        else []
    )
    ordered = {kind: tuple(sorted(set(some), key=lambda word: (-len(word), word))) for kind, some in kinds.items()}
    return SearchWords(ordered, tuple(tuple(group) for group in groups))


def _fault(file: Path, node: Any, says: str) -> BadSetting:
    line = node.start_mark.line + 1 if node is not None else 1
    return BadSetting(f"{file}, line {line}: {says} See recpipe/tables/search/search_words.yaml, the shipped file, for the form.")


def _mapping(file: Path, node: Any, keys: tuple[str, ...] | None, what: str) -> dict[str, Any]:
    if getattr(node, "id", "") != "mapping":
        raise _fault(file, node, f"{what} has to be a mapping of names to lists of words.")
    found: dict[str, Any] = {}
    for key, value in node.value:
        if keys is not None and key.value not in keys:
            raise _fault(file, key, f"{what} knows no '{key.value}'; it may have: {', '.join(keys)}.")
        if key.value in found:
            raise _fault(file, key, f"{what} has '{key.value}' twice; put its words into one list.")
        found[key.value] = value
    return found


def _list(file: Path, node: Any, what: str) -> list[Any]:
    if getattr(node, "id", "") != "sequence":
        raise _fault(file, node, f"{what} has to be a list, in brackets or one entry a line.")
    return list(node.value)


def _words(file: Path, node: Any, what: str) -> list[str]:
    found = []
    for entry in _list(file, node, what):
        # read as they stand: YAML itself takes a bare no for false
        if getattr(entry, "id", "") != "scalar" or not (word := " ".join(fold(entry.value).split())):
            raise _fault(file, entry, f"{what} holds an entry that is no word.")
        found.append(word)
    return found
