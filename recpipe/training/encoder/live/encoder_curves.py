"""The curves of a fine-tuning run: ``metrics.jsonl``, an event file, and an MLflow run, all while it learns."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from recpipe.files import write_whole
from recpipe.training.encoder.live.event_file import EventFile
from recpipe.training.encoder.live.live_run import LiveRun

EVENTS = "events"
"""Folder of the event files, in the encoder's."""


class Curves:
    """Writes each point of a run to wherever it is looked at.

    Parameters
    ----------
    out_dir
        Gets ``metrics.jsonl`` and ``events/``.
    rows
        Points of ``metrics.jsonl``, those of an earlier try first; `add` appends to them.
    live_run
        Id of an MLflow run; none if empty.
    say
        Is told what a person should know.
    """

    def __init__(self, out_dir: Path, rows: list[dict[str, Any]], live_run: str, say: Callable[[str], None]) -> None:
        self._file, self._rows = out_dir / "metrics.jsonl", rows
        self._events = EventFile(out_dir / EVENTS)
        self._live = LiveRun(live_run, say) if live_run else None
        for row in rows:
            self._show(row)

    def add(self, row: Mapping[str, Any], beside: Mapping[str, float] | None = None) -> None:
        """Add a point.

        Parameters
        ----------
        row
            With ``step``; the same in every run of the same settings.
        beside
            Numbers of this try alone, such as its pace: not in ``metrics.jsonl``.
        """
        self._rows.append(dict(row))
        write_whole(self._file, b"".join(json.dumps(one, sort_keys=True).encode() + b"\n" for one in self._rows))
        self._show({**row, **(beside or {})})

    def close(self) -> None:
        """Wait for what is on its way."""
        self._events.close()
        if self._live:
            self._live.close()

    def _show(self, row: Mapping[str, Any]) -> None:
        scalars = {name: float(value) for name, value in row.items() if name != "step"}
        self._events.add(int(row["step"]), scalars)
        if self._live:
            self._live.add(int(row["step"]), scalars)
