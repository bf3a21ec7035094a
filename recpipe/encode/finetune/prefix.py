"""Prefix tuning (Li and Liang 2021): learned keys and values before every text, in every layer; peft's."""

from __future__ import annotations

from typing import Any


def add_prefix(network: Any, tokens: int) -> Any:
    """Return the network with a prefix of so many virtual tokens; only the prefix can be trained."""
    from peft import PrefixTuningConfig, TaskType, get_peft_model

    return get_peft_model(network, PrefixTuningConfig(task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=tokens))
