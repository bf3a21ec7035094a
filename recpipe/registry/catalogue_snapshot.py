"""The catalogue of a day as a learner places it, so that a registered model can rank without the lake."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from recpipe.dataset.history import Evidence
from recpipe.evidence.item_features import Pairs
from recpipe.models.base import Learner

PAIRS = "pairs."
"""Begins the names of arrays that a learner needs beside vectors and bias; the model's code reads them back."""


def write_snapshot(learner: Learner, evidence: Evidence, folder: Path) -> Path:
    """Write items.json and space.safetensors (vectors dense or as CSR, bias, available) and return the folder."""
    from safetensors.numpy import save_file

    folder.mkdir(parents=True, exist_ok=True)
    ids = evidence.catalogue.item_ids.tolist()
    (folder / "items.json").write_text(json.dumps(ids), encoding="utf-8")
    space = learner.items(evidence)
    arrays: dict[str, NDArray[Any]] = {
        "bias": np.ascontiguousarray(space.bias),
        "available": evidence.catalogue.available.astype(np.uint8),
    }
    if sp.issparse(space.vectors):
        sparse = sp.csr_matrix(space.vectors)
        arrays |= {"data": sparse.data, "indices": sparse.indices.astype(np.int32), "indptr": sparse.indptr.astype(np.int64)}
        arrays["shape"] = np.array(sparse.shape, np.int64)
    else:
        arrays["dense"] = np.ascontiguousarray(space.vectors)
    if isinstance(space.beside, Pairs):
        arrays |= {PAIRS + name: np.ascontiguousarray(value) for name, value in vars(space.beside).items()}
    save_file(arrays, folder / "space.safetensors")
    return folder
