"""The campaigns of the shop: a file that says what each is about, and lists of users beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from recpipe.config.place_settings import PrivacySettings
from recpipe.config.settings import Settings
from recpipe.config.table_settings import AudienceSettings
from recpipe.errors import BadSetting
from recpipe.files import existing, sha256_of
from recpipe.tables.campaigns.campaign_tags import TagFilter, read_filter
from recpipe.user_ids.keys import hashes, user_keys
from recpipe.user_ids.masked_texts import shown_columns, shown_value

KEYS: Final = ("id", "first_day", "last_day", "text", "item_ids", "max_users", "suppress", "candidates", "audience")


@dataclass(frozen=True)
class Campaign:
    """One campaign.

    Attributes
    ----------
    id
        Its name in the table.
    first_day, last_day
        Days on which it runs, both included.
    text
        What it is about; may be empty where items are named.
    item_ids
        Its items, or examples of them.
    max_users
        Size of its audience; None: all that may be addressed.
    suppress
        File of users whom it must not address, beside those of RECPIPE_SUPPRESSION; None: none.
    candidates
        File of users among whom it may choose; of a campaign that ran before its audience stood in the table: whom it addressed.
    audience
        Tags that its users must have, or not have; None: it does not ask.
    """

    id: str
    first_day: date
    last_day: date
    text: str
    item_ids: tuple[str, ...]
    max_users: int | None
    suppress: Path | None
    candidates: Path | None
    audience: TagFilter | None = None


def read_campaigns(audiences: AudienceSettings) -> list[Campaign]:
    """Return the campaigns that ``settings.audiences.campaigns`` declares, by first day and id; none where it is empty.

    The file holds one JSON object a line (``.jsonl``), or a YAML list of mappings (``.yaml``, ``.yml``), with the keys `KEYS`;
    the files that it names are sought beside it.

    Raises
    ------
    BadSetting
        If there is no such file, or an entry is amiss; the text names file and line.
    """
    if not audiences.campaigns:
        return []
    file = existing(Path(audiences.campaigns), "RECPIPE_CAMPAIGNS")
    found: dict[str, tuple[int, Campaign]] = {}
    for line, entry in _entries(file):
        one = _campaign(entry, file, line)
        if one.id in found:
            raise BadSetting(
                f"{file}, line {line}: campaign '{one.id}' stands in line {found[one.id][0]} already. Give it another id."
            )
        found[one.id] = line, one
    return sorted((one for _, one in found.values()), key=lambda one: (one.first_day, one.id))


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = file.read_bytes()[: error.start].count(b"\n") + 1
        raise BadSetting(f"{file}, line {line}: this is no text in UTF-8. Save the file as UTF-8.") from None


def _entries(file: Path) -> Iterator[tuple[int, Any]]:
    if file.suffix in (".yaml", ".yml"):
        yield from _yaml_entries(file)
        return
    for line, text in enumerate(_text(file).split("\n"), 1):
        if text.strip():
            try:
                yield line, json.loads(text)
            except json.JSONDecodeError as error:
                raise BadSetting(f"{file}, line {line}: this is no JSON ({error.msg}, column {error.colno}).") from None


def _yaml_entries(file: Path) -> Iterator[tuple[int, Any]]:
    import yaml  # type: ignore[import-untyped]  # its stubs are no dependency

    text = _text(file)
    try:
        node, entries = yaml.compose(text, yaml.SafeLoader), yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise BadSetting(f"{file}{where}: this is no YAML ({getattr(error, 'problem', '') or 'unreadable'}).") from None
    if node is None:
        return
    if not isinstance(entries, list):
        raise BadSetting(f"{file}, line {node.start_mark.line + 1}: a list of campaigns has to stand here, each begun with '- '.")
    for child, entry in zip(node.value, entries, strict=True):
        yield child.start_mark.line + 1, entry


def _campaign(entry: Any, file: Path, line: int) -> Campaign:
    def refuse(says: str) -> BadSetting:
        return BadSetting(f"{file}, line {line}: {says}")

    if not isinstance(entry, dict):
        raise refuse(f"a campaign has to be a mapping with the keys {', '.join(KEYS)}.")
    if unknown := sorted(set(map(str, entry)) - set(KEYS)):
        raise refuse(f"there is no key '{unknown[0]}'; there are: {', '.join(KEYS)}.")
    values = {key: value for key, value in entry.items() if value is not None}
    name, text, items, most = (values.get(key) for key in ("id", "text", "item_ids", "max_users"))
    if not isinstance(name, str) or not name.strip():
        raise refuse(f"'id' is {name!r}; it has to be a text that is not empty.")
    first, last = (_day(values.get(key), key, refuse) for key in ("first_day", "last_day"))
    if last < first:
        raise refuse(f"the campaign ends on {last}, before it begins on {first}.")
    if not isinstance(text, str | None) or not _are_texts(items):
        raise refuse("'text' has to be a text, and 'item_ids' a list of texts that are not empty.")
    if not (text or "").strip() and not items:
        raise refuse("a campaign needs a 'text' or 'item_ids', or both: they say what it is about.")
    if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
        raise refuse(f"'max_users' is {most!r}; it has to be a whole number from 1 on.")
    lists = []
    for key in ("suppress", "candidates"):
        where = values.get(key)
        if where is not None and (not isinstance(where, str) or not (file.parent / where).is_file()):
            raise refuse(f"'{key}' names {where!r}, and there is no such file beside {file.name}.")
        lists.append(file.parent / where if where is not None else None)
    asked = read_filter(values.get("audience"), refuse)
    return Campaign(name, first, last, (text or "").strip(), tuple(dict.fromkeys(items or ())), most, lists[0], lists[1], asked)


def _are_texts(items: Any) -> bool:
    return items is None or (isinstance(items, list) and all(isinstance(item, str) and item for item in items))


def _day(value: Any, key: str, refuse: Any) -> date:
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    try:
        return date.fromisoformat(value)
    except (TypeError, ValueError):
        raise refuse(f"'{key}' is {value!r}; write it as 2011-09-01.") from None


# --- lists of users -----------------------------------------------------------------------------------------------


def read_users(settings: Settings, file: Path, day: date) -> set[str]:
    """Return the users of a list that holds on a day: a csv with ``user_id`` and, if wanted, ``day``, from which on a row holds.

    With a key of user ids they are mapped.

    Raises
    ------
    BadSetting
        If a column is missing or a row has no user or no readable day.
    """
    rows = _rows(settings.privacy, file, ("user_id",))
    users = {_filled(row, "user_id", file, line) for line, row in rows if _since(settings.privacy, row, file, line) <= day}
    return set(user_keys(settings.privacy, pa.array(sorted(users), pa.string())).to_pylist())


def read_responses(settings: Settings, day: date) -> dict[str, dict[str, date]]:
    """Return the first day on which each user answered each campaign, up to a day; by campaign.

    The csv ``settings.audiences.campaign_responses`` has the columns ``campaign_id``, ``user_id`` and ``day``.

    Raises
    ------
    BadSetting
        If a column is missing, or a row has an empty value or no readable day.
    """
    file = existing(Path(settings.audiences.campaign_responses), "RECPIPE_CAMPAIGN_RESPONSES")
    found: dict[str, dict[str, date]] = {}
    for line, row in _rows(settings.privacy, file, ("campaign_id", "user_id", "day")):
        _filled(row, "day", file, line)
        when, own = _since(settings.privacy, row, file, line), found.setdefault(_filled(row, "campaign_id", file, line), {})
        user = _filled(row, "user_id", file, line)
        if when <= day:
            own[user] = min(when, own.get(user, when))
    return {name: _mapped(settings.privacy, own) for name, own in found.items()}


def _mapped(privacy: PrivacySettings, days: dict[str, date]) -> dict[str, date]:
    return dict(zip(user_keys(privacy, pa.array(list(days), pa.string())).to_pylist(), days.values(), strict=True))


def _rows(privacy: PrivacySettings, file: Path, needed: tuple[str, ...]) -> list[tuple[int, dict[str, Any]]]:
    reader = csv.DictReader(io.StringIO(_text(file), newline=""))
    missing = [name for name in needed if name not in (reader.fieldnames or ())]
    if missing:
        there = shown_columns(privacy, list(reader.fieldnames or ()))
        raise BadSetting(f"{file}, line 1: there is no column '{missing[0]}', only {there}. Add it.")
    return [(reader.line_num, row) for row in reader]


def _filled(row: dict[str, Any], column: str, file: Path, line: int) -> str:
    value = (row.get(column) or "").strip()
    if not value:
        raise BadSetting(f"{file}, line {line}: column '{column}' is empty. Fill it, or remove the row.")
    return str(value)


def _since(privacy: PrivacySettings, row: dict[str, Any], file: Path, line: int) -> date:
    value = (row.get("day") or "").strip()
    try:
        return date.fromisoformat(value) if value else date.min
    except ValueError:
        raise BadSetting(f"{file}, line {line}: column 'day' is {shown_value(privacy, value)}; write it as 2011-09-01.") from None


def files_hash(settings: Settings) -> str:
    """Return the sha256 (with a key of user ids HMAC-SHA-256) over the campaigns and every file that they and the settings name; empty where there are no campaigns."""
    campaigns = read_campaigns(settings.audiences)
    if not settings.audiences.campaigns:
        return ""
    files = [
        Path(settings.audiences.campaigns),
        *(Path(one) for one in (settings.audiences.campaign_responses, settings.audiences.suppression) if one),
    ]
    files += [file for one in campaigns for file in (one.suppress, one.candidates) if file]
    parts = [sha256_of(existing(file, "RECPIPE_CAMPAIGNS")) for file in files]
    return hashes(settings.privacy, "files", ["".join(parts)])[0]
