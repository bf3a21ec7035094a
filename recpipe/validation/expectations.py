"""A shop's own expectations of its tables: a folder of suites of Great Expectations, read as data.

Nothing of a suite runs as code: types are looked up in the list below, kwargs hold numbers, texts and lists, and
conditions name a column, an operator and a value. What a suite cannot mean here is refused by file and expectation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow.types as pt

from recpipe.config.shop_settings import IntakeSettings
from recpipe.contract import TABLES
from recpipe.errors import BadSetting
from recpipe.printable import printable
from recpipe.validation.rule import Severity

Span = Literal["row", "day"]

OF_ROWS: Final = frozenset(
    [
        "expect_column_values_to_be_between",
        "expect_column_values_to_be_in_set",
        "expect_column_values_to_not_be_in_set",
        "expect_column_values_to_be_null",
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_match_regex",
        "expect_column_values_to_not_match_regex",
        "expect_column_values_to_match_regex_list",
        "expect_column_values_to_not_match_regex_list",
        "expect_column_values_to_match_strftime_format",
        "expect_column_values_to_be_dateutil_parseable",
        "expect_column_values_to_be_json_parseable",
        "expect_column_value_lengths_to_be_between",
        "expect_column_value_lengths_to_equal",
        "expect_column_pair_values_a_to_be_greater_than_b",
        "expect_column_pair_values_to_be_equal",
        "expect_column_pair_values_to_be_in_set",
        "expect_multicolumn_sum_to_equal",
        "expect_select_column_values_to_be_unique_within_record",
    ]
)
"""Expectations that a row meets or not, whatever the others are: held against batches."""
OF_DAYS: Final = frozenset(
    [
        "expect_column_values_to_be_unique",
        "expect_compound_columns_to_be_unique",
        "expect_column_values_to_be_increasing",
        "expect_column_values_to_be_decreasing",
        "expect_column_value_z_scores_to_be_less_than",
        "expect_column_distinct_values_to_be_in_set",
        "expect_column_distinct_values_to_contain_set",
        "expect_column_distinct_values_to_equal_set",
        "expect_column_max_to_be_between",
        "expect_column_mean_to_be_between",
        "expect_column_median_to_be_between",
        "expect_column_min_to_be_between",
        "expect_column_most_common_value_to_be_in_set",
        "expect_column_proportion_of_non_null_values_to_be_between",
        "expect_column_proportion_of_unique_values_to_be_between",
        "expect_column_quantile_values_to_be_between",
        "expect_column_stdev_to_be_between",
        "expect_column_sum_to_be_between",
        "expect_column_unique_value_count_to_be_between",
        "expect_table_row_count_to_be_between",
        "expect_table_row_count_to_equal",
    ]
)
"""Expectations of a day as a whole: held against all of its rows, in the columns that they name."""
OF_NESTED: Final = frozenset({"expect_column_values_to_be_null", "expect_column_values_to_not_be_null"})
"""All that can be expected of a list, a struct or a map."""

SEVERITIES: Final[Mapping[str, Severity]] = {"critical": "error", "warning": "warning", "info": "warning"}
PARTS: Final = frozenset({"type", "kwargs", "meta", "notes", "description", "severity", "id", "rendered_content"})
LONGEST: Final = 300
"""Characters of a description that are shown."""


@dataclass(frozen=True)
class Expected:
    """One expectation of a shop's suite.

    Attributes
    ----------
    where
        File and place, for people: ``events.json, expectation 2 (expect_column_max_to_be_between)``.
    number
        Its place in the file, from 1.
    kind
        Type, in Great Expectations' snake case.
    kwargs
        As the file has them.
    columns
        Columns that it speaks of, those of its condition among them.
    severity
        ``error`` stops the publication, ``warning`` is only shown.
    says
        What is expected, in the shop's words, or in Great Expectations'.
    span
        Whether a row meets it by itself, or the day as a whole.
    """

    where: str
    number: int
    kind: str
    kwargs: Mapping[str, Any]
    columns: tuple[str, ...]
    severity: Severity
    says: str
    span: Span


def expected_of(intake: IntakeSettings, table: str) -> list[Expected]:
    """Return what the shop's own suite expects of a table; nothing where it has none.

    Raises
    ------
    BadSetting
        If the folder, or any file in it, is none that can be held; the text names file and expectation.
    """
    return read_suites(intake).get(table, [])


def read_suites(intake: IntakeSettings) -> dict[str, list[Expected]]:
    """Read all suites of the folder ``RECPIPE_EXPECTATIONS``, by table; see `expected_of`."""
    if not intake.expectations:
        return {}
    folder = Path(intake.expectations)
    if not folder.is_dir():
        raise BadSetting(f"RECPIPE_EXPECTATIONS names {folder}, which is no folder: make it, or leave the setting out.")
    return {file.stem: list(_suite(file)) for file in _files(folder)}


def _files(folder: Path) -> Iterator[Path]:
    for file in sorted(folder.iterdir()):
        if file.name.startswith(".") or file.name.upper().startswith("README"):
            continue
        if file.suffix != ".json" or file.stem not in TABLES:
            raise BadSetting(
                f"RECPIPE_EXPECTATIONS: {file.name!r} in {folder} is no suite of a table. A suite is named after its table, such as "
                f"events.json; the tables are: {', '.join(TABLES)}. Rename it, or move it elsewhere."
            )
        yield file


def _suite(file: Path) -> Iterator[Expected]:
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        why = f"line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise BadSetting(
            f"RECPIPE_EXPECTATIONS: {file.name} cannot be read as JSON ({why}). Write it with suite.to_json_dict() and json.dump."
        ) from None
    entries = found.get("expectations") if isinstance(found, dict) else None
    if not isinstance(entries, list):
        raise BadSetting(
            f"RECPIPE_EXPECTATIONS: {file.name} is no suite: it has no list 'expectations'. Write it with suite.to_json_dict()."
        )
    for number, entry in enumerate(entries, 1):
        yield _expected(file, number, entry)


def _expected(file: Path, number: int, entry: Any) -> Expected:
    where = f"{file.name}, expectation {number}"
    if not isinstance(entry, dict) or not isinstance(entry.get("type"), str):
        raise _refused(where, "has no type", "Write it as Great Expectations 1.x does: type, kwargs, meta, severity")
    kind = entry["type"]
    where = f"{where} ({_clean(kind)})"
    if kind not in OF_ROWS | OF_DAYS:
        why = "is of a type that is not held here: none that queries, reads other tables, or looks at the table's schema is"
        raise _refused(where, why, "Use one of: " + ", ".join(sorted(OF_ROWS | OF_DAYS)))
    if strange := set(entry) - PARTS:
        raise _refused(where, f"has the part {_clean(min(strange))}, which nothing reads", "Leave it out")
    kwargs = entry.get("kwargs") or {}
    if not isinstance(kwargs, dict) or "$PARAMETER" in json.dumps(kwargs):
        raise _refused(where, "has kwargs that are no plain values", "Write numbers, texts and lists, no parameters of a suite")
    columns = tuple(_columns(where, file.stem, kind, kwargs))
    span: Span = "row" if kind in OF_ROWS and kwargs.get("mostly", 1) == 1 else "day"
    return Expected(where, number, kind, kwargs, columns, _severity(where, entry), _says(entry, kind, kwargs), span)


def _refused(where: str, why: str, remedy: str) -> BadSetting:
    return BadSetting(f"RECPIPE_EXPECTATIONS: {where} {why}. {remedy}.")


def _columns(where: str, table: str, kind: str, kwargs: Mapping[str, Any]) -> Iterator[str]:
    """Yield the columns that an expectation and its condition name."""
    listed = kwargs.get("column_list", [])
    named = [kwargs[name] for name in ("column", "column_A", "column_B") if name in kwargs]
    named += listed if isinstance(listed, list) else [listed]
    condition = kwargs.get("row_condition")
    conditional = [] if condition is None else list(_condition(where, condition))
    schema = TABLES[table].schema
    for name in (*named, *conditional):
        if not isinstance(name, str) or name not in schema.names:
            raise _refused(
                where,
                f"speaks of the column {_clean(name)}, which {table} does not have",
                f"Use one of: {', '.join(schema.names)}",
            )
        if pt.is_nested(schema.field(name).type) and (kind not in OF_NESTED or name in conditional):
            raise _refused(
                where, f"looks into {name}, which holds {schema.field(name).type}", "Expect it to be null, or not null"
            )
        yield name


def _condition(where: str, condition: Any) -> Iterator[str]:
    """Yield the columns of a condition; one that is a text would run as code, and is refused."""
    kind = condition.get("type") if isinstance(condition, dict) else None
    if kind in ("and", "or") and isinstance(condition.get("conditions"), list):
        for part in condition["conditions"]:
            yield from _condition(where, part)
        return
    column = condition.get("column") if isinstance(condition, dict) else None
    value = condition.get("parameter") if isinstance(condition, dict) else None
    plain = all(isinstance(one, str | int | float | None) for one in (value if isinstance(value, list) else [value]))
    if kind not in ("comparison", "nullity") or not isinstance(column, dict) or not plain:
        raise _refused(
            where,
            "has a row_condition that is no comparison of a column (a text would run as code)",
            "Write it with great_expectations.expectations.row_conditions.Column",
        )
    yield column.get("name", "")


def _severity(where: str, entry: Mapping[str, Any]) -> Severity:
    meta = entry.get("meta") if isinstance(entry.get("meta"), dict) else {}
    given = (meta or {}).get("severity", entry.get("severity", "critical"))
    if given not in SEVERITIES:
        raise _refused(where, f"has the severity {_clean(given)}", "Use critical, which stops a day, or warning")
    return SEVERITIES[given]


def _says(entry: Mapping[str, Any], kind: str, kwargs: Mapping[str, Any]) -> str:
    notes = entry.get("notes")
    said = entry.get("description") or (" ".join(map(str, notes)) if isinstance(notes, list) else notes)
    plain = ", ".join(f"{name} {value}" for name, value in kwargs.items() if name != "row_condition")
    where = " under a condition" if "row_condition" in kwargs else ""
    return _clean(said or f"{kind.removeprefix('expect_').replace('_', ' ')} ({plain}){where}").rstrip(".")


def _clean(text: Any) -> str:
    """Return a text of the shop's for messages: in one line, cut, without control signs."""
    return printable(str(text), LONGEST)
