"""The optimisers of fine-tuning, their learning rate step by step, and their memory as tensors."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

Tensors = dict[str, torch.Tensor]
GROUP = "optimiser."
COUNTS = ("step", "RMS")
"""What optimisers keep of a parameter beside tensors of its size: on the CPU, and by Adafactor as plain numbers."""


def make_optimiser(name: str, parameters: Sequence[Any], rate: float, weight_decay: float) -> Any:
    """Return AdamW (Loshchilov and Hutter 2019), or Adafactor (Shazeer and Stern 2018) without its relative step sizes.

    Adafactor keeps a row and a column of each matrix's squared gradients: next to no memory. Its steps are as long as AdamW's at
    the same rate, so that the learning rates of the methods hold for both.
    """
    if name == "adafactor":
        from transformers.optimization import Adafactor

        plain = {"scale_parameter": False, "relative_step": False, "warmup_init": False}
        return Adafactor(parameters, lr=rate, weight_decay=weight_decay, **plain)  # type: ignore[no-untyped-call]
    return torch.optim.AdamW(list(parameters), lr=rate, weight_decay=weight_decay)


def share_of_rate(step: int, steps: int, schedule: str = "linear") -> float:
    """Return the share of the learning rate at a step: a line up over a tenth of the steps, then down to zero, or level."""
    rise = max(1, steps // 10)
    up, left = (step + 1) / rise, (steps - step) / max(steps - rise, 1)
    if schedule == "constant":
        return min(up, 1.0)
    if schedule == "cosine":
        return min(up, 0.5 - 0.5 * math.cos(math.pi * min(left, 1.0)))
    return min(up, left, 1.0)


def memory_of(optimiser: Any, parameters: Mapping[str, Any]) -> dict[str, Tensors]:
    """Return the optimiser's memory, one group a quantity, by name of the parameter."""
    groups: dict[str, Tensors] = {}
    for name, parameter in parameters.items():
        for quantity, value in optimiser.state[parameter].items():
            number = torch.as_tensor(value, dtype=None if isinstance(value, torch.Tensor) else torch.float64)
            groups.setdefault(GROUP + quantity, {})[name] = number
    return groups


def restore_memory(optimiser: Any, parameters: Mapping[str, Any], groups: Mapping[str, Tensors]) -> None:
    """Put back what `memory_of` gave."""
    for group, held in groups.items():
        if group.startswith(GROUP):
            for name, value in held.items():
                quantity = group.removeprefix(GROUP)
                optimiser.state[parameters[name]][quantity] = _as_it_was(quantity, value, parameters[name].device)


def _as_it_was(quantity: str, value: torch.Tensor, device: Any) -> Any:
    if value.dtype == torch.float64:  # a plain number of Adafactor's
        return int(value) if quantity == "step" else float(value)
    return value.cpu() if quantity == "step" else value.to(device)
