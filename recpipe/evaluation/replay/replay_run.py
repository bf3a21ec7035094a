"""A replay from its plan to its table: what the DAG ``replay_newcomers`` and ``recpipe replay`` call."""

from __future__ import annotations

import logging
import os
import re
import shutil
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.dataset.as_of import build_evidence
from recpipe.dataset.export import encoder_facts
from recpipe.dataset.folder import write_episodes_folder
from recpipe.dataset.protocol_facts import protocol_facts
from recpipe.days import parse_day
from recpipe.errors import BadSetting, MissingDay, TrainingFailed
from recpipe.evaluation.replay.replay_measures import Replay, measure
from recpipe.evaluation.replay.replay_page import write_report
from recpipe.evaluation.replay.replay_warnings import warnings_of
from recpipe.lake.lake import Lake
from recpipe.pipeline.publish import publish_rows
from recpipe.registry.encoders import of_model
from recpipe.registry.model_folder import content_hash

log = logging.getLogger(__name__)

LOCAL = "local"
READS = ("events", "items", "users")
FACTS = ("seed", "half_life_days", "last_events", "metric_k", "few_items", "new_user_days", "seen_items")
"""Settings that training and the nights share, as in every export."""


def plan_replay(settings: Settings, day: date, cut: date | None = None) -> dict[str, Any]:
    """Say what a replay works on, as JSON: ``day``, ``trained_until``, the ``versions`` of the tables, and the name of the ``run``.

    Parameters
    ----------
    settings
        ``replay_days`` lie between the last day of training and ``day``.
    day
        The last day of behaviour.
    cut
        The first day whose newcomers are replayed; ``replay_days`` before the end if None.

    Raises
    ------
    BadSetting
        If the cut is not before the day's end.
    MissingDay
        If events of a day since the cut are not published, or none is before the cut.
    """
    trained_until = cut - timedelta(days=1) if cut else day - timedelta(days=settings.replay.replay_days)
    if trained_until >= day:
        raise BadSetting(f"A replay of {day} cannot be cut at {cut}: nobody could have come since. Name an earlier day (--cut).")
    lake = Lake.from_settings(settings)
    there = {record.day for record in lake.days("events") if record.complete}
    if not any(one <= trained_until for one in there):
        raise MissingDay(
            f"No events are published of {trained_until} or before, so no model can be trained for the replay of {day}: take more "
            "history in, wait until the shop is older, or cut later (RECPIPE_REPLAY_DAYS, --cut)."
        )
    since = (trained_until + timedelta(days=offset) for offset in range(1, (day - trained_until).days + 1))
    if missing := next((one for one in since if one not in there), None):
        raise MissingDay(
            f"The replay of {day} needs the events of {missing}, which are not published: run ingest_clickstream for it."
        )
    days = {"day": day.isoformat(), "trained_until": trained_until.isoformat()}
    # a run of Airflow finds its folders again when it is tried again; of two runs by hand each has its own
    run = f"local-{os.getpid()}" if settings.run.run_id == LOCAL else settings.run.run_id
    return {**days, "versions": lake.versions_now(READS), "run": re.sub(r"[^A-Za-z0-9_.-]", "_", run)}


def export_replay(settings: Settings, plan: dict[str, Any]) -> str:
    """Write the training input of a replay: what was known at the end of ``trained_until``, and nothing of later days.

    Returns
    -------
    str
        The folder, of this run alone.
    """
    trained_until = parse_day(plan["trained_until"])
    reader = Lake.from_settings(settings).reader(plan["versions"])
    settings = settings.changed(tuned_encoder="")  # it learns from months, which no promoted encoder has left unseen
    seen = settings.changed(lookback_days=7 * settings.training.train_weeks)
    evidence = build_evidence(reader, seen, trained_until)
    first = evidence.history.ts.min() if len(evidence.history.ts) else evidence.until
    window = (parse_day(plan["day"]) - trained_until).days
    days = {"horizon_days": settings.replay.replay_horizon_days, "window_days": window}
    facts = {
        **{name: settings.flat()[name] for name in FACTS},
        **encoder_facts(settings.text),
        **protocol_facts(first, evidence.until, plan["trained_until"], **days),
    }  # no version of a table: a later delivery changes it, and must not change a byte of the model
    folder = episodes_folder(settings.places, plan)
    shutil.rmtree(model_folder(settings, plan), ignore_errors=True)  # a rerun starts from nothing
    write_episodes_folder(folder, evidence, facts)
    log.info("Replay of %s: training input up to %s, %d events.", plan["day"], trained_until, len(evidence.history.user))
    return str(folder)


def episodes_folder(places: PlaceSettings, plan: dict[str, Any]) -> Path:
    """Return where a replay's training input lies: an erasure and `recpipe maintain` look for such inputs there."""
    return (places.work / "train" / f"replay-{_name(plan)}-{plan['run']}").resolve()


def model_folder(settings: Settings, plan: dict[str, Any]) -> Path:
    """Return where a replay's model lies: of this run and this cut alone, so that no two replays share one."""
    return (settings.places.work / "training" / f"replay-{_name(plan)}" / str(plan["run"])).resolve()


def _name(plan: dict[str, Any]) -> str:
    return f"{plan['day']}-from-{plan['trained_until']}"


def publish_replay(settings: Settings, plan: dict[str, Any], model: str) -> dict[str, Any]:
    """Serve the newcomers with a model folder, publish ``replays`` of the day, and write the page.

    Returns
    -------
    dict
        JSON: ``day``, ``trained_until``, ``came`` (persons), ``rows`` published, ``report`` (path), ``warnings`` (sentences).

    Raises
    ------
    AuditFailed
        If the rows do not pass their suite; what was published before stays.
    """
    day, trained_until = parse_day(plan["day"]), parse_day(plan["trained_until"])
    reader = Lake.from_settings(settings).reader(plan["versions"])
    found = measure(of_model(settings, model), reader, trained_until, day, Path(model))
    inputs = tuple(dict.fromkeys(reader.inputs))
    version = f"replay-{content_hash(Path(model))[:12]}"
    publish_rows(settings, "replays", day, found.rows, facts={}, inputs=inputs, model_version=version)
    page = write_report(settings, found)
    log.info("Published %d rows of the replay of %s; the page is %s.", found.rows.num_rows, day, page)
    return _said(settings, found, str(page))


def _said(settings: Settings, found: Replay, page: str) -> dict[str, Any]:
    days = {"day": found.day.isoformat(), "trained_until": found.trained_until.isoformat()}
    warnings = warnings_of(settings, found)
    return {**days, "came": found.came, "rows": found.rows.num_rows, "report": page, "warnings": warnings}


def replay_day(settings: Settings, day: date, cut: date | None = None, options: tuple[str, ...] = ()) -> dict[str, Any]:
    """Do a whole replay on this machine; what it returns is that of `publish_replay`.

    Parameters
    ----------
    settings
        Places and rules.
    day, cut
        As for `plan_replay`.
    options
        Further options of `recpipe train`, after those of the settings.
    """
    plan = plan_replay(settings, day, cut)
    episodes, model = export_replay(settings, plan), model_folder(settings, plan)
    given = [*settings.training.run_options, *settings.replay.replay_options, *options]
    words = ["train", "--episodes", episodes, "--out", str(model), *given]
    done = subprocess.run([sys.executable, "-m", "recpipe.cli", *words])  # memory and threads of training end with it
    if done.returncode != 0:
        raise TrainingFailed(f"The model of the replay of {day} could not be trained; the lines above say why.")
    return publish_replay(settings, plan, str(model))
