"""One day's outcomes: measured, audited, published, shown on a page."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import date
from typing import Any

import pyarrow as pa

from recpipe.config.settings import Settings
from recpipe.evaluation.outcomes import Outcomes, measure_day
from recpipe.evaluation.pages.outcome_page import write_report
from recpipe.evaluation.pooled import pooled_rows
from recpipe.evaluation.warnings import warnings_of
from recpipe.lake.lake import Lake
from recpipe.pipeline.publish import publish_rows
from recpipe.pipeline.task_outcomes import measured_rows

log = logging.getLogger(__name__)


def evaluate_day(settings: Settings, day: date) -> dict[str, Any]:
    """Judge the lists of ``day`` − ``settings.evaluation.horizon_days`` by the behaviour since; publish ``outcomes`` of the day.

    Before it, ``newcomer_outcomes`` of the day is published: rows of ``outcomes`` pool it with the days before.

    The rows of every task (`recpipe.tables.families`) that is published for that earlier day are judged beside them.

    The page stands in ``settings.places.reports`` as ``outcomes-<day>.html``. Warnings are returned, not sent (see `notify`), so
    that a rerun does not send them twice.

    Returns
    -------
    dict
        JSON: ``day``, ``lists_day``, ``model_version``, ``rows`` published, ``report`` (path), ``warnings`` (sentences).

    Raises
    ------
    MissingDay
        If the lists, or the events of one of the days since, are not published.
    AuditFailed
        If the rows do not pass their suite; what was published before stays.
    """
    found = measure_day(settings, day)
    _publish_newcomers(settings, found)
    found, rows = _publish(settings, found)
    warnings = warnings_of(settings.evaluation, found)
    page = write_report(settings, found, warnings)
    log.info("Published %d outcomes of the lists of %s; the page is %s.", rows, found.lists_day, page)
    return {
        "day": day.isoformat(),
        "lists_day": found.lists_day.isoformat(),
        "model_version": found.model_version,
        "rows": rows,
        "report": str(page),
        "warnings": warnings,
    }


def _publish_newcomers(settings: Settings, found: Outcomes) -> None:
    """Publish what each newcomer got, which the day itself and later ones pool."""
    version = found.model_version or None
    rows = found.newcomers
    publish_rows(settings, "newcomer_outcomes", found.day, rows, facts={}, inputs=found.inputs, model_version=version)


def _publish(settings: Settings, found: Outcomes) -> tuple[Outcomes, int]:
    from recpipe.tables.families import TASKS  # not above: tasks measure with this room's intervals

    lake = Lake.from_settings(settings)
    reader = lake.reader()
    of_tasks = measured_rows(settings, list(TASKS.values()), reader, found.day)
    pooled = pooled_rows(settings, reader, found.day)
    rows = pa.concat_tables(
        [found.rows, found.groups, pooled, *of_tasks]
    ).combine_chunks()  # in one piece it is written in this order
    inputs, version = tuple(dict.fromkeys([*found.inputs, *reader.inputs])), found.model_version or None
    publish_rows(settings, "outcomes", found.day, rows, facts={}, inputs=inputs, model_version=version)
    return replace(found, pooled=pooled), int(rows.num_rows)
