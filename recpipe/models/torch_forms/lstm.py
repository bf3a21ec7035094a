"""The LSTM over the support as it is trained; the formulas are those of `recpipe.models.numpy_forms.heads.lstm`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import normalize

from recpipe.models.numpy_forms.heads.lstm import LSTM as HEAD
from recpipe.models.torch_forms.body import Batch, Items, Tensors, make_network, mean_of, scale_of


def adapt(
    tensors: Tensors, settings: Mapping[str, Any], x: torch.Tensor, items: Items, batch: Batch
) -> tuple[torch.Tensor, torch.Tensor]:
    """Read the supports of all users."""
    features, text = items.features.shape[1], len(tensors["start"])
    places = x.shape[1] - features
    out = read(tensors, settings, x, batch) @ tensors["write"]
    unit = normalize(mean_of(x[batch.item][:, :, :places], batch.weight), dim=1)
    scaled = scale_of(tensors["temperature"], batch.size) * torch.exp(torch.tanh(out[:, -2:-1])) * unit
    known = batch.size > 0
    users = torch.cat([scaled[:, :text] + known * out[:, :text], scaled[:, text:], known * out[:, text : text + features]], 1)
    return users, batch.near * torch.exp(torch.tanh(out[:, -1:]))


def read(tensors: Tensors, settings: Mapping[str, Any], x: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return (users, hidden): the net's state after the newest entries of each support."""
    text, features = len(tensors["start"]), len(tensors["bias"])
    count = batch.inside.sum(1)
    known = count.clamp(max=settings["read"])
    memory = state = x.new_zeros(len(count), settings["hidden"])
    for step in range(int(known.max())):
        reads = known > step
        entry = torch.where(reads, count - known + step, 0)[:, None]
        rows = x[batch.item.gather(1, entry)[:, 0]]
        age = torch.log1p(batch.age.gather(1, entry))
        weight = torch.log(torch.where(reads[:, None], batch.weight.gather(1, entry), 1.0))
        seen = torch.cat([rows[:, :text], rows[:, -features:], age, weight], dim=1)
        into, keep, new, out = (seen @ tensors["seen"] + state @ tensors["held"] + tensors["gates"]).chunk(4, dim=1)
        fresh = torch.sigmoid(keep) * memory + torch.sigmoid(into) * torch.tanh(new)
        state = torch.where(reads[:, None], torch.sigmoid(out) * torch.tanh(fresh), state)
        memory = torch.where(reads[:, None], fresh, memory)
    return state


def _initial(shared: Tensors, seed: int) -> Tensors:
    hidden, width, features = HEAD.settings["hidden"], len(shared["start"]), len(shared["bias"])
    random = torch.Generator().manual_seed(seed)
    gates = torch.zeros(4 * hidden)
    gates[hidden : 2 * hidden] = 1.0  # remember at first (Jozefowicz et al. 2015, section 4.1)
    seen = torch.randn(width + features + 2, 4 * hidden, generator=random)
    seen[:width] /= 4  # places have unit length
    seen[width:] /= 40  # logarithms of sales and days go up to some 10
    return {
        "seen": seen,
        "held": torch.randn(hidden, 4 * hidden, generator=random) / hidden**0.5,
        "gates": gates,
        "write": torch.zeros(hidden, width + features + 2),
    }


LSTM = make_network("lstm", adapt, _initial, ("seen", "held", "write"))
