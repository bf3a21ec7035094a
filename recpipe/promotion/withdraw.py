"""The withdrawal of a promotion: a version that turned out bad serves no further night."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from recpipe.config.model_settings import PromotionSettings
from recpipe.config.settings import Settings
from recpipe.errors import BadSetting
from recpipe.registry.store import client
from recpipe.registry.versions import (
    CHAMPION,
    PROMOTED_ON,
    WITHDRAWN_FROM,
    WITHDRAWN_REASON,
    Version,
    all_versions,
    find,
    newest,
    point_alias,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)


def withdraw(settings: Settings, version: str, reason: str) -> str:
    """Take a version's promotion back, for good, and return the version that the alias ``champion`` then points to.

    No new night is given the version. A published day keeps the version that made it, until the day is run with another
    one by name (`recpipe recommend --model-version`). A killed call is finished by the next one.

    Parameters
    ----------
    settings
        Where MLflow is.
    version
        Version in the registry.
    reason
        One sentence for a person; it is kept with the version.

    Raises
    ------
    MissingModel
        If there is no such version.
    BadSetting
        If it is not promoted, is the last promoted one, or no reason is given.
    """
    if not reason.strip():
        raise BadSetting(f"Version {version} cannot be withdrawn without a reason: say why, with --reason.")
    store = client(settings)
    versions = all_versions(store, settings.promotion)
    found = find(versions, version, settings.promotion)
    left = newest(v for v in versions if v.promoted_on and v.number != found.number)
    if not found.withdrawn:
        _refuse(found, left)
        _mark(store, settings.promotion, found, reason.strip())
    # the promotion goes last: `all_versions` takes none as promoted that is marked
    store.delete_model_version_tag(settings.promotion.registered_model, str(found.number), PROMOTED_ON)
    point_alias(store, settings.promotion, CHAMPION, promoted=True)
    log.info("Version %s is withdrawn.", version)
    return str(left.number) if left else ""


def _refuse(found: Version, left: Version | None) -> None:
    if found.promoted_on is None:
        raise BadSetting(f"Version {found.number} is not promoted, so there is nothing to withdraw: see `recpipe models`.")
    if left is None:
        raise BadSetting(
            f"Version {found.number} is the only promoted one: without it no night has a model. Promote another one first."
        )


def _mark(store: MlflowClient, promotion: PromotionSettings, found: Version, reason: str) -> None:
    name, number = promotion.registered_model, str(found.number)
    store.set_model_version_tag(name, number, WITHDRAWN_REASON, reason)
    store.set_model_version_tag(name, number, WITHDRAWN_FROM, str(found.promoted_on))
