"""A user–item model with memory: an LSTM reads the support in order, and moves the user away from the prototype.

After Vartak et al. (2017), who let the user's history make the classifier of items, and Hidasi et al. (2016), who read it
with a recurrent net: here the net (Hochreiter and Schmidhuber 1997) writes a correction on the text places, the features,
and the strengths of the prototype and of the similarities, so that an untaught one is the prototypical learner.
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

SETTINGS: Mapping[str, Any] = {**body.SETTINGS, "hidden": 48, "read": 20}


def adapt(
    numbers: Numbers, settings: Mapping[str, Any], items: NDArray[np.float32], supports: Support
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Read each support, oldest item first; see `recpipe.models.numpy_forms.heads.head.Head`."""
    features, text = numbers["trend"].shape[1], numbers["own"].shape[1]
    places = items.shape[1] - features
    size = np.log1p(supports.k)
    out = read(numbers, settings, items, supports) @ numbers["write"]
    mean = weighted_mean(items[:, :places], supports, supports.weight)
    full = np.zeros((len(supports), items.shape[1]), np.float32)
    scale = body.scale_of(numbers["temperature"], size) * np.exp(np.tanh(out[:, -2]))
    full[:, :places] = scale[:, None] * unit_rows(mean)
    full[:, :text] += out[:, :text]
    full[:, places:] = out[:, text : text + features]
    return full, supports.weight * np.repeat(np.exp(np.tanh(out[:, -1])), supports.k)


def read(numbers: Numbers, settings: Mapping[str, Any], items: NDArray[np.float32], supports: Support) -> NDArray[np.float32]:
    """Return (users, hidden): the net's state after the newest ``read`` entries of each support."""
    text = numbers["own"].shape[1]
    features = numbers["trend"].shape[1]
    known = np.minimum(supports.k, settings["read"])
    first = supports.indptr[1:] - known
    state = np.zeros((2, len(supports), settings["hidden"]), np.float32)
    for step in range(int(known.max(initial=0))):
        reads = known > step
        entry = np.where(reads, first + step, 0)
        rows = items[supports.item[entry]]
        age, weight = np.log1p(supports.age_days[entry]), np.log(supports.weight[entry])
        seen = np.hstack([rows[:, :text], rows[:, -features:], age[:, None], weight[:, None]]).astype(np.float32)
        gates = seen @ numbers["seen"] + state[1] @ numbers["held"] + numbers["gates"]
        state = np.where(reads[None, :, None], _cell(gates, state[0]), state)
    return np.asarray(state[1], dtype=np.float32)


def _cell(gates: NDArray[np.float32], memory: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (2, users, hidden): memory and output after gates for input, forgetting, new content and output."""
    into, keep, new, out = np.split(gates, 4, axis=1)
    memory = _sigmoid(keep) * memory + _sigmoid(into) * np.tanh(new)
    return np.stack([memory, _sigmoid(out) * np.tanh(memory)])


def _sigmoid(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(0.5 * (1 + np.tanh(0.5 * values)), dtype=np.float32)


LSTM = Head(SETTINGS, ("seen", "held", "gates", "write"), adapt)
