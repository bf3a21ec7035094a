"""The registration of a fine-tuned encoder, and before the first of the plain one, to compare it with."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.promotion.decision import Decision
from recpipe.promotion.gate import record
from recpipe.registry.encoder_versions import SUMMARY, encoders, for_encoders, register_encoder, register_frozen
from recpipe.registry.model_folder import read_json
from recpipe.registry.store import client
from recpipe.registry.versions import CANDIDATE, find, point_alias
from recpipe.text.encoder import load_encoder


def register_tuned(settings: Settings, folder: str, day: date, run_id: str = "") -> str:
    """Register what a fine-tuning wrote; the plain encoder is registered and promoted before it, where it is not yet.

    Parameters
    ----------
    settings
        Where MLflow is.
    folder
        What `recpipe finetune-encoder` wrote.
    day
        Last day of the fine-tuning's weeks, whose days of the gate it has not seen.
    run_id
        The run that its curves were streamed to; a new one if empty.

    Returns
    -------
    str
        Version of the registered encoder.

    Raises
    ------
    MissingModel
        If the folder holds no summary of a fine-tuning.
    """
    summary = read_json(Path(folder) / SUMMARY)
    if not summary:
        raise MissingModel(
            f"{folder} holds no {SUMMARY}, so nothing was fine-tuned there: run `recpipe finetune-encoder` into it first."
        )
    promote_frozen(settings, day)
    facts = {
        "method": summary["config"]["method"],
        "trained_until": str(day),
        "fitted_until": str(summary["fitted_until"]),
        "parent": summary["source"],
        "fingerprint": summary["fingerprint"],
        "inputs": summary.get("inputs", []),
    }
    number = register_encoder(settings, Path(folder), facts, run_id)
    point_alias(client(settings), for_encoders(settings).promotion, CANDIDATE, promoted=False)
    return number


def promote_frozen(settings: Settings, day: date) -> Decision | None:
    """Register the settings' encoder as it came, and promote it where no encoder is promoted yet; None if one was."""
    number = register_frozen(settings, settings.text.encoder)
    named, known = for_encoders(settings), encoders(settings)
    if any(version.promoted_on for version in known):
        return None
    fingerprint = load_encoder(settings.text.encoder).fingerprint
    decision = Decision(
        number, "", day.isoformat(), "", True, f"The encoder as it came ({fingerprint[:12]}) is the first: nothing served before.",
        f"ndcg@{settings.evaluation.metric_k}", None, None, None, None, None, settings.promotion.promotion_margin, 0,
    )  # fmt: skip
    return record(client(settings), named, find(known, number, named.promotion), decision, day)
