r"""Attention over the support: the items of a support speak for the user, some more than others.

Each head weighs the items of a support by a softmax of :math:`\log w_j + φ_j c + z_j q`: their weight (event type and
age), what is known of them (φ: nearness to the support's own mean, logarithm of age, sales) and their text places. The
user is the sum of the heads' unit means; the heads' weights, mixed, take the place of the support's in the sum of item-kNN
similarities. As scores are inner products, the item that is scored cannot itself ask (compare Zhou et al. 2018): several
heads let different tastes stand beside each other instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recpipe.dataset.support import Support
from recpipe.models.base import unit_rows
from recpipe.models.numpy_forms import body
from recpipe.models.numpy_forms.body import Numbers
from recpipe.models.numpy_forms.heads.head import Head, weighted_mean

SETTINGS: Mapping[str, Any] = {**body.SETTINGS, "heads": 2}


def adapt(
    numbers: Numbers, settings: Mapping[str, Any], items: NDArray[np.float32], supports: Support
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Attend over each support; see `recpipe.models.numpy_forms.heads.head.Head`."""
    features = numbers["trend"].shape[1]
    places, text = items.shape[1] - features, numbers["own"].shape[1]
    size = np.log1p(supports.k)
    owner = np.repeat(np.arange(len(supports)), supports.k)
    rows = items[supports.item]
    mean = unit_rows(weighted_mean(items[:, :places], supports, supports.weight))
    near = np.einsum("ed,ed->e", rows[:, :places], mean[owner])
    seen = np.column_stack([near, np.log1p(supports.age_days), rows[:, places:]]).astype(np.float32)
    full = np.zeros((len(supports), items.shape[1]), np.float32)
    mixed = np.zeros(len(owner), np.float32)
    mix = np.exp(numbers["mix"]) / np.exp(numbers["mix"]).sum()
    for head in range(settings["heads"]):
        asked = np.einsum("ef,f->e", seen, numbers["contexts"][head])
        asked += np.einsum("ed,d->e", rows[:, :text], numbers["queries"][head])
        weight = _softmax(np.log(supports.weight) + asked, owner, len(supports))
        mixed += mix[head] * weight
        scale = body.scale_of(numbers["temperature"][head], size)
        full[:, :places] += scale[:, None] * unit_rows(weighted_mean(items[:, :places], supports, weight))
    return full, mixed


def _softmax(logits: NDArray[np.float32], owner: NDArray[np.intp], users: int) -> NDArray[np.float32]:
    """Return the softmax within each user's entries."""
    top = np.full(users, -np.inf, np.float32)
    np.maximum.at(top, owner, logits)
    mass = np.exp(logits - top[owner], dtype=np.float32)
    whole = np.bincount(owner, mass, minlength=users)
    return np.asarray(mass / whole[owner], dtype=np.float32)


ATTENTION = Head(SETTINGS, ("contexts", "queries", "mix"), adapt)
