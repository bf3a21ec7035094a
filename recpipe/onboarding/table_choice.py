"""The match of sources with tables: events, items, users, or none of them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from recpipe.errors import BadSetting
from recpipe.onboarding.guesses.column_guesses import Guess, Told, guess_columns
from recpipe.onboarding.guesses.name_scores import source_score
from recpipe.onboarding.guesses.overlaps import find_overlaps, told_by_overlaps
from recpipe.onboarding.guesses.samples import Sample

ORDER = ("events", "items", "users")


@dataclass(frozen=True)
class Chosen:
    """A source that is taken for a table, and what its columns are taken for."""

    table: str
    sample: Sample
    guesses: Mapping[str, Guess]
    evidence: str

    def delivered(self, name: str) -> str:
        """Return the delivered column of a contract column; empty if there is none."""
        return self.guesses[name].delivered if name in self.guesses else ""


def choose_tables(
    samples: Sequence[Sample], said: Mapping[str, str], columns: Mapping[str, Mapping[str, str]]
) -> dict[str, Chosen]:
    """Return the sources that tables are made of, by table.

    Parameters
    ----------
    samples
        Of all sources.
    said
        Table -> name of a source, where a person has said so.
    columns
        Table -> contract column -> delivered column, where a person has said so.

    Raises
    ------
    BadSetting
        If somebody named a source that is not there.
    """
    found: dict[str, Chosen] = {}
    told = told_by_overlaps(find_overlaps(samples), _looks(samples, said))
    for table in ORDER:
        open_ = [one for one in samples if one.source.name not in {chosen.sample.source.name for chosen in found.values()}]
        open_ = [one for one in open_ if one.source.name not in {name for other, name in said.items() if other != table}]
        if table in said:
            open_ = [one for one in open_ if one.source.name == said[table]]
            if not open_:
                raise BadSetting(
                    f"There is no {said[table]} for {table}; there are: {', '.join(one.source.name for one in samples)}."
                )
        guessed = [(one, guess_columns(one, table, columns.get(table), told)) for one in open_]
        rated = [(_points(table, one, guesses, told), one, guesses) for one, guesses in guessed]
        best = max(rated, key=lambda one: one[0], default=None)
        if best is not None and (best[0] > 0 or table in said):
            evidence = "said by you" if table in said else _evidence(table, best[1], best[2])
            found[table] = Chosen(table, best[1], best[2], evidence)
    return found


def _looks(samples: Sequence[Sample], said: Mapping[str, str]) -> dict[str, str]:
    """Return which sources look like a catalogue, and which like accounts, before anything is known of their keys."""
    looks = {name: table for table, name in said.items() if table != "events"}
    for one in samples:
        named = [table for table in ("items", "users") if source_score(table, one.source.name)]
        columns = {table: set(guess_columns(one, table)) for table in ("items", "users")}
        if {"title", "category", "brand"} & columns["items"] or named == ["items"]:
            looks.setdefault(one.source.name, "items")
        elif "registered_at" in columns["users"] or named == ["users"]:
            looks.setdefault(one.source.name, "users")
    return looks


def _points(table: str, sample: Sample, guesses: Mapping[str, Guess], told: Told) -> float:
    """Return how well a source fits a table; 0: not at all."""
    score = {name: guess.score for name, guess in guesses.items()}
    named = source_score(table, sample.source.name)
    if table == "events":
        if min(score.get("ts", 0), score.get("item_id", 0)) < 0.4 or _is_key(sample, guesses, "item_id"):
            return 0.0
        return (
            sum(score.get(name, 0) for name in ("ts", "item_id", "user_id", "event_type"))
            + named
            + math.log10(sample.source.rows + 1) / 5
        )
    key, other = ("item_id", "user_id") if table == "items" else ("user_id", "item_id")
    strange = guess_columns(sample, "events", told=told).get(other)
    if score.get(key, 0) < 0.4 or not _is_key(sample, guesses, key) or (strange is not None and strange.score >= 0.9):
        return 0.0
    telling = [name for name in ("title", "category", "brand", "registered_at", "country", "price") if name in score]
    return score[key] + named + 0.5 * len(telling)


def _is_key(sample: Sample, guesses: Mapping[str, Guess], key: str) -> bool:
    """Whether nearly every row of a sample has a value of its own there: a catalogue, or the accounts."""
    column = sample.column(guesses[key].delivered) if key in guesses else None
    return column is not None and sample.rows.num_rows > 1 and column.distinct >= 0.95 * sample.rows.num_rows * column.filled > 0


def _evidence(table: str, sample: Sample, guesses: Mapping[str, Guess]) -> str:
    rows = f"{sample.source.rows:,} rows"
    if table == "events":
        return f"{rows} with a time and an item"
    key = "item_id" if table == "items" else "user_id"
    return f"{rows}, one for each {guesses[key].delivered}"
