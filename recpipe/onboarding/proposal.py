"""The settings that would take a shop's files in: each with what speaks for it, and what else could be meant."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pyarrow.compute as pc
import pyarrow.types as pt

from recpipe.files import whole_file
from recpipe.onboarding.guesses.column_guesses import SURE, Guess
from recpipe.onboarding.guesses.name_scores import event_type_of
from recpipe.onboarding.guesses.samples import Column
from recpipe.onboarding.guesses.time_forms import form_of
from recpipe.onboarding.sample_rows import Shape
from recpipe.onboarding.table_choice import Chosen
from recpipe.printable import printable

SETTING: Final = {"events": "event_columns", "items": "item_columns", "users": "user_columns"}
OPTION: Final = {"events": "--column events.", "items": "--column items.", "users": "--column users."}
SEPARATORS: Final = (" > ", " | ", "|", ">", " / ", "/", ";")
CONSTANT: Final = "event_type"
MOST_KINDS: Final = 12
MOST_UNKNOWN: Final = 100


@dataclass(frozen=True)
class Line:
    """One setting that is proposed.

    Attributes
    ----------
    name
        Of the setting, in small letters.
    value
        What it is set to; None where the default is right and there is only something to say.
    evidence
        What was seen.
    question
        What a person should look at, and how to say otherwise; empty where there is little doubt.
    """

    name: str
    value: Any
    evidence: str
    question: str = ""


@dataclass
class Proposal:
    """What would take the files in.

    Attributes
    ----------
    lines
        Settings.
    shapes
        By table, what is added while a log is cut.
    missing
        What has to be there and is not: sentences.
    """

    lines: list[Line] = field(default_factory=list)
    shapes: dict[str, Shape] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def settings(self) -> dict[str, Any]:
        """Return the settings by name; the ones that are not proposed stand at their defaults."""
        own: dict[str, Any] = {
            "event_columns": {}, "item_columns": {}, "user_columns": {}, "event_types": {}, "set_aside_event_types": [], "event_id_from": [],
        }  # fmt: skip
        return own | {line.name: line.value for line in self.lines if line.value is not None}


def propose(tables: Mapping[str, Chosen], zone: str, kinds: Mapping[str, str]) -> Proposal:
    """Return what the samples alone tell; `with_survey` adds what a pass over all rows tells.

    Parameters
    ----------
    tables
        Sources by table.
    zone
        The shop's zone, where a person has said it; else empty.
    kinds
        Delivered event type -> contract's, where a person has said so.
    """
    made = Proposal()
    if "events" not in tables:
        made.missing.append(
            "No file has a time and an item in each row, so none is a log of events. Name it with --table events=FILE."
        )
        return made
    _zone(made, tables["events"], zone)
    for table, chosen in tables.items():
        _columns(made, table, chosen)
        made.shapes[table] = Shape()
    _event_types(made, tables["events"], kinds)
    if "items" in tables:
        _items(made, tables["items"])
    else:
        titles = tables["events"].sample.column("title") is not None
        made.lines.append(
            Line("items_need_title", titles, "no file is a catalogue: items are those of the events, from their first day on")
        )
    _users(made, tables)
    return made


# --- times and columns ------------------------------------------------------------------------------------------------


def _zone(made: Proposal, events: Chosen, zone: str) -> None:
    name = events.delivered("ts")
    form = form_of(events.sample, name)
    column = events.sample.column(name)
    named = column.kind.tz if column is not None and pt.is_timestamp(column.kind) and "/" in (column.kind.tz or "") else ""
    if zone or named:
        made.lines.append(
            Line("timezone", zone or named, f"{'said by you' if zone else 'the zone of the column'}; {name} holds {form.form}")
        )
        return
    question = (
        "In which zone does the shop's day begin" + ("" if form.zoned else ", and do these clocks run") + "? Say --timezone."
    )
    made.lines.append(Line("timezone", "UTC", f"{name} holds {form.form}", question))


def _columns(made: Proposal, table: str, chosen: Chosen) -> None:
    renamed = {guess.delivered: name for name, guess in chosen.guesses.items() if guess.delivered != name}
    said = "; ".join(f"{guess.column}: {guess.delivered} ({guess.evidence})" for guess in _ordered(chosen.guesses))
    doubts = " ".join(_doubt(table, guess) for guess in _ordered(chosen.guesses) if guess.score < SURE)
    made.lines.append(Line(SETTING[table], renamed, said, doubts))
    needed = {"events": ("ts", "item_id", "user_id"), "items": ("item_id",), "users": ("user_id",)}[table]
    for name in needed:
        if name not in chosen.guesses:
            had = ", ".join(column.name for column in chosen.sample.columns)
            made.missing.append(
                f"{chosen.sample.source.name} has no column that is a {name} of {table} (it has: {had}). Say {OPTION[table]}{name}=COLUMN."
            )


def _ordered(guesses: Mapping[str, Guess]) -> list[Guess]:
    return sorted(guesses.values(), key=lambda guess: -guess.score)


def _doubt(table: str, guess: Guess) -> str:
    other = f", and not {guess.other}" if guess.other else ""
    return f"Is {guess.delivered} the {guess.column} of {table}{other}? If not, say {OPTION[table]}{guess.column}=COLUMN."


# --- events -----------------------------------------------------------------------------------------------------------


def _event_types(made: Proposal, events: Chosen, kinds: Mapping[str, str]) -> None:
    if "event_type" in events.guesses:
        return
    told = {"review": "rating", "purchase": "order_id", "search": "query"}
    kind = next(
        (kind for kind, column in told.items() if column in events.guesses),
        "purchase" if "quantity" in events.guesses else "view",
    )
    kind = kinds.get("*", kind)
    made.shapes["events"] = Shape({CONSTANT: kind})
    seen = told.get(kind) if told.get(kind) in events.guesses else None
    why = f"no column holds kinds of events; {f'there is a {seen}' if seen else 'nothing says what they are'}"
    made.lines.append(
        Line(
            "event_types", None, f"{why}: all are taken for {kind}", f"Are all of them {kind}? If not, say --event-type '*=TYPE'."
        )
    )


def kinds_of(counted: Mapping[str, int], said: Mapping[str, str]) -> Iterator[Line]:
    """Yield which kinds of events are which, from their counts over all rows, the commonest first."""
    known = {kind: said.get(kind) or event_type_of(kind) for kind in counted}
    mapped = {kind: ours for kind, ours in known.items() if ours and ours != kind}
    unknown = [kind for kind, ours in known.items() if not ours]
    seen = [
        f"{count:,} × {kind}{f' = {known[kind]}' if known[kind] not in (None, kind) else ''}" for kind, count in counted.items()
    ]
    more = f"; and {len(seen) - MOST_KINDS:,} other kinds" if len(seen) > MOST_KINDS else ""
    yield Line("event_types", mapped, "; ".join(seen[:MOST_KINDS]) + more)
    if unknown:
        question = f"What are {', '.join(unknown[:5])}? If they are shopping, say --event-type {unknown[0]}=TYPE."
        yield Line(
            "set_aside_event_types",
            unknown,
            f"{sum(counted[kind] for kind in unknown):,} rows of kinds that are not known",
            question,
        )


def unknown_kinds(counted: Mapping[str, int], said: Mapping[str, str], column: str) -> str:
    """Return a sentence if no kind of events is known, or too many are not; else nothing."""
    unknown = [kind for kind in counted if not (said.get(kind) or event_type_of(kind))]
    if len(unknown) < len(counted) and len(unknown) <= MOST_UNKNOWN:
        return ""
    return (
        f"{len(unknown):,} of {len(counted):,} kinds of events in {column} are not known, such as {', '.join(unknown[:5])}. "
        f"Say what they are with --event-type {unknown[0]}=TYPE, or which column holds the kinds with --column events.event_type=COLUMN."
    )


# --- items and users --------------------------------------------------------------------------------------------------


def _items(made: Proposal, items: Chosen) -> None:
    title = items.sample.column(items.delivered("title"))
    if title is None or not title.filled:
        names = _telling(items)
        made.shapes["items"] = Shape(title_from=names)
        why = "no item has a title" + (f": it is joined of {', '.join(names)} while the log is cut" if names else "")
        made.lines.append(Line("items_need_title", False, why))
    elif title.filled < 0.95:
        made.lines.append(
            Line("items_need_title", False, f"{1 - title.filled:.0%} of the items have no title, and would be left out")
        )
    category = items.sample.column(items.delivered("category"))
    if category is not None and category.is_text and category.filled:
        found = _separator(items, category.name)
        question = "" if found in (" > ", ">", "") else f"Do {found.strip()} separate levels of a tree, root first?"
        made.lines.append(
            Line(
                "category_separator",
                found.strip() or ">",
                f"{category.name} has {found.strip() or 'one level'} between its levels",
                question,
            )
        )


def _telling(items: Chosen) -> tuple[str, ...]:
    """Return columns of text that tell what an item is, the commonest values first, at most three."""
    taken = {items.delivered(name) for name in ("item_id", "available")}
    texts: list[Column] = [
        one for one in items.sample.columns if one.is_text and one.filled > 0.5 and one.name not in taken and one.distinct > 1
    ]
    return tuple(one.name for one in sorted(texts, key=lambda one: one.distinct)[:3])


def _separator(items: Chosen, name: str) -> str:
    values = items.sample.rows[name].drop_null().slice(0, 2000)
    shares = {sign: (pc.sum(pc.match_substring(values, sign)).as_py() or 0) / max(1, len(values)) for sign in SEPARATORS}
    return next((sign for sign, share in shares.items() if share > 0.3), "")


def _users(made: Proposal, tables: Mapping[str, Chosen]) -> None:
    users = tables.get("users")
    if users is None:
        evidence = "no file has one row for each user: accounts begin on the day of their first event"
    elif "registered_at" not in users.guesses:
        evidence = f"{users.sample.source.name} does not say when accounts were made: they begin on the day of their first event"
    else:
        return
    question = "Do you know when accounts were made? Deliver it as registered_at: who is new is what recpipe asks first."
    made.lines.append(Line("user_columns", None, evidence, question))


# --- the file ---------------------------------------------------------------------------------------------------------


def environment(lines: list[Line]) -> str:
    """Return the lines of an environment file, each setting under what speaks for it."""
    told: list[str] = []
    for line in lines:
        told += [f"# {printable(text)}" for text in (line.evidence, line.question) if text]
        if line.value is not None:
            told.append(f"RECPIPE_{line.name.upper()}={_value(line.value)}")
        told.append("")
    return "\n".join(told)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = (
        value
        if isinstance(value, str)
        else json.dumps(value, ensure_ascii=True, default=str)
        if isinstance(value, dict | list)
        else str(value)
    )
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'" if not isinstance(value, int | float) else text


def write_environment(file: Path, lines: list[Line]) -> None:
    """Write the environment file, for its owner alone; it appears whole."""
    with whole_file(file) as half:
        half.touch(0o600)
        half.write_text(environment(lines), encoding="utf-8")
