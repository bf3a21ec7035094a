"""A tiny encoder of random weights, and a small shop whose texts say what its users like."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recpipe.dataset.catalogue import Catalogue
from recpipe.dataset.history import Evidence, History

KINDS = ("mug", "lamp", "garden", "toy", "paper")
COLOURS = ("red", "blue", "green", "white", "black", "pink", "silver")
UNTIL = np.datetime64("2011-08-22T00:00:00", "us")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory) -> Path:
    """BERT of 2 layers and 32 dimensions over some words and letters."""
    import torch
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)]
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *KINDS, *COLOURS, *letters, *(f"##{letter}" for letter in letters)]
    (folder / "vocab.txt").write_text("\n".join(words))
    BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        max_position_embeddings=64,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Titles of 35 items: every colour of every kind."""
    return [f"{colour} {kind}" for kind in KINDS for colour in COLOURS]


@pytest.fixture(scope="session")
def shop(tmp_path_factory, texts) -> Path:
    """Training input of a shop whose users like one kind each; the vectors in it are of nobody's encoder."""
    from recpipe.dataset.folder import write_episodes_folder

    random = np.random.default_rng(0)
    rows = []
    for user in range(80):
        for item in random.permutation(7)[:5]:
            age = int(random.integers(1, 100 * 86_400))
            rows.append((user, UNTIL - np.timedelta64(age, "s"), 7 * (user % 5) + int(item)))
    rows.sort()
    user, ts, item = (np.array(column) for column in zip(*rows, strict=True))
    ts, item = ts.astype("datetime64[us]"), item.astype(np.int32)
    catalogue = Catalogue(
        item_ids=np.array([f"i{n:02d}" for n in range(35)], dtype=object),
        texts=texts,
        vectors=np.zeros((35, 32), np.float32),
        first_day=np.full(35, np.datetime64("2011-01-01")),
        available=np.ones(35, bool),
        price=np.ones(35, np.float32),
        categories=[()] * 35,
    )
    ids = np.array([f"u{n:02d}" for n in range(80)], dtype=object)
    history = History(ids, user.astype(np.int32), item, ts, np.ones(len(rows), np.float32))
    order = np.argsort(ts, kind="stable")
    evidence = Evidence(catalogue, history, item[order], ts[order], UNTIL)
    folder = tmp_path_factory.mktemp("shop")
    write_episodes_folder(folder, evidence, {"fitted_until": "2011-08-21", "seed": 0, "encoder": "none"})
    return folder
