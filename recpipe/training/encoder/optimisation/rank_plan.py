"""AdaLoRA's plan of ranks: what it goes by, as tensors and values that a checkpoint holds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
GROUP = "ranks."
QUANTITIES = ("ipt", "exp_avg_ipt", "exp_avg_unc")
"""Sensitivity of each number, its running average, and how far it strays (Zhang et al. 2023, equations 9 to 11)."""


def plan_of(network: Any) -> tuple[dict[str, Tensors], dict[str, list[bool]]]:
    """Return the importance of each number, by quantity and parameter, and which singular values are kept of each matrix."""
    allocator = network.base_model.rankallocator
    groups = {GROUP + quantity: dict(getattr(allocator, quantity)) for quantity in QUANTITIES}
    kept = allocator.peft_config.rank_pattern or {}
    return groups, {name: [bool(one) for one in rows] for name, rows in kept.items()}


def restore_plan(network: Any, groups: Mapping[str, Tensors], kept: Mapping[str, list[bool]]) -> None:
    """Put back what `plan_of` gave."""
    model = network.base_model
    device = next(network.parameters()).device
    for quantity in QUANTITIES:
        held = groups.get(GROUP + quantity, {})
        setattr(model.rankallocator, quantity, {name: value.to(device) for name, value in held.items()})
    pattern = {name: list(rows) for name, rows in kept.items()}
    model.peft_config[model.trainable_adapter_name].rank_pattern = pattern
    model.rankallocator.peft_config.rank_pattern = pattern
