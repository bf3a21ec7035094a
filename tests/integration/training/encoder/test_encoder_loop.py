"""Promises of the loop of fine-tuning: precision, memory, accumulation, looks, optimisers, and what it counts."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from recpipe.errors import BadSetting, TrainingFailed
from recpipe.text.encoder import load_encoder
from recpipe.training.encoder.devices.pace import Pace, Shape, share_of_peak, work
from recpipe.training.encoder.devices.place import find_place
from recpipe.training.encoder.finetune import finetune
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.optimisation import optimisers

QUICK = Config(steps=12, temperature=0.1, batch_users=12, windows=3, rank=2, dropout=0.0, method="lora", learning_rate=1e-2)


def vectors(folder, texts):
    return load_encoder(str(folder)).encode(texts)


def apart(one, other):
    return float(np.abs(one - other).max())


def test_checkpointing_changes_memory_and_not_what_is_learned(tiny_encoder, shop, tmp_path, texts):
    finetune(shop, str(tiny_encoder), tmp_path / "plain", QUICK)
    finetune(shop, str(tiny_encoder), tmp_path / "again", replace(QUICK, gradient_checkpointing=True))
    assert apart(vectors(tmp_path / "plain", texts), vectors(tmp_path / "again", texts)) < 1e-4


@pytest.mark.parametrize(("wanted", "passes"), [(False, 1), (True, 2)])
@pytest.mark.parametrize("method", ["full", "lora", "adapter"])
def test_checkpointing_goes_the_way_there_twice(tiny_encoder, wanted, passes, method):
    from recpipe.training.encoder.objectives import unit_vectors
    from recpipe.training.encoder.state import begin

    place = find_place("cpu", "float32")
    course = begin(replace(QUICK, method=method, gradient_checkpointing=wanted), load_encoder(str(tiny_encoder)), place)
    layer = next(part for name, part in course.network.named_modules() if name.endswith("layer.0.intermediate.dense"))
    went = []
    layer.register_forward_hook(lambda *_: went.append(1))
    tokens = course.tokenizer(["red mug", "blue lamp"], return_tensors="pt")
    unit_vectors(course.network.train(), tokens).sum().backward()
    assert len(went) == passes


def test_bfloat16_learns_much_the_same_and_not_the_same(tiny_encoder, shop, tmp_path, texts):
    finetune(shop, str(tiny_encoder), tmp_path / "plain", QUICK)
    finetune(shop, str(tiny_encoder), tmp_path / "half", replace(QUICK, precision="bfloat16"))
    plain, half, before = (vectors(folder, texts) for folder in (tmp_path / "plain", tmp_path / "half", tiny_encoder))
    cosine = float((plain * half).sum(1).mean())
    assert 0.98 < cosine < 1 - 1e-7
    assert float((plain * before).sum(1).mean()) < cosine  # both have learned
    from safetensors.torch import load_file

    assert {value.dtype for value in load_file(tmp_path / "half/model.safetensors").values()} == {torch.float32}


def test_batches_of_an_update_are_averaged(tiny_encoder, shop, tmp_path):
    """Two batches an update give the mean of the gradients that each of them gives."""
    from recpipe.dataset.folder import read_training_input
    from recpipe.training.encoder.course_windows import cut_windows
    from recpipe.training.encoder.state import begin
    from recpipe.training.encoder.updates.gradients import Lesson, _batch, add_gradients

    source, place = load_encoder(str(tiny_encoder)), find_place("cpu", "float32")
    found, facts, _ = read_training_input(shop)
    windows = cut_windows(found, facts, source, QUICK, place, lambda _text: None)

    def gradients(config, work_of):
        course = begin(config, source, place)
        lesson = Lesson(course, windows.past, windows.evidence.catalogue.texts, config, [])
        lost = work_of(lesson)
        return lost, {name: value.grad.clone() for name, value in course.parameters.items()}

    both = gradients(replace(QUICK, accumulate=2), lambda lesson: add_gradients(lesson, 3))
    one, other = (gradients(QUICK, lambda lesson, number=number: _batch(lesson, 3, number, 1.0)) for number in (0, 1))
    assert one[0] != other[0]
    assert both[0] == pytest.approx((one[0] + other[0]) / 2, rel=1e-6)
    for name, gradient in both[1].items():
        torch.testing.assert_close(gradient, (one[1][name] + other[1][name]) / 2, rtol=1e-4, atol=1e-7)


def test_looks_end_a_run_that_gains_nothing_and_keep_its_best_weights(tiny_encoder, shop, tmp_path, texts):
    harmful = replace(QUICK, steps=40, learning_rate=3.0, clip=0.0, patience=2, evaluate_every=2, window_days=20)
    summary = finetune(shop, str(tiny_encoder), tmp_path, harmful)
    assert summary["steps_made"] == summary["best_step"] + 4 < 40
    if summary["best_step"] == 0:  # nothing was better than the start: the encoder is what it was
        assert apart(vectors(tmp_path, texts), vectors(tiny_encoder, texts)) < 1e-5


def test_looks_go_by_a_window_of_their_own(tiny_encoder, shop, tmp_path):
    from recpipe.dataset.folder import read_training_input
    from recpipe.training.encoder.course_windows import cut_windows

    source, place = load_encoder(str(tiny_encoder)), find_place("cpu", "float32")
    found, facts, _ = read_training_input(shop)
    config = replace(QUICK, patience=1, window_days=14)
    windows = cut_windows(found, facts, source, config, place, lambda _text: None)
    ends = [window.evidence.until for window in (windows.last, windows.later, *windows.past)]
    assert ends == [found.until - np.timedelta64(14 * back, "D") for back in (1, 2, 3, 4, 5)]
    plain = cut_windows(found, facts, source, QUICK, place, lambda _text: None)
    assert plain.later is None
    assert plain.past[0].evidence.until == found.until - np.timedelta64(2 * 28, "D")
    with pytest.raises(TrainingFailed, match="--window-days"):
        cut_windows(found, facts, source, replace(config, window_days=60), place, lambda _text: None)


@pytest.mark.parametrize("name", ["adamw", "adafactor"])
def test_an_optimisers_memory_is_put_back_whole(name):
    def course(steps, start=None):
        torch.manual_seed(0)
        held = {"matrix": torch.nn.Parameter(torch.randn(6, 4)), "row": torch.nn.Parameter(torch.randn(4))}
        optimiser = optimisers.make_optimiser(name, list(held.values()), 1e-2, 0.01)
        if start is not None:
            optimisers.restore_memory(optimiser, held, start[1])
            for key, value in start[0].items():
                held[key].data.copy_(value)
        for step in steps:
            torch.manual_seed(step)
            for value in held.values():
                value.grad = torch.randn_like(value)
            optimiser.step()
        return {key: value.detach().clone() for key, value in held.items()}, optimisers.memory_of(optimiser, held)

    whole, _ = course(range(6))
    half = course(range(3))
    resumed, _ = course(range(3, 6), half)
    assert all(torch.equal(whole[key], resumed[key]) for key in whole)
    forgetful, _ = course(range(3, 6), (half[0], {}))
    assert not torch.equal(whole["matrix"], forgetful["matrix"])


def test_adafactor_remembers_a_row_and_a_column():
    matrix = torch.nn.Parameter(torch.randn(50, 40))
    optimiser = optimisers.make_optimiser("adafactor", [matrix], 1e-3, 0.0)
    matrix.grad = torch.randn(50, 40)
    before = matrix.detach().clone()
    optimiser.step()
    memory = optimisers.memory_of(optimiser, {"matrix": matrix})
    assert sum(value.numel() for held in memory.values() for value in held.values()) == 50 + 40 + 2
    step = float((matrix.detach() - before).square().mean().sqrt())
    assert step == pytest.approx(1e-3, rel=0.2)  # as long as one of AdamW's


@pytest.mark.parametrize(
    ("schedule", "shares"),
    [("linear", (0.5, 1.0, 0.5, 1 / 18)), ("cosine", (0.5, 1.0, 0.5, 0.0076)), ("constant", (0.5, 1.0, 1.0, 1.0))],
)
def test_schedules_rise_and_then_fall_or_stay(schedule, shares):
    found = [optimisers.share_of_rate(step, 20, schedule) for step in (0, 1, 11, 19)]
    np.testing.assert_allclose(found, shares, atol=1e-3)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"precision": "float16"}, "float32, bfloat16"),
        ({"optimiser": "sgd"}, "adamw, adafactor"),
        ({"schedule": "step"}, "linear, cosine, constant"),
        ({"maml_order": "second"}, "first, reptile, second-on-head"),
        ({"device": "tpu"}, "auto, cpu, cuda"),
        ({"method": "prefix", "gradient_checkpointing": True}, "leave one of the two out"),
        ({"objective": "maml", "views": 0.1}, "leave --adversarial and --views out"),
        ({"objective": "maml", "method": "adalora"}, "method lora"),
    ],
)
def test_settings_that_are_none_are_sentences(wrong, said):
    with pytest.raises(BadSetting, match=said):
        replace(QUICK, **wrong).check()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_is_a_sentence(tiny_encoder, shop, tmp_path):
    with pytest.raises(BadSetting, match="torch sees no GPU"):
        finetune(shop, str(tiny_encoder), tmp_path, replace(QUICK, device="cuda"))


def test_work_is_counted_by_hand():
    pace = Pace()
    pace.take(torch.zeros(2, 8), times=3)
    assert (pace.texts, pace.tokens, pace.width) == (6, 48, 6 * 64)
    forward = 2 * 1000 * 48 + 4 * 3 * 16 * 384
    shape = Shape(weights=1000, layers=3, width=16, all_taught=True, checkpointing=False)
    assert work(pace, shape) == 3 * forward
    assert work(pace, replace(shape, all_taught=False, checkpointing=True)) == 3 * forward
    assert work(pace, replace(shape, all_taught=False)) == 2 * forward
    assert share_of_peak(989e12, 2.0, "NVIDIA H200") == pytest.approx(0.5)
    assert share_of_peak(989e12, 2.0, "NVIDIA H100 80GB HBM3", devices=2) == pytest.approx(0.25)
    assert share_of_peak(1e12, 1.0, "some other device") is None
