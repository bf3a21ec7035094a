"""Attention over the support as it is trained; the formulas are those of `recpipe.models.numpy_forms.heads.attention`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import normalize, pad

from recpipe.models.numpy_forms.heads.attention import ATTENTION as HEAD
from recpipe.models.torch_forms.body import Batch, Items, Tensors, make_network, mean_of, scale_of


def adapt(
    tensors: Tensors, settings: Mapping[str, Any], x: torch.Tensor, items: Items, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Attend over the supports of all users."""
    places, text = x.shape[1] - items.features.shape[1], len(tensors["start"])
    rows = x[batch.item]
    mean = normalize(mean_of(rows[:, :, :places], batch.weight), dim=1)
    nearness = torch.einsum("ukd,ud->uk", rows[:, :, :places], mean)
    seen = torch.cat([nearness[:, :, None], torch.log1p(batch.age)[:, :, None], rows[:, :, places:]], dim=2)
    strength = torch.log(torch.where(batch.inside, batch.weight, 1.0))
    users = x.new_zeros(len(rows), places)
    mixed = torch.zeros_like(batch.weight)
    mix = torch.softmax(tensors["mix"], dim=0)
    for head in range(settings["heads"]):
        logits = strength + seen @ tensors["contexts"][head] + rows[:, :, :text] @ tensors["queries"][head]
        # a user without support attends to fillers, and his vector is multiplied by 0
        weight = torch.softmax(logits.masked_fill(~batch.inside, -1e9), dim=1) * batch.inside
        mixed = mixed + mix[head] * weight
        scale = scale_of(tensors["temperature"][head], batch.size)
        users = users + scale * normalize(mean_of(rows[:, :, :places], weight), dim=1)
    spread = x.new_zeros(len(rows), len(x)).scatter_add(1, batch.item, mixed)
    near = torch.sparse.mm(items.similar, spread.T).T
    return pad(users, (0, x.shape[1] - places)), near


def _initial(shared: Tensors, seed: int) -> Tensors:
    count, width = HEAD.settings["heads"], len(shared["start"])
    random = torch.Generator().manual_seed(seed)
    temperature = torch.tensor([[1.0, 0.0]] * count)
    temperature[:, 0] -= torch.log(torch.tensor(float(count)))
    return {
        "contexts": torch.zeros(count, 2 + len(shared["bias"])),
        "queries": 0.5 * torch.randn(count, width, generator=random),  # not alike, or the heads would stay alike
        "mix": torch.zeros(count),
        "temperature": temperature,
    }


ATTENTION = make_network("attention", adapt, _initial, ("queries",))
