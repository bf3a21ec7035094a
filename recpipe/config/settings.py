"""Settings: one typed object of parts, read at the edge from ``recpipe.toml`` and the environment, and passed down."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator
from pydantic.fields import FieldInfo

from recpipe.config.list_settings import ExplorationSettings, FairnessSettings, ListSettings
from recpipe.config.model_settings import JobSettings, PromotionSettings, TextSettings, TrainingSettings
from recpipe.config.outcome_settings import EvaluationSettings, ReplaySettings
from recpipe.config.place_settings import DeliverySettings, PlaceSettings, PrivacySettings
from recpipe.config.run_settings import LocalSettings, NoticeSettings, RunSettings, UpkeepSettings
from recpipe.config.setting_sources import ENV_FILE, Given, Known, given_settings, unknown
from recpipe.config.shop_settings import HistorySettings, IntakeSettings, RuleSettings, ShopSettings
from recpipe.config.table_settings import (
    AudienceSettings,
    CartSettings,
    ItemClassSettings,
    ProfileSettings,
    ReviewSettings,
    SearchSettings,
)
from recpipe.errors import BadSetting
from recpipe.printable import printable

ENCODER_PROFILES = ("multilingual",)
"""Names of encoders that `recpipe install-encoder` makes; the setting `encoder` takes them beside folders."""


class Settings(BaseModel):
    """Every setting of recpipe, by its part: ``settings.lists.top_k``.

    Names are unique over all parts: ``load_settings`` and ``changed`` take them without their part, and so does the environment.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    places: PlaceSettings = Field(default_factory=PlaceSettings)
    delivery: DeliverySettings = Field(default_factory=DeliverySettings)
    shop: ShopSettings = Field(default_factory=ShopSettings)
    intake: IntakeSettings = Field(default_factory=IntakeSettings)
    history: HistorySettings = Field(default_factory=HistorySettings)
    rules: RuleSettings = Field(default_factory=RuleSettings)
    privacy: PrivacySettings = Field(default_factory=PrivacySettings)
    lists: ListSettings = Field(default_factory=ListSettings)
    exploration: ExplorationSettings = Field(default_factory=ExplorationSettings)
    fairness: FairnessSettings = Field(default_factory=FairnessSettings)
    item_classes: ItemClassSettings = Field(default_factory=ItemClassSettings)
    reviews: ReviewSettings = Field(default_factory=ReviewSettings)
    audiences: AudienceSettings = Field(default_factory=AudienceSettings)
    carts: CartSettings = Field(default_factory=CartSettings)
    profiles: ProfileSettings = Field(default_factory=ProfileSettings)
    searches: SearchSettings = Field(default_factory=SearchSettings)
    text: TextSettings = Field(default_factory=TextSettings)
    training: TrainingSettings = Field(default_factory=TrainingSettings)
    promotion: PromotionSettings = Field(default_factory=PromotionSettings)
    jobs: JobSettings = Field(default_factory=JobSettings)
    evaluation: EvaluationSettings = Field(default_factory=EvaluationSettings)
    replay: ReplaySettings = Field(default_factory=ReplaySettings)
    run: RunSettings = Field(default_factory=RunSettings)
    notices: NoticeSettings = Field(default_factory=NoticeSettings)
    upkeep: UpkeepSettings = Field(default_factory=UpkeepSettings)
    local: LocalSettings = Field(default_factory=LocalSettings)

    @field_validator("text")
    @classmethod
    def _profile_folder(cls, value: TextSettings, info: ValidationInfo) -> TextSettings:
        """Turn the name of a profile into its folder, so that everything else sees folders alone."""
        if value.encoder in ENCODER_PROFILES and "places" in info.data:
            return value.model_copy(update={"encoder": str(info.data["places"].work / "encoders" / value.encoder)})
        return value

    @classmethod
    def fields(cls) -> dict[str, FieldInfo]:
        """Return every setting by name, with its type, default, bounds and meaning."""
        return dict(KNOWN.fields)

    def flat(self) -> dict[str, Any]:
        """Return every value by the setting's name, secrets among them."""
        return {name: getattr(getattr(self, part), name) for name, part in KNOWN.parts.items()}

    def differing(self) -> dict[str, Any]:
        """Return the values that differ from the defaults, by the setting's name, as JSON has them; secrets are left out."""
        return {
            name: value for part in self.model_dump(mode="json", exclude_defaults=True).values() for name, value in part.items()
        }

    def changed(self, **values: Any) -> Settings:
        """Return these settings with some values in place of others; they are not checked.

        Raises
        ------
        TypeError
            If there is no such setting.
        """
        parts: dict[str, dict[str, Any]] = {}
        for name, value in values.items():
            if name not in KNOWN.parts:
                raise TypeError(f"{name} is no setting.")
            parts.setdefault(KNOWN.parts[name], {})[name] = value
        return self.model_copy(update={part: getattr(self, part).model_copy(update=new) for part, new in parts.items()})

    def accepting(self, *days: date) -> Settings:
        """Return these settings with some more days of which a person has said that few rows, or entries of a whole, are right."""
        few, less = [*self.intake.accepted_days, *days], [*self.intake.accepted_snapshots, *days]
        return self.changed(accepted_days=few, accepted_snapshots=less)


