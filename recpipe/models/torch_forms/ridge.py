"""The ridge head as it is trained, through the solve; the formulas are those of `recpipe.models.numpy_forms.heads.ridge`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from recpipe.models.torch_forms.body import Batch, Items, Tensors, make_network, mean_of, scale_of


def adapt(
    tensors: Tensors, settings: Mapping[str, Any], x: torch.Tensor, items: Items, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Solve the ridge regressions of all users, in places where the penalty is the identity, and turn them back."""
    places = x.shape[1] - items.features.shape[1]
    z = x[:, :places]
    catalogue, ridge, strength = torch.exp(tensors["strengths"])
    moment = catalogue * (z.T @ z) / len(z) + ridge * torch.eye(places, dtype=z.dtype, device=z.device)
    triangle = torch.linalg.cholesky(moment)
    white = torch.linalg.solve_triangular(triangle, z.T, upper=False).T
    # no derivative of a root at 0: fillers are 1 below the root and 0 above it
    root = torch.sqrt(torch.where(batch.inside, strength * batch.weight * torch.expm1(batch.size), 1.0)) * batch.inside
    rows = white[batch.item] * root[:, :, None]
    system = rows @ rows.transpose(1, 2) + torch.eye(rows.shape[1], dtype=z.dtype, device=z.device)
    dual = root * torch.linalg.solve(system, root[:, :, None])[:, :, 0]
    user = scale_of(tensors["temperature"], batch.size) * mean_of(white[batch.item], dual)
    back = torch.linalg.solve_triangular(triangle.T, user.T, upper=True).T  # users · white = back · z
    return torch.nn.functional.pad(back, (0, x.shape[1] - places)), batch.near


def _initial(shared: Tensors, seed: int) -> Tensors:
    return {"strengths": torch.tensor([0.0, -2.0, 0.0]), "temperature": torch.tensor([1.5, 0.0])}


RIDGE = make_network("ridge_head", adapt, _initial)
