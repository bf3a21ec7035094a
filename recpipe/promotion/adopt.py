"""The adoption of another shop's model: promoted without comparison, so that this shop serves from its first night."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any, Final

from recpipe.config.place_settings import PlaceSettings
from recpipe.config.settings import Settings
from recpipe.days import ONE_DAY
from recpipe.errors import BadSetting
from recpipe.promotion.decision import Decision
from recpipe.promotion.gate import record
from recpipe.registry.encoders import keep_encoders, unreadable
from recpipe.registry.model_folder import content_hash
from recpipe.registry.registration import FROM, register_folder
from recpipe.registry.store import client
from recpipe.registry.versions import all_versions, find

KEPT: Final = ("encoder", "tuned_encoder", "seed")
"""What of another shop's config.json is taken beside the model; the rest speaks of that shop's tables, days and settings."""


def adopt(settings: Settings, folder: str, day: date | None = None) -> Decision:
    """Register another shop's model folder and promote it.

    Only the model itself is taken: numbers that weigh kinds of evidence, which hold for any catalogue. The version says by
    ``from`` which folder it came from (sha256 of its files). Its days are this shop's: trained and fitted until ``day``, so that it serves from the next
    day on, and later candidates are compared with it as with any champion. The same folder and day again give the same version.

    Parameters
    ----------
    settings
        Name the registry and the encoder: the model's, unless it is registered.
    folder
        What `recpipe train` wrote in another shop.
    day
        The day before the first that it is to serve; if None the one before the first day of events in the lake, or, while there is none, before
        ``settings.shop.first_day``.

    Raises
    ------
    MissingModel
        If the folder holds no model.
    RecpipeError
        If its files are not those that were saved.
    BadSetting
        If an encoder that the model was trained with is neither that of the settings nor registered.
    """
    place = Path(folder)
    origin = content_hash(place)
    if why := unreadable(settings, place):
        raise BadSetting(f"The model in {folder} cannot serve here. {why}")
    keep_encoders(settings, place)
    until = day or _day_before_the_first(settings)
    copy = _copied(settings.places, place, origin, until)
    number = register_folder(settings, str(copy), until)
    store = client(settings)
    version = find(all_versions(store, settings.promotion), number, settings.promotion)
    decision = Decision(
        number, "", until.isoformat(), "", True, f"Adopted from another shop, without comparison (model {origin[:12]}): it serves from {until + ONE_DAY} on.",
        f"ndcg@{settings.evaluation.metric_k}", None, None, None, None, None, settings.promotion.promotion_margin, 0,
    )  # fmt: skip
    return record(store, settings, version, decision, until)


def _copied(places: PlaceSettings, folder: Path, origin: str, until: date) -> Path:
    """Write the model with this shop's days into a folder of its own: the same bytes for the same model and day."""
    from recpipe.models.io import load, read_config, save

    learner, config = load(folder), read_config(folder)
    about: dict[str, Any] = {name: config[name] for name in KEPT if name in config}
    copy = places.work / "adopted" / f"{origin[:16]}-{until}"
    save(learner, copy, {**about, "trained_until": str(until), "fitted_until": str(until), FROM: origin})
    return copy


def _day_before_the_first(settings: Settings) -> date:
    from recpipe.lake.lake import Lake

    days = Lake.from_settings(settings).reader().days("events")
    return (min(days) if days else settings.shop.first_day) - ONE_DAY
