"""Prefix tuning (Li and Liang 2021): learned keys and values before every text, in every layer; peft's."""

from __future__ import annotations

from typing import Any

START = 0.02
"""Deviation of a prefix's keys and values at the start: that of weights, not 1, which drowns out short texts."""


def add_prefix(network: Any, tokens: int) -> Any:
    """Return the network with a prefix of so many virtual tokens; only the prefix can be trained."""
    from peft import PrefixTuningConfig, TaskType, get_peft_model

    found: Any = get_peft_model(network, PrefixTuningConfig(task_type=TaskType.FEATURE_EXTRACTION, num_virtual_tokens=tokens))
    for name, parameter in found.named_parameters():
        if parameter.requires_grad and name.startswith("prompt_encoder."):
            parameter.data.mul_(START)
    return found
