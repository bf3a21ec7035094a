"""Promises of small encoders."""

import importlib.util

import numpy as np
import pytest
import torch

from recpipe.errors import BadSetting
from recpipe.text.encoder import load_encoder
from recpipe.text.loaders import open_model
from recpipe.training.encoder.compress.distil import Student, distill, nearness, small_network
from recpipe.training.encoder.compress.int8_export import export_int8, to_bytes
from recpipe.training.encoder.compress.prune import prune
from recpipe.training.encoder.methods import Sizes, prepare, save_encoder, taught

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="OpenVINO is not installed (pip install 'recpipe[export]')"
)


@pytest.fixture(scope="module")
def steep_encoder(tiny_encoder, tmp_path_factory):
    """The tiny encoder with layers that matter: of random ones near zero each could be left out unseen."""
    network = open_model(tiny_encoder).network
    with torch.no_grad():
        for part in network.encoder.modules():
            if isinstance(part, torch.nn.Linear):
                part.weight.mul_(15)
    folder = tmp_path_factory.mktemp("steep")
    save_encoder(network, "full", Sizes(), tiny_encoder, folder)
    return folder


def test_a_student_of_fewer_layers_comes_near_its_teacher(steep_encoder, texts, tmp_path):
    many = [*texts, *(f"{text} {other}" for text in texts for other in ("red", "lamp"))]
    teacher = load_encoder(str(steep_encoder))
    untaught = small_network(open_model(steep_encoder).network, Student(layers=1))
    save_encoder(untaught, "full", Sizes(), steep_encoder, tmp_path / "cut")
    (tmp_path / "cut/config.json").write_text(untaught.config.to_json_string())
    before = nearness(load_encoder(str(tmp_path / "cut")).encode(texts), teacher.encode(texts))
    facts = distill(str(steep_encoder), many, tmp_path / "s", Student(layers=1, steps=60, learning_rate=3e-3))
    student = load_encoder(str(tmp_path / "s"))
    assert facts["held_back"] > before + 0.05
    assert nearness(student.encode(texts), teacher.encode(texts)) > before + 0.05
    assert student.fingerprint != teacher.fingerprint
    again = distill(str(steep_encoder), many, tmp_path / "t", Student(layers=1, steps=60, learning_rate=3e-3))
    assert again == facts
    assert (tmp_path / "s/model.safetensors").read_bytes() == (tmp_path / "t/model.safetensors").read_bytes()


def test_a_narrow_student_meets_the_likenesses_of_an_ensemble(tiny_encoder, texts, tmp_path):
    one = load_encoder(str(tiny_encoder)).encode(texts)
    kinds = np.eye(5, dtype=np.float32)[np.repeat(np.arange(5), 7)]
    ensemble = np.hstack([0.5**0.5 * one, 0.5**0.5 * kinds])
    facts = distill(str(tiny_encoder), texts, tmp_path, Student(layers=2, width=16, steps=80, learning_rate=5e-3), ensemble)
    student = load_encoder(str(tmp_path))
    assert student.dimensions == 16
    assert nearness(student.encode(texts), ensemble) > 0.8
    assert facts["layers"] == 2


def test_the_layers_that_stay_are_spread_and_hold_the_last(tiny_encoder):
    network = open_model(tiny_encoder).network
    last = network.encoder.layer[1].output.dense.weight.clone()
    cut = small_network(network, Student(layers=1))
    assert len(cut.encoder.layer) == 1
    assert torch.equal(cut.encoder.layer[0].output.dense.weight, last)


def test_distillation_says_what_it_lacks(tiny_encoder, texts, tmp_path):
    with pytest.raises(BadSetting, match="at least 20"):
        distill(str(tiny_encoder), texts[:5], tmp_path)
    with pytest.raises(BadSetting, match="3 layers cannot be cut from a network of 2"):
        distill(str(tiny_encoder), texts, tmp_path, Student(layers=3))


def test_pruning_takes_the_smallest_weights_of_each_layer(tiny_encoder, texts, tmp_path):
    facts = prune(str(tiny_encoder), tmp_path, 0.25)
    assert facts["zeros"] == pytest.approx(0.25 * facts["weights"], abs=1)
    whole = open_model(tiny_encoder).network.encoder.layer[0].output.dense.weight
    pruned = open_model(tmp_path).network.encoder.layer[0].output.dense.weight
    gone = pruned == 0
    assert int(gone.sum()) == whole.numel() // 4
    assert whole[gone].abs().max() <= whole[~gone].abs().min()
    assert torch.equal(pruned[~gone], whole[~gone])
    frozen = load_encoder(str(tiny_encoder)).encode(texts)
    assert nearness(load_encoder(str(tmp_path)).encode(texts), frozen) > 0.9
    with pytest.raises(BadSetting, match="from 0 to below 1"):
        prune(str(tiny_encoder), tmp_path, 1.0)


def test_rows_of_bytes_by_hand():
    whole, scale = to_bytes(np.array([[1.27, -0.5, 0.004], [0.0, 0.0, 0.0]], np.float32))
    assert whole.tolist() == [[127, -50, 0], [0, 0, 0]]
    np.testing.assert_allclose(scale[0], 0.01, rtol=1e-6)


@pytest.mark.skipif(importlib.util.find_spec("openvino") is not None, reason="OpenVINO is installed")
def test_without_openvino_a_sentence_says_what_to_install(tiny_encoder, tmp_path):
    with pytest.raises(BadSetting, match=r"recpipe\[export\]"):
        export_int8(str(tiny_encoder), tmp_path)


@needs_openvino
@pytest.mark.parametrize("method", ["full", "adapter"])
def test_int8_gives_nearly_the_same_vectors_whatever_stands_beside(tiny_encoder, texts, tmp_path, method):
    network = prepare(open_model(tiny_encoder).network, method, Sizes(adapter_size=4, prefix_tokens=3), steps=20)
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in taught(network).values():
            parameter.add_(0.02 * torch.randn_like(parameter))
    save_encoder(network, method, Sizes(adapter_size=4, prefix_tokens=3), tiny_encoder, tmp_path / "whole")
    facts = export_int8(str(tmp_path / "whole"), tmp_path / "int8")
    assert facts["bytes_after"] < 0.5 * facts["bytes_before"]
    whole, small = load_encoder(str(tmp_path / "whole")), load_encoder(str(tmp_path / "int8"))
    assert small.fingerprint != whole.fingerprint
    mixed = [*texts, "", "a much longer title of a red mug and a blue lamp " * 3]
    found = small.encode(mixed)
    assert (found * whole.encode(mixed)).sum(1).min() > 0.999
    for row in (0, len(mixed) - 1):
        np.testing.assert_allclose(small.encode([mixed[row]])[0], found[row], atol=1e-6)
    with pytest.raises(BadSetting, match="int8 already"):
        export_int8(str(tmp_path / "int8"), tmp_path / "again")


@needs_openvino
def test_a_prefix_is_refused(tiny_encoder, tmp_path):
    network = prepare(open_model(tiny_encoder).network, "prefix", Sizes(prefix_tokens=3), steps=20)
    save_encoder(network, "prefix", Sizes(prefix_tokens=3), tiny_encoder, tmp_path / "whole")
    with pytest.raises(BadSetting, match="holds a prefix"):
        export_int8(str(tmp_path / "whole"), tmp_path / "int8")
