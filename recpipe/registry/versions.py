"""Model versions as the rules see them, and the rules: who serves a day, who is compared, where an alias points."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Final

from recpipe.config.model_settings import PromotionSettings
from recpipe.config.settings import Settings
from recpipe.errors import MissingModel
from recpipe.registry.model_folder import CLOSED_FORM
from recpipe.registry.store import client

if TYPE_CHECKING:
    from mlflow import MlflowClient

CANDIDATE: Final = "candidate"
CHAMPION: Final = "champion"
PAGE: Final = 200
PROMOTED_ON: Final = "promoted_on"
WITHDRAWN_FROM: Final = "withdrawn_from"
WITHDRAWN_REASON: Final = "withdrawn_reason"


@dataclass(frozen=True)
class Version:
    """One registered version.

    Attributes
    ----------
    number
        Version in the registry, 1, 2, …
    trained_until, fitted_until
        Last day whose data touched it, by fitting or by the gate; last day that it was fitted on.
    promoted_on
        Day for which it was promoted; None if it never was, or was withdrawn.
    content
        sha256 of the model folder.
    run_id
        MLflow run that holds its curves and files.
    withdrawn
        Why its promotion was taken back; empty if it was not.
    closed_form
        sha256 of the best closed form that its training measured, which lies beside it; empty if there is none.
    learner
        Name of what it is.
    """

    number: int
    trained_until: date
    fitted_until: date
    promoted_on: date | None
    content: str
    run_id: str
    withdrawn: str = ""
    closed_form: str = ""
    learner: str = ""

    @property
    def rank(self) -> tuple[date, int]:
        """Newer is greater; of equally new ones the higher version."""
        return self.trained_until, self.number


def serving(versions: Iterable[Version], day: date) -> Version | None:
    """Return the promoted version with the newest ``trained_until`` < day, of equals the highest version."""
    return max((v for v in versions if v.promoted_on and v.trained_until < day), key=lambda v: v.rank, default=None)


def opponent(versions: Iterable[Version], candidate: Version) -> Version | None:
    """Return the promoted version that a candidate is compared with.

    It saw nothing of the days of the comparison, which begin after the candidate's ``fitted_until``, and of those
    that could serve then it is the newest. Versions of later weeks are not looked at, so an old week that is run again
    is compared with the one it was compared with before.
    """
    return max(
        (
            v
            for v in versions
            if v.promoted_on
            and v.number != candidate.number
            and v.fitted_until <= candidate.fitted_until
            and v.trained_until <= candidate.trained_until
        ),
        key=lambda v: v.rank,
        default=None,
    )


def newest(versions: Iterable[Version]) -> Version | None:
    """Return the version that an alias over all of these points to."""
    return max(versions, key=lambda v: v.rank, default=None)


def all_versions(store: MlflowClient, promotion: PromotionSettings) -> list[Version]:
    """Return every version of the settings' model that recpipe registered, by number."""
    found: list[Version] = []
    token: str | None = None
    while True:
        page = store.search_model_versions(f"name='{promotion.registered_model}'", max_results=PAGE, page_token=token)
        found += [_version(entry.version, entry.tags, entry.run_id or "") for entry in page if "content" in entry.tags]
        token = page.token
        if not token:
            return sorted(found, key=lambda v: v.number)


def _version(number: str | int, tags: dict[str, str], run_id: str) -> Version:
    withdrawn = tags.get(WITHDRAWN_REASON, "") if WITHDRAWN_FROM in tags else ""
    promoted = None if withdrawn else tags.get(PROMOTED_ON)
    return Version(
        int(number),
        date.fromisoformat(tags["trained_until"]),
        date.fromisoformat(tags["fitted_until"]),
        date.fromisoformat(promoted) if promoted else None,
        tags["content"],
        run_id,
        withdrawn,
        tags.get(CLOSED_FORM, ""),
        tags.get("learner", ""),
    )


def find(versions: Iterable[Version], number: str, promotion: PromotionSettings) -> Version:
    """Return a version by its number; MissingModel if there is none of it."""
    found = next((v for v in versions if str(v.number) == str(number)), None)
    if found is None:
        raise MissingModel(f"Model {promotion.registered_model} has no version {number}: see `recpipe models` for those it has.")
    return found


def overview(settings: Settings) -> list[dict[str, str]]:
    """Return what is known of each version, as text, newest first, for people.

    Keys: version, learner, trained_until, fitted_until, promoted_on, encoder_version, tuned_encoder_version, aliases, reason.
    """
    store = client(settings)
    versions = all_versions(store, settings.promotion)
    aliases = dict(store.get_registered_model(settings.promotion.registered_model).aliases) if versions else {}
    rows = []
    for version in sorted(versions, key=lambda v: v.rank, reverse=True):
        tags = store.get_model_version(settings.promotion.registered_model, str(version.number)).tags
        names = sorted(name for name, number in aliases.items() if str(number) == str(version.number))
        told = ("learner", "trained_until", "fitted_until", "promoted_on", "encoder_version", "tuned_encoder_version")
        row = {name: str(tags.get(name, "")) for name in told}
        reason = json.loads(tags["decision"])["reason"] if "decision" in tags else ""
        if version.withdrawn:
            row["promoted_on"], reason = "", f"Withdrawn from {tags[WITHDRAWN_FROM]}: {version.withdrawn}"
        rows.append({"version": str(version.number), **row, "aliases": ", ".join(names), "reason": reason})
    return rows


def point_alias(store: MlflowClient, promotion: PromotionSettings, alias: str, *, promoted: bool) -> None:
    """Point an alias at the newest version (of the promoted ones, if so); an older week never moves it.

    The versions are read again after the alias was set, so that of two who do this at once the later one is right.
    """
    pointed: Version | None = None
    while True:
        best = newest(v for v in all_versions(store, promotion) if v.promoted_on or not promoted)
        if best is None or best == pointed:
            return
        store.set_registered_model_alias(promotion.registered_model, alias, str(best.number))
        pointed = best
