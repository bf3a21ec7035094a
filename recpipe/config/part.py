"""The base of every part of the settings: frozen, closed, and free of control signs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationInfo, field_validator

from recpipe.config import checks


class Part(BaseModel):
    """Settings of one subject. A setting has the same name in every part, in ``RECPIPE_NAME`` and in ``recpipe.toml``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True, allow_inf_nan=False)

    @field_validator("*")
    @classmethod
    def _no_control_signs(cls, value: Any, info: ValidationInfo) -> Any:
        if info.field_name not in checks.DELIVERED:
            checks.without_control_signs(value)
        return value
