"""Promises of fine-tuning: what is taught, what comes out, and that it is the same every time."""

import json
import re

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from recpipe.errors import BadSetting, TrainingFailed
from recpipe.text.encoder import EncodingModel, load_encoder
from recpipe.text.loaders import TextModel, open_model
from recpipe.training.encoder.finetune import finetune
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.methods import METHODS, Sizes, prepare, save_encoder, taught

SIZES = Sizes(top_layers=1, rank=2, adapter_size=4, prefix_tokens=3)
QUICK = Config(
    steps=20,
    temperature=0.05,
    batch_users=16,
    windows=3,
    learning_rate=0.0,
    rank=2,
    adapter_size=4,
    prefix_tokens=3,
    top_layers=1,
)

TAUGHT = {
    "full": r"(embeddings|encoder)\..*",
    "top_layers": r"encoder\.layer\.1\..*",
    "lora": r"base_model\.model\.encoder\.layer\.\d\..*lora_[AB]\.default\.weight",
    "adalora": r"base_model\.model\.encoder\.layer\.\d\..*lora_[ABE]\.default",
    "prefix": r"prompt_encoder\.default\.embedding\.weight",
    "adapter": r"encoder\.layer\.\d\.(attention\.output|output)\.dense\.(down|up)\.(weight|bias)",
}
COUNTS = {
    "top_layers": 4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32,  # attention, feed-forward, two norms
    "lora": 2 * 2 * (4 * (32 + 32) + 2 * (32 + 64)),  # layers × rank × (in + out) of six linear layers
    "adalora": 2 * 3 * (4 * (32 + 32 + 1) + 2 * (32 + 64 + 1)),  # starts with one and a half the rank
    "prefix": 3 * 2 * 2 * 32,  # tokens × layers × key and value × dimensions
    "adapter": 2 * 2 * (2 * 32 * 4 + 4 + 32),
}


def tiny(folder) -> TextModel:
    torch.manual_seed(0)
    return open_model(folder)


