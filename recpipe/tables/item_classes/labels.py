"""The labels of items: their own category, and those of a file that the shop keeps."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recpipe.config.settings import Settings
from recpipe.config.table_settings import ItemClassSettings
from recpipe.errors import BadSetting
from recpipe.files import existing, sha256_of

if TYPE_CHECKING:
    import pandas as pd

CATEGORY = "category"
"""The scheme of the items' own categories."""
OWN = "labels"
"""The scheme of labels that name none."""

Labels = dict[str, dict[str, tuple[str, ...]]]
"""Path by item id, by scheme."""


def read_labels(settings: Settings, day: date) -> Labels:
    """Return the shop's own labels that hold on a day, by scheme; none where ``settings.item_classes.labels`` is empty.

    The file has the columns ``item_id`` and ``class``: a path whose levels ``settings.shop.category_separator`` separates. A
    column ``scheme`` keeps several trees apart (`OWN` where empty). A column ``day`` says from which day on a label holds
    (from ever, where empty), so that a day that is made again is made with the labels of then; of several the newest counts.

    Raises
    ------
    BadSetting
        If there is no such file, a column is missing, or a row has no item, no class or no readable day.
    """
    if not settings.item_classes.labels:
        return {}
    file = Path(settings.item_classes.labels)
    rows = _rows(file)
    found: dict[tuple[str, str], tuple[date, tuple[str, ...]]] = {}
    for number, row in enumerate(rows, 1):
        since = _day(row, file, number)
        key = (row.get("scheme") or OWN, _text(row, "item_id", file, number))
        path = tuple(
            part.strip() for part in _text(row, "class", file, number).split(settings.shop.category_separator) if part.strip()
        )
        if not path or key[0] == CATEGORY:
            raise BadSetting(
                f"{file}, row {number}: a class needs a level that is not empty, and no scheme may be called {CATEGORY}."
            )
        if since <= day and (key not in found or found[key][0] <= since):
            found[key] = since, path
    return _by_scheme((scheme, item, path) for (scheme, item), (_, path) in sorted(found.items()))


def labels_hash(item_classes: ItemClassSettings) -> str:
    """Return the sha256 of the shop's file of labels; empty where there is none."""
    return sha256_of(existing(Path(item_classes.labels), "RECPIPE_LABELS")) if item_classes.labels else ""


def _rows(file: Path) -> list[dict[str, Any]]:
    import pandas as pd

    existing(file, "RECPIPE_LABELS")
    table: pd.DataFrame = pd.read_parquet(file) if file.suffix == ".parquet" else pd.read_csv(file, dtype=str)
    missing = [name for name in ("item_id", "class") if name not in table.columns]
    if missing:
        raise BadSetting(f"{file} has no column '{missing[0]}', only {', '.join(map(str, table.columns))}. Add it.")
    return [{str(k): None if pd.isna(v) else v for k, v in row.items()} for row in table.to_dict("records")]


def _text(row: dict[str, Any], column: str, file: Path, number: int) -> str:
    value = row[column]
    if not isinstance(value, str) or not value:
        raise BadSetting(f"{file}, row {number}: column '{column}' is {value!r}; it has to be a text that is not empty.")
    return value


def _day(row: dict[str, Any], file: Path, number: int) -> date:
    value = row.get("day")
    if value is None:
        return date.min
    try:
        return date.fromisoformat(str(value)[:10])
    except ValueError:
        raise BadSetting(f"{file}, row {number}: column 'day' is {value!r}; write it as 2011-09-01.") from None


def _by_scheme(entries: Iterable[tuple[str, str, tuple[str, ...]]]) -> Labels:
    found: Labels = {}
    for scheme, item, path in entries:
        found.setdefault(scheme, {})[item] = path
    return found