def _known() -> Known:
    inner = {part: field.annotation for part, field in Settings.model_fields.items()}
    entries = [(name, part, field) for part, kind in inner.items() if kind for name, field in kind.model_fields.items()]
    return Known({name: field for name, _, field in entries}, {name: part for name, part, _ in entries})


KNOWN = _known()
"""Every setting, and the part that it is in."""


def load_settings(**overrides: object) -> Settings:
    """Read the settings from the environment, the file ``recpipe.env`` of the home and the file ``recpipe.toml``.

    The environment file (``RECPIPE_ENV_FILE``, by default ``.recpipe/recpipe.env``) lets a person in the project's folder type
    ``recpipe show`` and mean the demo; it wins over ``recpipe.toml`` (``RECPIPE_CONFIG_FILE``), and the environment over both.

    Parameters
    ----------
    **overrides
        Values by the setting's name, without its part; they win over the environment.

    Raises
    ------
    BadSetting
        If a value is of the wrong type or out of its range; the text names each setting.
    """
    return read_settings(ENV_FILE, overrides)[0]


def settings_of(home: Path, **overrides: object) -> Settings:
    """Read the settings as `load_settings` does, but from the file ``recpipe.env`` of a home.

    Raises
    ------
    BadSetting
        If a value is of the wrong type or out of its range; the text names each setting.
    """
    return read_settings(str(home / "recpipe.env"), {"home": home, **overrides})[0]


def read_settings(
    env_file: str = ENV_FILE, overrides: Mapping[str, object] = MappingProxyType({})
) -> tuple[Settings, dict[str, Given]]:
    """Return the settings, and where each that is no default comes from; see `load_settings`.

    Raises
    ------
    BadSetting
        If a value is of the wrong type or out of its range; the text names each setting.
    """
    given = given_settings(KNOWN, env_file) | {name: Given(value) for name, value in overrides.items()}
    nested: dict[str, dict[str, Any]] = {}
    wrong = []
    for name, one in given.items():
        if name in KNOWN.parts:
            nested.setdefault(KNOWN.parts[name], {})[name] = one.value
        else:
            wrong.append(unknown(name, one, KNOWN))
    try:
        settings = Settings.model_validate(nested)
    except ValidationError as error:
        wrong = [_said(one, given) for one in error.errors()] + wrong
    if wrong:
        files = ", or in the file that is named" if any(one.place for one in given.values()) else ""
        raise BadSetting(f"Settings are wrong. {'; '.join(wrong)}. Mend them in the environment{files}.")
    return settings, given


def _said(error: Mapping[str, Any], given: Mapping[str, Given]) -> str:
    """Return what is the matter with one setting, or with several of a part that do not go together."""
    said = str(error["msg"]).removeprefix("Value error, ")
    _, *path = error["loc"]  # the first is the part
    if not path:
        return said
    where = given[path[0]].place if path[0] in given else ""
    return f"RECPIPE_{'_'.join(printable(str(step)) for step in path).upper()}{where}: {said}"