def shake(network) -> None:
    """Move every taught parameter, as training would."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in taught(network).values():
            parameter.add_(0.3 * torch.randn_like(parameter))


@pytest.mark.parametrize("method", METHODS)
def test_a_method_teaches_the_parameters_it_names_and_no_others(tiny_encoder, method):
    network = prepare(tiny(tiny_encoder).network, method, SIZES, steps=20)
    names = taught(network)
    assert names
    assert all(re.fullmatch(TAUGHT[method], name) for name in names)
    if method == "full":  # all but the pooler, which nothing reads
        assert set(names) == {name for name, _ in network.named_parameters() if not name.startswith("pooler.")}
    else:
        assert sum(parameter.numel() for parameter in names.values()) == COUNTS[method]


@pytest.mark.parametrize("method", METHODS)
def test_what_is_saved_gives_the_vectors_that_the_network_gave(tiny_encoder, tmp_path, texts, method):
    model = tiny(tiny_encoder)
    network = prepare(model.network, method, SIZES, steps=20)
    shake(network)
    reserved = SIZES.prefix_tokens if method == "prefix" else 0
    before = EncodingModel(TextModel(model.tokenizer, network.eval(), reserved)).vectors(texts)
    save_encoder(network, method, SIZES, tiny_encoder, tmp_path)
    encoder = load_encoder(str(tmp_path))
    np.testing.assert_allclose(encoder.encode(texts), before, atol=1e-5)
    frozen = load_encoder(str(tiny_encoder))
    assert np.abs(encoder.encode(texts) - frozen.encode(texts)).max() > 1e-3
    assert encoder.fingerprint != frozen.fingerprint


@pytest.mark.parametrize("method", ["adapter", "lora"])
def test_adapters_and_lora_start_as_the_identity(tiny_encoder, texts, method):
    model = tiny(tiny_encoder)
    frozen = EncodingModel(model).vectors(texts)
    network = prepare(model.network, method, SIZES, steps=20)
    np.testing.assert_allclose(EncodingModel(TextModel(model.tokenizer, network.eval())).vectors(texts), frozen, atol=1e-6)


def test_a_prefix_starts_small(tiny_encoder, texts):
    model = tiny(tiny_encoder)
    network = prepare(model.network, "prefix", SIZES, steps=20)
    (prefix,) = taught(network).values()
    assert prefix.std().item() == pytest.approx(0.02, rel=0.2)
    assert len({tuple(row) for row in prefix.tolist()}) == SIZES.prefix_tokens  # equal rows would learn alike for ever


def test_the_fingerprint_covers_what_stands_beside_the_weights(tiny_encoder, tmp_path):
    network = prepare(tiny(tiny_encoder).network, "adapter", SIZES, steps=20)
    save_encoder(network, "adapter", SIZES, tiny_encoder, tmp_path / "a")
    again = prepare(tiny(tiny_encoder).network, "adapter", SIZES, steps=20)
    shake(again)
    save_encoder(again, "adapter", SIZES, tiny_encoder, tmp_path / "b")
    assert (tmp_path / "a/model.safetensors").read_bytes() == (tmp_path / "b/model.safetensors").read_bytes()
    assert load_encoder(str(tmp_path / "a")).fingerprint != load_encoder(str(tmp_path / "b")).fingerprint
    recipe = tmp_path / "b/recpipe_encoder.json"
    known = load_encoder(str(tmp_path / "b")).fingerprint
    recipe.write_text(json.dumps({**json.loads(recipe.read_text()), "size": 5}))
    assert load_encoder(str(tmp_path / "b")).fingerprint != known


def test_an_unknown_kind_and_a_strange_parameter_are_refused(tiny_encoder, tmp_path):
    network = prepare(tiny(tiny_encoder).network, "adapter", SIZES, steps=20)
    save_encoder(network, "adapter", SIZES, tiny_encoder, tmp_path)
    (tmp_path / "recpipe_encoder.json").write_text('{"kind": "prefix", "tokens": 3}')
    with pytest.raises(BadSetting, match="no place for"):
        load_encoder(str(tmp_path)).encode(["red mug"])
    (tmp_path / "recpipe_encoder.json").write_text('{"kind": "graft"}')
    with pytest.raises(BadSetting, match="'graft'"):
        load_encoder(str(tmp_path)).encode(["red mug"])


@pytest.mark.parametrize("method", METHODS)
def test_the_loss_falls_and_prototypes_get_better(tiny_encoder, shop, tmp_path, method):
    rate = {"full": 1e-3, "top_layers": 2e-3, "lora": 2e-2, "adalora": 5e-2, "prefix": 5e-2, "adapter": 1e-2}[method]
    config = Config(**{**vars(QUICK), "method": method, "learning_rate": rate, "steps": 30, "dropout": 0.0})
    summary = finetune(shop, str(tiny_encoder), tmp_path, config)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0] - 0.05
    assert summary["after"]["ndcg"] > summary["before"]["ndcg"]
    assert summary["fingerprint"] == load_encoder(str(tmp_path)).fingerprint
    assert not (tmp_path / "checkpoint.safetensors").exists()


def test_pairs_are_learned_too(tiny_encoder, shop, tmp_path):
    config = Config(**{**vars(QUICK), "objective": "pairs", "method": "full", "learning_rate": 2e-3, "steps": 40, "dropout": 0.0})
    finetune(shop, str(tiny_encoder), tmp_path, config)
    losses = [json.loads(line)["loss"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < losses[0]


def test_everything_that_stretches_data_at_once_gives_the_same_bytes_twice(tiny_encoder, shop, tmp_path):
    (tmp_path / "synonyms.json").write_text('[["mug", "lamp"], ["red", "pink"]]')
    config = Config(
        **{**vars(QUICK), "word_dropout": 0.2, "synonyms": str(tmp_path / "synonyms.json"), "views": 0.1, "adversarial": 0.5,
           "average": 0.9, "hard_negatives": 1, "steps": 6}
    )  # fmt: skip
    for name in "ab":
        finetune(shop, str(tiny_encoder), tmp_path / name, config)
    for name in ("model.safetensors", "summary.json", "metrics.jsonl"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    other = finetune(shop, str(tiny_encoder), tmp_path / "c", Config(**{**vars(config), "seed": 1}))
    assert other["fingerprint"] != load_encoder(str(tmp_path / "a")).fingerprint


KILLED = {
    **{method: {"method": method} for method in METHODS},
    "average": {"average": 0.9},
    "adafactor": {"optimiser": "adafactor", "method": "full"},
    "looks": {"patience": 9, "method": "adalora", "window_days": 20},
    "maml": {"objective": "maml", "batch_users": 4, "inner_steps": 1},
    "bfloat16": {"precision": "bfloat16", "gradient_checkpointing": True},
}


@pytest.mark.parametrize("way", KILLED)
def test_a_killed_run_goes_on_to_the_same_bytes(tiny_encoder, shop, tmp_path, monkeypatch, way):
    config = Config(**{**vars(QUICK), "steps": 12, "evaluate_every": 5, **KILLED[way]})
    finetune(shop, str(tiny_encoder), tmp_path / "whole", config)
    from recpipe.training.encoder.pair_batches import draw_batch
    from recpipe.training.encoder.updates import gradients as run

    drawn = []

    def dies(*arguments):
        drawn.append(1)
        if len(drawn) == 8:
            raise KeyboardInterrupt
        return draw(*arguments)

    draw = draw_batch
    monkeypatch.setattr(run, "draw_batch", dies)
    with pytest.raises(KeyboardInterrupt):
        finetune(shop, str(tiny_encoder), tmp_path / "killed", config)
    finetune(shop, str(tiny_encoder), tmp_path / "killed", config)
    assert len(drawn) == 8 + 7  # 5 of 12 steps were not done again
    for name in ("model.safetensors", "metrics.jsonl"):
        assert (tmp_path / "killed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_only_safetensors_and_json_are_written(tiny_encoder, shop, tmp_path):
    finetune(shop, str(tiny_encoder), tmp_path, Config(**{**vars(QUICK), "method": "prefix", "steps": 2}))
    allowed = {".safetensors", ".json", ".jsonl", ".txt"}
    assert {file.suffix for file in tmp_path.iterdir() if file.is_file()} <= allowed
    assert [file.name.split(".")[0] for file in (tmp_path / "events").iterdir()] == ["events"]
    assert set(load_file(tmp_path / "beside.safetensors")) == {"prompt_encoder.default.embedding.weight"}


def test_wrong_names_and_too_little_history_are_sentences(tiny_encoder, shop, tmp_path):
    with pytest.raises(BadSetting, match="no method 'ia3'"):
        finetune(shop, str(tiny_encoder), tmp_path, Config(**{**vars(QUICK), "method": "ia3"}))
    with pytest.raises(BadSetting, match="no objective"):
        finetune(shop, str(tiny_encoder), tmp_path, Config(**{**vars(QUICK), "objective": "triplet"}))
    with pytest.raises(TrainingFailed, match="--window-days"):
        finetune(shop, str(tiny_encoder), tmp_path, Config(**{**vars(QUICK), "window_days": 200}))
