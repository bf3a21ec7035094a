r"""Attention over the support: the items of a support speak for the user, some more than others.

Each head weighs the items of a support by a softmax of :math:`\log w_j + φ_j c + z_j q`: their weight (event type and
age), what is known of them (φ: nearness to the support's own mean, logarithm of age, sales) and their text places. The
user is the sum of the heads' unit means; the heads' weights, mixed, take the place of the support's in the sum of item-kNN
similarities. As scores are inner products, the item that is scored cannot itself ask (compare Zhou et al. 2018): several
heads let different tastes stand beside each other instead.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recpipe.models.arrays import Array, Arrays, Entries, normal_numbers
from recpipe.models.heads.headed import Headed
from recpipe.models.representation import Numbers, scale_of

HEADS = 2


class Attention(Headed):
    """A user as a few weighted means of the support."""

    MATRICES: ClassVar[tuple[str, ...]] = (*Headed.MATRICES, "queries")

    @classmethod
    def own_settings(cls, head: str) -> Mapping[str, Any]:
        """Return the number of heads."""
        return {"heads": HEADS}

    @classmethod
    def own_start(cls, head: str, width: int, features: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return heads that ask for different things, and weigh alike."""
        temperature = np.array([[1.0 - np.log(HEADS), 0.0]] * HEADS, np.float32)
        return {
            "contexts": np.zeros((HEADS, 2 + features), np.float32),
            "queries": np.float32(0.5) * normal_numbers(seed)(HEADS, width),  # not alike, or the heads would stay alike
            "mix": np.zeros(HEADS, np.float32),
            "temperature": temperature,
        }

    @staticmethod
    def adapted(
        numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Attend over each support."""
        features, text = numbers["trend"].shape[1], numbers["own"].shape[1]
        z, rows = x[:, :-features], x[entries.item]
        mean = xp.unit(xp.mixed(z, entries.weight, entries))
        near = xp.einsum("ed,ed->e", rows[:, :-features], mean[entries.owner])
        seen = xp.concat([near[:, None], xp.log1p(entries.age)[:, None], rows[:, -features:]])
        users, mixed = xp.zeros(len(entries), z.shape[1], x), 0 * entries.weight
        mix = xp.exp(numbers["mix"]) / xp.exp(numbers["mix"]).sum()
        for head in range(settings["heads"]):
            asked = xp.einsum("ef,f->e", seen, numbers["contexts"][head])
            asked = asked + xp.einsum("ed,d->e", rows[:, :text], numbers["queries"][head])
            weight = softmax(xp.log(entries.weight) + asked, entries, xp)
            mixed = mixed + mix[head] * weight
            scale = xp.cast(scale_of(numbers["temperature"][head], entries.size, xp), x)
            users = users + scale[:, None] * xp.unit(xp.mixed(z, weight, entries))
        return users, xp.zeros(len(entries), features, x), mixed


def softmax(logits: Array, entries: Entries, xp: Arrays) -> Array:
    """Return the softmax within each user's entries."""
    mass = xp.exp(logits - xp.greatest(logits, entries)[entries.owner])
    return xp.cast(mass / xp.sums(xp.double(mass), entries)[entries.owner], logits)
