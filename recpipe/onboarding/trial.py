"""The trial of some days: they are staged for real, in a scratch home, and the facts are read off."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from recpipe.config.settings import Settings, load_settings
from recpipe.errors import RecpipeError
from recpipe.onboarding.checked import Trial
from recpipe.onboarding.survey import Survey
from recpipe.tables.ingest.stage import stage_days
from recpipe.tables.ingest.staged import FACTS

FIRST: int = 4


AROUND: int = 4


def trial_days(found: Survey) -> list[date]:
    """Return the days that are tried: the first, those around the fullest, and the last."""
    days = sorted(found.days)
    fullest = days.index(max(days, key=lambda day: found.days[day]))
    return sorted({*days[:FIRST], *days[max(0, fullest - AROUND) : fullest + AROUND], days[-1]})


def try_days(
    scratch: Path,
    proposed: Mapping[str, Any],
    landing: Path,
    days: Sequence[date],
    say: Callable[[date], None] = lambda day: None,
) -> Trial:
    """Stage days in a scratch home under the proposed settings; nothing of the person's own home is touched."""
    trial = Trial()
    loose = load_settings(**{**proposed, "home": scratch / "home", "lake": "", "landing": str(landing), "run_id": "local"})
    for day in days:
        say(day)
        try:
            _read(stage_days(loose, [day]), day, trial)
        except RecpipeError as error:
            trial.refused[day] = str(error)
            _read_refused(loose, day, trial)
        trial.days.append(day)
    return trial


def _read_refused(settings: Settings, day: date, trial: Trial) -> None:
    """Stage a day again without a limit of bad rows, so that it can be said which they are."""
    try:
        _read(stage_days(settings.changed(max_bad_share=1.0), [day]), day, trial)
    except RecpipeError:
        return


def _read(folder: Path, day: date, trial: Trial) -> None:
    facts = json.loads((folder / FACTS).read_text())["days"][str(day)]
    for table, counted in facts.items():
        trial.rows[table] += counted["rows"]
        if counted["other_midnight_hours"]:
            trial.midnights[counted["other_midnight_hours"]] += 1
    for file in sorted((folder / "quarantine").glob("*.parquet")):
        rows = pq.read_table(file, columns=["source_table", "reason", "column", "set_aside"])
        for row in rows.to_pylist():
            trial.out[row["source_table"], row["reason"], row["column"] or "", row["set_aside"]] += 1
