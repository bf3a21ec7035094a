"""Checkpoints: one file that holds the whole state of a run, replaced in one step, so that a kill never tears it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from recpipe.errors import RecpipeError
from recpipe.files import write_whole

Tensors = dict[str, torch.Tensor]


def write_checkpoint(file: Path, groups: dict[str, Tensors], state: dict[str, Any]) -> None:
    """Write groups of tensors and a state of JSON values.

    Parameters
    ----------
    groups
        Tensors by name, by group; names without a slash.
    state
        Goes into the header of the file.
    """
    tensors = {
        f"{group}/{name}": tensor.detach().cpu().contiguous() for group, held in groups.items() for name, tensor in held.items()
    }
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, save(tensors, {"state": json.dumps(state, sort_keys=True)}))


def read_checkpoint(file: Path, device: str) -> tuple[dict[str, Tensors], dict[str, Any]] | None:
    """Return what `write_checkpoint` wrote, on a device; None if there is no such file.

    Raises
    ------
    RecpipeError
        If the file is none of safetensors; nothing else is read.
    """
    if not file.is_file():
        return None
    groups: dict[str, Tensors] = {}
    try:
        with safe_open(file, framework="pt", device=device) as held:
            state: dict[str, Any] = json.loads(held.metadata()["state"])
            for key in held.keys():  # noqa: SIM118  # not a dictionary
                group, name = key.split("/", 1)
                groups.setdefault(group, {})[name] = held.get_tensor(key)
    except SafetensorError:
        raise RecpipeError(f"{file} is no checkpoint that was written here. Remove it: training then begins anew.") from None
    return groups, state


def optimiser_tensors(optimiser: torch.optim.Optimizer, parameters: Tensors) -> dict[str, Tensors]:
    """Return the optimiser's memory, one group a quantity (``exp_avg``, …), by name of the parameter."""
    groups: dict[str, Tensors] = {}
    for name, parameter in parameters.items():
        for quantity, value in optimiser.state[parameter].items():
            groups.setdefault(f"optimiser.{quantity}", {})[name] = value
    return groups


def restore_optimiser(optimiser: torch.optim.Optimizer, parameters: Tensors, groups: dict[str, Tensors]) -> None:
    """Put back what `optimiser_tensors` gave."""
    for group, held in groups.items():
        if group.startswith("optimiser."):
            quantity = group.removeprefix("optimiser.")
            for name, value in held.items():
                # AdamW keeps its count of steps on the CPU, wherever the parameters are
                optimiser.state[parameters[name]][quantity] = value.cpu() if quantity == "step" else value
