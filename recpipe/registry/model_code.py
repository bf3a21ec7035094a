"""The registered model, as code: MLflow runs this file when it loads a version.

Input rows hold ``item_ids``, what a user has met, oldest first; output rows hold the ``item_ids`` to show, best first,
and their ``scores``. It ranks the catalogue as it was when the version was registered and needs no lake and no network.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import scipy.sparse as sp
from safetensors.numpy import load_file

from recpipe.dataset.support import Support
from recpipe.evidence.item_features import Pairs
from recpipe.metrics.ranking import PAD, top_k
from recpipe.models.base import ItemSpace, score_users
from recpipe.models.io import load


def read_space(folder: Path) -> tuple[list[str], np.ndarray, ItemSpace]:
    """Return item ids, which of them are available, and the item space of a snapshot."""
    ids = json.loads((folder / "items.json").read_text(encoding="utf-8"))
    arrays = load_file(folder / "space.safetensors")
    if "dense" in arrays:
        vectors: Any = arrays["dense"]
    else:
        parts = (arrays["data"], arrays["indices"], arrays["indptr"])
        rows, columns = (int(n) for n in arrays["shape"])
        vectors = sp.csr_matrix(parts, shape=(rows, columns))
    pairs = {name.removeprefix("pairs."): value for name, value in arrays.items() if name.startswith("pairs.")}
    beside = Pairs(**pairs) if pairs else None
    return ids, arrays["available"].astype(bool), ItemSpace(vectors, arrays["bias"], beside)


def support_of(met: list[list[int]]) -> Support:
    """Return supports of equal weight from the item codes that each user has met."""
    item = np.array([code for codes in met for code in codes], np.int32)
    ones = np.ones(len(item), np.float32)
    indptr = np.concatenate([[0], np.cumsum([len(codes) for codes in met])]).astype(np.int64)
    return Support(indptr, item, ones, ones, np.zeros(len(item), np.float32))


class RankItems(mlflow.pyfunc.PythonModel):  # type: ignore[misc, name-defined]  # mlflow fills in its modules lazily
    """Ranks the catalogue for users who are described by what they have met."""

    def load_context(self, context: Any) -> None:
        """Read the learner and the item space."""
        self.learner = load(Path(context.artifacts["model"]))
        self.ids, self.available, self.space = read_space(Path(context.artifacts["catalogue"]))
        self.code = {item_id: code for code, item_id in enumerate(self.ids)}

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Return a frame (item_ids, scores), one row an input row; ids outside the catalogue are passed over."""
        k = int((params or {}).get("k", 10))
        # distinct, in the order they came
        met = [list(dict.fromkeys(self.code[i] for i in ids if i in self.code)) for ids in model_input["item_ids"]]
        scores = score_users(self.learner, self.space, support_of(met))
        barred = np.repeat(~self.available[None, :], len(met), axis=0)
        for row, codes in zip(barred, met, strict=True):
            row[codes] = True
        rows = [self._named(row, best[best != PAD]) for row, best in zip(scores, top_k(scores, barred, k), strict=True)]
        return pd.DataFrame(rows, columns=["item_ids", "scores"])

    def _named(self, row: np.ndarray, best: np.ndarray) -> tuple[list[str], list[float]]:
        return [self.ids[code] for code in best], [float(row[code]) for code in best]


mlflow.models.set_model(RankItems())
