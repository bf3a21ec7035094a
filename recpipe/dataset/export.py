"""The training input: what was known some days before the day of training, as a folder without tables in it."""

from __future__ import annotations

import logging
from datetime import date, timedelta
from pathlib import Path

from recpipe.config.model_settings import TextSettings
from recpipe.config.settings import Settings
from recpipe.dataset.as_of import build_evidence
from recpipe.dataset.folder import write_episodes_folder
from recpipe.lake.lake import Lake
from recpipe.text.encoder import load_encoder

log = logging.getLogger(__name__)

FACTS = ("seed", "half_life_days", "last_events", "horizon_days", "metric_k", "few_items", "new_user_days", "seen_items")
"""Settings that training and the nights share, so that a model is trained for what it will be asked."""


def export_training(settings: Settings, day: date, out: Path | None = None) -> str:
    """Write the input of a training run and return its folder.

    The last ``settings.promotion.gate_days`` days up to the day are kept from it: on them candidate and champion are compared.

    Parameters
    ----------
    settings
        ``train_weeks`` says how much history the run sees.
    day
        ``trained_until`` of the model to be.
    out
        Folder to write; one of the run's in the work folder if none is given.

    Raises
    ------
    MissingDay
        If the events of the day were not published yet.
    """
    lake = Lake.from_settings(settings)
    lake.require("events", day)
    fitted_until = day - timedelta(days=settings.promotion.gate_days)
    reader = lake.reader(lake.versions_now(["events", "items", "users"]))
    seen = settings.changed(lookback_days=7 * settings.training.train_weeks)
    evidence = build_evidence(reader, seen, fitted_until)
    facts = {
        **encoder_facts(settings.text),
        **{name: settings.flat()[name] for name in FACTS},
        "trained_until": day.isoformat(),
        "fitted_until": fitted_until.isoformat(),
        "inputs": [entry.to_json() for entry in dict.fromkeys(reader.inputs)],
    }
    folder = out or settings.places.work / "train" / day.isoformat() / settings.run.run_name
    write_episodes_folder(folder, evidence, facts)
    log.info("Training input of %s: %d events of %d users.", day, len(evidence.history.user), len(evidence.history.user_ids))
    return str(folder)


def encoder_facts(text: TextSettings) -> dict[str, str]:
    """Return the fingerprints of the encoders that read the texts, as facts of a training input."""
    tuned = {"tuned_encoder": load_encoder(text.tuned_encoder).fingerprint} if text.tuned_encoder else {}
    return {"encoder": load_encoder(text.encoder).fingerprint, **tuned}
