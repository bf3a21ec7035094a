"""The registrations of a week: its candidate, and before the very first one a champion to compare it with."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.promotion.decision import Decision
from recpipe.promotion.gate import record
from recpipe.registry.encoders import keep_encoders, unreadable
from recpipe.registry.model_folder import CLOSED_FORM
from recpipe.registry.registration import register_folder
from recpipe.registry.serving import fetch
from recpipe.registry.store import client
from recpipe.registry.versions import CHAMPION, all_versions, find, point_alias


def register(settings: Settings, folder: str, day: date) -> str:
    """Log and register a model folder; the same folder again returns the version it already has.

    The run in the experiment ``recpipe`` holds parameters, curves, pictures, the lake tables it was trained on, and the
    model as code with its weights in safetensors. The alias ``candidate`` points to the newest week registered. Where
    nothing is promoted yet, the best closed form, which training left in the folder's ``closed_form``, becomes the first
    champion before the candidate is registered.

    Parameters
    ----------
    settings
        Where MLflow and the lake are.
    folder
        What `recpipe train` wrote.
    day
        Last day of the training's week; the catalogue as of it is stored beside the model.

    Returns
    -------
    str
        Version in the registry.

    Raises
    ------
    MissingModel
        If the folder is no model folder.
    BadSetting
        If an encoder that it was trained with is neither that of the settings nor registered.
    """
    if why := unreadable(settings, folder):
        raise BadSetting(f"The model in {folder} cannot be registered, for no night could use it. {why}")
    keep_encoders(settings, folder)
    closed_form = Path(folder) / CLOSED_FORM
    if closed_form.is_dir():
        ensure_first_champion(settings, day, str(closed_form))
    return register_folder(settings, folder, day)


def ensure_first_champion(settings: Settings, day: date, folder: str) -> Decision | None:
    """Register and promote a model without comparison if nothing is promoted that a week's candidate could be compared with.

    A version whose encoders are lost is nothing to compare with.

    Call it before the candidate is registered: of equally new promoted versions the highest serves.

    Parameters
    ----------
    settings
        Where MLflow and the lake are.
    day
        Last day of the training's week.
    folder
        Model folder of the best closed form.

    Returns
    -------
    Decision | None
        None if a champion was there already.
    """
    store = client(settings)
    before = day - timedelta(days=settings.promotion.gate_days)
    known = all_versions(store, settings.promotion)
    served = [v for v in known if v.promoted_on and v.trained_until <= day and v.fitted_until <= before]
    newest_first = sorted(served, key=lambda v: v.rank, reverse=True)
    if any(not unreadable(settings, fetch(settings, str(v.number))) for v in newest_first):
        point_alias(store, settings.promotion, CHAMPION, promoted=True)  # a killed run may have stopped before it
        return None
    number = register_folder(settings, folder, day)
    first = find(all_versions(store, settings.promotion), number, settings.promotion)
    why = "nothing served before whose encoder is still at hand" if served else "nothing served before"
    decision = Decision(
        number, "", day.isoformat(), "", True, f"The best closed form is the first champion: {why}.",
        f"ndcg@{settings.evaluation.metric_k}", None, None, None, None, None, settings.promotion.promotion_margin, 0,
    )  # fmt: skip
    return record(store, settings, first, decision, day)
