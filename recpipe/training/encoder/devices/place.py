"""The place where a run learns: its device, its precision, and the other processes that learn with it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch

from recpipe.errors import BadSetting

PATIENCE = timedelta(hours=6)
"""How long processes wait for each other: the first one measures the vectors before, while the others wait."""


@dataclass(frozen=True)
class Place:
    """A device, and this process among those that learn together.

    Attributes
    ----------
    device
        Where the network lies.
    rank, size
        Which process this is, from 0, and of how many.
    precision
        ``float32`` or ``bfloat16``.
    """

    device: torch.device
    rank: int = 0
    size: int = 1
    precision: str = "float32"

    @property
    def first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return self.rank == 0

    def autocast(self) -> AbstractContextManager[Any]:
        """Return the context of passes through the network."""
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.device.type, dtype=torch.bfloat16)

    def sum_gradients(self, parameters: Iterable[Any]) -> None:
        """Add up the gradients of all processes, in one message."""
        if self.size == 1:
            return
        from accelerate.utils import reduce

        held = [parameter for parameter in parameters if parameter.grad is not None]
        whole: Any = reduce(torch.cat([parameter.grad.flatten() for parameter in held]), "sum")
        for parameter, part in zip(held, whole.split([parameter.numel() for parameter in held]), strict=True):
            parameter.grad.copy_(part.view_as(parameter))

    def sum_of(self, *numbers: float) -> list[float]:
        """Return the sum of each number over all processes."""
        if self.size == 1:
            return list(numbers)
        from accelerate.utils import reduce

        total: Any = reduce(torch.tensor(numbers, dtype=torch.float64, device=self.device), "sum")
        return [float(one) for one in total]

    def from_first(self, values: torch.Tensor) -> torch.Tensor:
        """Return the first process's tensor; the others give one of the same shape."""
        if self.size == 1:
            return values
        from accelerate.utils import broadcast

        return torch.as_tensor(broadcast(values.to(self.device)).cpu())


def find_place(device: str, precision: str) -> Place:
    """Return the place of this process; where a launcher started several, join them.

    Parameters
    ----------
    device
        ``auto`` (a GPU where there is one), ``cpu`` or ``cuda``.
    precision
        See `Place`.

    Raises
    ------
    BadSetting
        If there is no GPU where one is asked for.
    """
    from accelerate import PartialState

    if device == "cuda" and not torch.cuda.is_available():
        raise BadSetting("Device is cuda, and torch sees no GPU: see `recpipe check gpu`, or use --device cpu.")
    on_cpu = device == "cpu" or not torch.cuda.is_available()
    PartialState._reset_state()  # a run before this one in the same process may have had another device
    state = PartialState(cpu=on_cpu, timeout=PATIENCE) if _several() else PartialState(cpu=on_cpu)
    # accelerate numbers CPUs by the process; to torch and safetensors there is one
    where = torch.device("cpu") if state.device.type == "cpu" else state.device
    return Place(where, state.process_index, state.num_processes, precision)


def _several() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1
