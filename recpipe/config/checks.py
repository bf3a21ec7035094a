"""Checks of settings beyond their types and bounds; each raises ValueError with a sentence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from recpipe.printable import NAME, named, printable

DELIVERED: Final = frozenset(
    {
        "event_columns",
        "item_columns",
        "user_columns",
        "event_types",
        "event_id_from",
        "set_aside_event_types",
        "category_separator",
    }
)
"""Settings that hold what stands in the shop's own files, whatever that is."""
EVENT_TYPES: Final = ("view", "cart", "favourite", "purchase", "return", "search", "review")
"""Those of `recpipe.contract`, which imports Arrow; DAG files, which read settings, may not."""
NOBODY: Final = (
    *("null", "none", "nil", "nan", "undefined", "unknown", "anonymous", "guest", "n/a", "-1", "\\n", "[object object]"),
    *("(null)", "(none)", "(not set)", "(not provided)", "<null>", "<na>", "not set"),
    "00000000-0000-0000-0000-000000000000",
)
"""What systems write where there is nobody; 0 is not among them, since many shops count from there. Here, and not with `recpipe.user_ids.canonical`,
for that imports Arrow."""
LONGEST_RUN: Final = 250
LONGEST_PATTERN: Final = 1000
_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_ONE: Final = r"(?:\\[dwDW.]|[A-Za-z0-9 _:-]|\[[A-Za-z0-9_-]+\])"
_PLAIN: Final = re.compile(rf"\^?(?:{_ONE}(?:\{{\d{{1,2}}(?:,\d{{1,2}})?\}}|[*+?])?)*\$?")
"""Patterns of single characters and classes, each at most repeated, which mean the same to every engine."""
_MODEL: Final = re.compile("[^/:'\"]{1,200}")


def without_control_signs(value: Any) -> None:
    """Refuse texts with signs that no name, path or address has: they would end in file names, headers of mails and terminals."""
    for text in _texts(value):
        if _CONTROL.search(text):
            raise ValueError(
                f"'{printable(text, NAME)}' holds control signs, which no name, path or address may have; write it without"
            )


def pattern_of_engine(pattern: str) -> None:
    """Refuse a pattern that Arrow's engine (RE2), which the rows meet, does not take."""
    if len(pattern) > LONGEST_PATTERN:
        raise ValueError(f"the pattern has {len(pattern):,} characters; at most {LONGEST_PATTERN:,} are taken")
    if _PLAIN.fullmatch(pattern) and _compiles(pattern):  # every engine takes it: DAG files shall not import Arrow for that
        return
    import pyarrow as pa
    import pyarrow.compute as pc

    try:
        pc.match_substring_regex(pa.array(["1"]), pattern)
    except pa.ArrowException as error:
        raise ValueError(
            f"{named(pattern)} is no regular expression of RE2, with which ids are matched ({str(error).splitlines()[0][:200]}); RE2 has no "
            f"look-ahead, look-behind or back-reference (https://github.com/google/re2/wiki/Syntax)"
        ) from None


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern)
    except re.error:
        return False
    return True


def name_of_run(run_id: str) -> None:
    """Refuse a run's id that cannot name folders."""
    if not run_id.strip() or len(run_id) > LONGEST_RUN:
        raise ValueError(f"a run's id has 1 to {LONGEST_RUN} characters, not {len(run_id)}: folders are named after it")
    if run_id.startswith(".") or "/" in run_id or "\\" in run_id:
        raise ValueError(
            f"{named(run_id)} is no run's id: folders are named after it, so it may not begin with a dot or hold a slash"
        )


def name_of_model(name: str) -> None:
    """Refuse a name that MLflow's registry does not take or cannot look for."""
    if not _MODEL.fullmatch(name) or not name.strip(". "):
        raise ValueError(f"{named(name)} is no name of a registered model: 1 to 200 characters, without / : ' and \"")


def known_event_types(types: Iterable[str]) -> None:
    """Refuse types of events that the tables do not know."""
    if unknown := [kind for kind in types if kind not in EVENT_TYPES]:
        raise ValueError(f"{named(unknown[0])} is no type of event; there are {', '.join(EVENT_TYPES)}")


def ascending(bounds: tuple[float, float]) -> None:
    """Refuse bounds that hold nothing."""
    low, high = bounds
    if not low < high:
        raise ValueError(f"the lowest, {low:g}, has to be below the highest, {high:g}")


def _texts(value: Any) -> Iterable[str]:
    if isinstance(value, str | Path):
        yield str(value)
    elif isinstance(value, Mapping):
        for key, entry in value.items():
            yield from (*_texts(key), *_texts(entry))
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _texts(entry)
