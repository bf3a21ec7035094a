"""A user–item model with memory: an LSTM reads the support in order, and moves the user away from the prototype.

After Vartak et al. (2017), who let the user's history make the classifier of items, and Hidasi et al. (2016), who read it
with a recurrent net: here the net (Hochreiter and Schmidhuber 1997) writes a correction on the text places, the features,
and the strengths of the prototype and of the similarities, so that an untaught one is the prototypical learner.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from recpipe.models.arrays import Array, Arrays, Entries, normal_numbers
from recpipe.models.heads.headed import Headed
from recpipe.models.representation import Numbers, scale_of

HIDDEN, READ = 48, 20


class LSTM(Headed):
    """A prototype that a recurrent net corrects."""

    MATRICES: ClassVar[tuple[str, ...]] = (*Headed.MATRICES, "seen", "held", "write")

    @classmethod
    def own_settings(cls, head: str) -> Mapping[str, Any]:
        """Return the width of the net, and how many of the newest entries it reads."""
        return {"hidden": HIDDEN, "read": READ}

    @classmethod
    def own_start(cls, head: str, width: int, features: int, seed: int) -> dict[str, NDArray[np.float32]]:
        """Return a net that remembers, and writes nothing yet."""
        drawn = normal_numbers(seed)
        gates = np.zeros(4 * HIDDEN, np.float32)
        gates[HIDDEN : 2 * HIDDEN] = 1.0  # remember at first (Jozefowicz et al. 2015, section 4.1)
        seen = drawn(width + features + 2, 4 * HIDDEN)
        seen[:width] /= 4  # places have unit length
        seen[width:] /= 40  # logarithms of sales and days go up to some 10
        return {
            "seen": seen,
            "held": drawn(HIDDEN, 4 * HIDDEN) / np.float32(HIDDEN**0.5),
            "gates": gates,
            "write": np.zeros((HIDDEN, width + features + 2), np.float32),
        }

    @staticmethod
    def adapted(
        numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays
    ) -> tuple[Array, Array, Array]:
        """Read each support, oldest item first."""
        features, text = numbers["trend"].shape[1], numbers["own"].shape[1]
        out = read(numbers, settings, x, entries, xp) @ numbers["write"]
        mean = xp.unit(xp.mixed(x[:, :-features], entries.weight, entries))
        scale = xp.cast(scale_of(numbers["temperature"], entries.size, xp), x) * xp.exp(xp.tanh(out[:, -2]))
        placed = scale[:, None] * mean
        placed = xp.concat([placed[:, :text] + out[:, :text], placed[:, text:]])
        return placed, out[:, text : text + features], entries.weight * xp.exp(xp.tanh(out[:, -1]))[entries.owner]


def read(numbers: Numbers, settings: Mapping[str, Any], x: Array, entries: Entries, xp: Arrays) -> Array:
    """Return (users, hidden): the net's state after the newest ``read`` entries of each support."""
    features, text = numbers["trend"].shape[1], numbers["own"].shape[1]
    known = np.minimum(entries.k, settings["read"])
    first = entries.indptr[1:] - known
    memory = state = xp.zeros(len(entries), settings["hidden"], x)
    for step in range(int(known.max(initial=0))):
        entry = xp.here(np.where(known > step, first + step, 0), x)
        reads = xp.here(known > step, x)[:, None]
        rows = x[entries.item[entry]]
        age, weight = xp.log1p(entries.age[entry]), xp.log(entries.weight[entry])
        seen = xp.concat([rows[:, :text], rows[:, -features:], age[:, None], weight[:, None]])
        gates = seen @ numbers["seen"] + state @ numbers["held"] + numbers["gates"]
        new_memory, new_state = _cell(gates, memory, xp)
        memory, state = xp.where(reads, new_memory, memory), xp.where(reads, new_state, state)
    return state


def _cell(gates: Array, memory: Array, xp: Arrays) -> tuple[Array, Array]:
    """Return memory and output, (users, hidden) each, after gates for input, forgetting, new content and output."""
    width = memory.shape[1]
    into, keep, new, out = (gates[:, part * width : (part + 1) * width] for part in range(4))
    memory = xp.sigmoid(keep) * memory + xp.sigmoid(into) * xp.tanh(new)
    return memory, xp.sigmoid(out) * xp.tanh(memory)
