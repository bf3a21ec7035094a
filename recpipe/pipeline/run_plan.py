"""The plan of a run: what all its steps are given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.days import parse_day

OPTIONAL: Final = ("model_folder", "model_sha256", "encoder", "tuned_encoder", "knowledge", "by_hand")
"""Left away in JSON where they are empty."""


@dataclass(frozen=True)
class RunPlan:
    """What every step of a run is given; between the tasks of a DAG it travels as JSON.

    Attributes
    ----------
    day
        The day that is made.
    model_version
        Who makes its rows: a version of the registry, or what the task says of itself.
    versions
        Delta version by table.
    shards
        Number of parts.
    model_folder, model_sha256
        The fetched model and the hash of its files, where the version is one of the registry.
    encoder, tuned_encoder
        Folders of the encoders that the model was trained with; empty: those of the settings, and none.
    knowledge
        sha256 of the files of knowledge, where the task obeys them and there are any.
    by_hand
        A name of its own for a run that one process does from end to end, one of several at once perhaps; else empty.
    """

    day: date
    model_version: str
    versions: Mapping[str, int]
    shards: int
    model_folder: str = ""
    model_sha256: str = ""
    encoder: str = ""
    tuned_encoder: str = ""
    knowledge: str = ""
    by_hand: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the plan as JSON, without what is empty."""
        there = {name: value for name, value in vars(self).items() if value or name not in OPTIONAL}
        return {**there, "day": self.day.isoformat()}

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> RunPlan:
        """Return the plan that `as_json` wrote."""
        return cls(**{**found, "day": parse_day(found["day"])})

    def bound(self, settings: Settings) -> Settings:
        """Return settings that name the encoders of the plan's model, whatever they named before."""
        if not self.model_folder:
            return settings
        return settings.changed(encoder=self.encoder or settings.text.encoder, tuned_encoder=self.tuned_encoder)
