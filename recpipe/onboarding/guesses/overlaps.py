"""The columns of two sources that hold the same ids: a catalogue has one row for each, a log names it again and again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from recpipe.onboarding.guesses.samples import Column, Sample

LEAST: Final = 0.8
FEWEST: Final = 5
"""Different ids below which an overlap may be chance: flags and small counts overlap with everything."""


@dataclass(frozen=True)
class Overlap:
    """A column whose ids are those of another source's key.

    Attributes
    ----------
    source, column
        Where it stands.
    key_source, key
        The key that its ids are of.
    share
        Share of its different ids that are there.
    """

    source: str
    column: str
    key_source: str
    key: str
    share: float


def find_overlaps(samples: Sequence[Sample]) -> list[Overlap]:
    """Return the columns whose ids are the keys of another source, as far as samples tell."""
    ids = {(one.source.name, column.name): _ids(one, column) for one in samples for column in one.columns if _like_an_id(column)}
    keys = {
        place: values for place, values in ids.items()
        if _is_key(samples, place) and len(values) >= FEWEST
    }  # fmt: skip
    return [
        Overlap(source, column, key_source, key, share)
        for (source, column), values in ids.items()
        for (key_source, key), known in keys.items()
        if source != key_source and len(values) >= FEWEST and (source, column) not in keys
        for share in [_share(values, known)]
        if share >= LEAST
    ]


def _like_an_id(column: Column) -> bool:
    return column.distinct >= FEWEST and (column.is_text or pt.is_integer(column.kind))


def _is_key(samples: Sequence[Sample], place: tuple[str, str]) -> bool:
    column = next(one.column(place[1]) for one in samples if one.source.name == place[0])
    return column is not None and column.unique and column.filled == 1.0


def _ids(sample: Sample, column: Column) -> pa.Array:
    values = sample.rows[column.name].unique()
    return pc.drop_null(pc.utf8_trim_whitespace(values.cast(pa.string())))


def _share(values: pa.Array, known: pa.Array) -> float:
    return float(pc.mean(pc.is_in(values, known).cast(pa.float64())).as_py() or 0.0)


def told_by_overlaps(found: Sequence[Overlap], roles: Mapping[str, str]) -> dict[tuple[str, str], tuple[str, str]]:
    """Return what overlaps tell of columns: (source, column) -> (contract column, the evidence).

    Parameters
    ----------
    found
        The overlaps.
    roles
        Source -> items or users, of the sources that look like a catalogue or like accounts.
    """
    told: dict[tuple[str, str], tuple[str, str]] = {}
    for overlap in sorted(found, key=lambda one: one.share):
        if overlap.key_source not in roles:
            continue
        name = {"items": "item_id", "users": "user_id"}[roles[overlap.key_source]]
        told[overlap.source, overlap.column] = (
            name,
            f"{overlap.share:.0%} of its values are in {overlap.key} of {overlap.key_source}",
        )
        told[overlap.key_source, overlap.key] = name, f"its values are named by {overlap.column} of {overlap.source}"
    return told
