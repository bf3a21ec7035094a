"""The weekly upkeep: tables, model versions, scratch. Each part can be run alone, again, and be killed anywhere."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.errors import RecpipeError
from recpipe.lake.lake import Lake
from recpipe.lake.retention import Swept, clean_log, compact, vacuum
from recpipe.maintenance.scratch import empty_caches, prune_folders
from recpipe.maintenance.steps import Report, Step

log = logging.getLogger(__name__)


def maintain(settings: Settings, *, dry_run: bool = False) -> Report:
    """Do all three parts; what fails is reported and stops nothing else.

    Parameters
    ----------
    settings
        Name the places, and how long what is kept (``keep_days``, ``keep_model_days``, ``keep_scratch_days``).
    dry_run
        Say what would be done.
    """
    reports = [part(settings, dry_run=dry_run) for part in (tidy_tables, prune_models, prune_scratch)]
    steps = tuple(step for report in reports for step in report.steps)
    return Report(steps, tuple(why for report in reports for why in report.failed), dry_run)


def tidy_tables(settings: Settings, *, dry_run: bool = False) -> Report:
    """Join small files, remove those that no kept version needs, and shorten the log, of every table and the register."""
    lake, keep = Lake.from_settings(settings), timedelta(days=settings.upkeep.keep_days)
    parts: list[Callable[[], list[Step]]] = []
    for table in TABLES:
        parts += [
            lambda table=table: _step("compact", table, compact(lake, table, dry_run=dry_run)),  # type: ignore[misc]
            lambda table=table: _step("vacuum", table, vacuum(lake, table, keep, dry_run=dry_run)),  # type: ignore[misc]
            lambda table=table: _step("log", table, clean_log(lake, table, keep, dry_run=dry_run)),  # type: ignore[misc]
        ]
    return _collected(parts, dry_run)


def prune_models(settings: Settings, *, dry_run: bool = False) -> Report:
    """Remove registered versions that nobody used in RECPIPE_KEEP_MODEL_DAYS, with their runs and files."""

    def part() -> list[Step]:
        from recpipe.maintenance.model_versions import prune_versions

        return prune_versions(settings, dry_run=dry_run)

    return _collected([part], dry_run)


def prune_scratch(settings: Settings, *, dry_run: bool = False) -> Report:
    """Remove the scratch of runs that are over, and empty caches that are above their size."""
    parts = (prune_folders, empty_caches)
    return _collected([lambda part=part: part(settings, dry_run=dry_run) for part in parts], dry_run)  # type: ignore[misc]


def _step(what: str, table: str, swept: Swept) -> list[Step]:
    return [Step(what, table, swept.files, swept.bytes)]


def _collected(parts: list[Callable[[], list[Step]]], dry_run: bool) -> Report:
    """Do the parts one after the other; the sentence of one that fails is kept, and the others go on."""
    steps: list[Step] = []
    failed: list[str] = []
    for part in parts:
        try:
            done = part()
            steps += done
            failed += [step.failed for step in done if step.failed]
        except (RecpipeError, OSError) as error:
            failed.append(str(error))
        except Exception as error:  # of Delta or MLflow: told, and the other tables are still swept
            log.exception("A step of the upkeep failed.")
            failed.append(f"{type(error).__name__}: {error}")
    return Report(tuple(steps), tuple(failed), dry_run)
