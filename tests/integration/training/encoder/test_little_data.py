"""Promises of what makes little data go far: noise, averages, views; and of the losses, by hand."""

import json

import numpy as np
import pytest
import torch

from recpipe.dataset.folder import read_episodes_folder
from recpipe.errors import BadSetting
from recpipe.text.loaders import open_model
from recpipe.training.encoder.adversarial import EmbeddingNoise
from recpipe.training.encoder.before_after import measure_text_prototype
from recpipe.training.encoder.course_windows import frozen_temperature
from recpipe.training.encoder.finetune_config import Config
from recpipe.training.encoder.objectives import contrastive_loss, pairs_of, unit_vectors, views_loss
from recpipe.training.encoder.optimisation.ema import Average
from recpipe.training.encoder.optimisation.optimisers import share_of_rate
from recpipe.training.encoder.pair_batches import Batch, draw_batch, windows_back
from recpipe.training.encoder.word_views import back_translate, drop_words, read_synonyms, replace_synonyms

RANDOM = np.random.default_rng


def tokens_of(model, texts):
    return model.tokenizer(texts, padding=True, return_tensors="pt")


@pytest.mark.parametrize("frozen", [True, False])
def test_noise_is_epsilon_along_each_texts_gradient(tiny_encoder, frozen):
    model = open_model(tiny_encoder)
    for parameter in model.network.embeddings.parameters():
        parameter.requires_grad_(not frozen)
    tokens = tokens_of(model, ["red mug", "blue lamp of paper"])
    direction = torch.randn(32, generator=torch.Generator().manual_seed(0))

    def loss_of(vectors):
        return (vectors @ direction).square().sum()

    noise = EmbeddingNoise(model.network, 0.3)
    clean = loss_of(unit_vectors(model.network, tokens))
    clean.backward()
    noise.perturb()
    np.testing.assert_allclose(noise.noise.flatten(1).norm(dim=1).numpy(), [0.3, 0.3], rtol=1e-5)

    # by definition: the gradient with respect to embedded words that are put in by hand
    noise.remove()
    words = model.network.embeddings.word_embeddings(tokens["input_ids"]).detach().requires_grad_(True)
    states = model.network(inputs_embeds=words, attention_mask=tokens["attention_mask"]).last_hidden_state
    mask = tokens["attention_mask"]
    pooled = (states * mask[:, :, None]).sum(1) / mask.sum(1, keepdim=True)
    (gradient,) = torch.autograd.grad(loss_of(torch.nn.functional.normalize(pooled, dim=1)), words)
    wanted = 0.3 * gradient / gradient.flatten(1).norm(dim=1)[:, None, None]
    np.testing.assert_allclose(noise.noise.numpy(), wanted.numpy(), atol=1e-5)


def test_noise_raises_the_loss_and_leaves_nothing_behind(tiny_encoder):
    model = open_model(tiny_encoder)
    tokens = tokens_of(model, ["red mug", "blue lamp", "white toy"])
    target = torch.nn.functional.normalize(torch.ones(32), dim=0)
    noise = EmbeddingNoise(model.network, 0.5)
    clean = -(unit_vectors(model.network, tokens) @ target).mean()
    clean.backward()
    noise.perturb()
    assert float(-(unit_vectors(model.network, tokens) @ target).mean()) > float(clean)
    noise.clear()
    assert float(-(unit_vectors(model.network, tokens) @ target).mean()) == pytest.approx(float(clean), abs=1e-7)


def test_noise_without_a_pass_is_an_error(tiny_encoder):
    with pytest.raises(ValueError, match="no backward pass"):
        EmbeddingNoise(open_model(tiny_encoder).network, 0.5).perturb()


def test_the_running_average_by_hand():
    weights = {"w": torch.tensor([0.0])}
    average = Average(weights, 0.9)
    values = []
    for step in range(1, 4):
        weights["w"] = torch.tensor([float(step)])
        average.update(weights)
        values.append(float(average.values["w"]))
    one = 0 * 2 / 11 + 1 * 9 / 11  # keeps (1 + t) / (10 + t) until that is more than the decay
    two = one * 3 / 12 + 2 * 9 / 12
    three = two * 4 / 13 + 3 * 9 / 13
    np.testing.assert_allclose(values, [one, two, three], rtol=1e-6)
    average.put_into(weights)
    assert float(weights["w"]) == pytest.approx(three)


def test_the_plain_mean_forgets_the_start():
    average = Average({"w": torch.tensor([100.0])}, 0.0)
    for value in (1.0, 2.0, 6.0):
        average.update({"w": torch.tensor([value])})
    assert float(average.values["w"]) == pytest.approx(3.0)


def test_words_are_dropped_but_never_all():
    view = drop_words(0.5)
    found = {view("red mug", RANDOM(seed)) for seed in range(40)}
    assert found == {"red mug", "red", "mug"}
    assert drop_words(1.0)("red blue mug", RANDOM(0)) in {"red", "blue", "mug"}
    assert drop_words(0.5)("", RANDOM(0)) == ""
    assert drop_words(0.0)("red blue mug", RANDOM(0)) == "red blue mug"


def test_synonyms_are_read_and_put_in(tmp_path):
    (tmp_path / "s.json").write_text(json.dumps([["mug", "cup", "beaker"], ["Red", "crimson"]]))
    synonyms = read_synonyms(tmp_path / "s.json")
    assert synonyms["cup"] == ["mug", "beaker"]
    found = {replace_synonyms(synonyms, 1.0)("RED mug x", RANDOM(seed)) for seed in range(30)}
    assert found == {"crimson cup x", "crimson beaker x"}
    assert replace_synonyms(synonyms, 0.0)("RED mug x", RANDOM(0)) == "RED mug x"
    (tmp_path / "s.json").write_text('{"mug": "cup"}')
    with pytest.raises(BadSetting, match="JSON list of lists"):
        read_synonyms(tmp_path / "s.json")


def test_back_translation_asks_once_and_keeps_what_comes_back_empty():
    asked = []

    def there(texts):
        asked.append(list(texts))
        return [f"de {text}" for text in texts]

    view = back_translate(there, lambda texts: [text.replace("de red", "crimson") if "red" in text else "" for text in texts],
                          ["red mug", "lamp"])  # fmt: skip
    assert [view(text, RANDOM(0)) for text in ("red mug", "lamp", "other")] == ["crimson mug", "lamp", "other"]
    assert asked == [["red mug", "lamp"]]


def test_the_contrastive_loss_by_hand():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    batch = Batch(
        item=np.arange(3),
        support=np.array([[1, 0, 0], [0.5, 0.5, 0]], np.float32),
        candidate=np.array([1, 2]),
        target=np.array([1, 0]),
        blocked=np.array([[False, False], [False, True]]),
    )
    first = np.log(np.exp(0 / 0.5) + np.exp(0.6 / 0.5)) - 0.6 / 0.5  # the second user's only candidate is his own: no loss
    assert float(contrastive_loss(vectors, batch, 0.5)) == pytest.approx(first / 2, abs=1e-6)


def test_two_equal_views_cost_the_less_the_farther_texts_are_apart():
    same, apart = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    assert float(views_loss(same, same, 1.0)) == pytest.approx(np.log(2), abs=1e-6)
    assert float(views_loss(apart, apart, 1.0)) == pytest.approx(np.log(1 + np.exp(-1)), abs=1e-6)


def test_batches_hold_no_negative_that_the_user_knows(shop):
    evidence, facts = read_episodes_folder(shop)
    windows = windows_back(evidence, facts, 28, [1, 2])
    assert len(windows) == 2
    history = evidence.history
    for window, number in zip(windows, (1, 2), strict=True):
        batch, some = draw_batch(window, 20, 3, 2, RANDOM(0))
        assert (some.support.k >= 1).all()
        assert (some.support.k <= 3).all()
        np.testing.assert_allclose(batch.support.sum(1), 1, atol=1e-6)
        cutoff = evidence.until - np.timedelta64(28 * number, "D")
        for row, user in enumerate(some.user):
            mine = history.user == user
            known = set(history.item[mine & (history.ts < cutoff + np.timedelta64(28, "D"))].tolist())
            taken = int(batch.item[batch.candidate[batch.target[row]]])
            assert taken in known
            free = {int(batch.item[place]) for place in batch.candidate[~batch.blocked[row]]}
            assert free & known == {taken}
            before = set(history.item[mine & (history.ts < cutoff)].tolist())
            assert set(batch.item[batch.support[row] > 0].tolist()) <= before
            assert taken not in before


def test_pairs_hold_one_item_taken_for_each_user():
    batch = Batch(np.arange(4), np.eye(2, 4, dtype=np.float32), np.array([1, 2, 3]), np.array([0, 1]),
                  np.array([[False, False, False], [True, False, False]]))  # fmt: skip
    pairs, labels = pairs_of(batch, 5, RANDOM(0))
    assert sorted(map(tuple, pairs[labels == 1].tolist())) == [(0, 1), (1, 2)]
    assert sorted(map(tuple, pairs[labels == 0].tolist())) == [(0, 2), (0, 3), (1, 3)]


def test_vectors_that_tell_nothing_get_the_highest_temperature(shop, texts):
    evidence, facts = read_episodes_folder(shop)
    noise = RANDOM(0).standard_normal((35, 32)).astype(np.float32)
    told = np.repeat(np.eye(5, 32, dtype=np.float32), 7, axis=0)
    found = []
    for vectors in (noise / np.linalg.norm(noise, axis=1, keepdims=True), told):
        from dataclasses import replace

        windows = windows_back(replace(evidence, catalogue=replace(evidence.catalogue, vectors=vectors)), facts, 28, [1, 2])
        found.append(frozen_temperature(windows, Config()))
    assert found[0] == pytest.approx(1.0)
    assert found[1] < 0.6


def test_the_rate_rises_and_falls():
    assert [share_of_rate(step, 20) for step in (0, 1, 2, 11, 19)] == pytest.approx([0.5, 1.0, 1.0, 0.5, 1 / 18])


def test_prototypes_are_compared_weight_by_weight_and_user_by_user(shop, texts):
    evidence, facts = read_episodes_folder(shop)
    window = windows_back(evidence, facts, 28, [1])[0]
    kind = np.repeat(np.eye(5, 32, dtype=np.float32), 7, axis=0)  # what a user of this shop likes
    same = np.tile(np.eye(1, 32, dtype=np.float32), (35, 1))  # vectors that fell together
    before = measure_text_prototype(window, same)
    after = measure_text_prototype(window, kind, before)
    assert before["mean_cosine"] == pytest.approx(1.0)
    assert after["mean_cosine"] == pytest.approx(6 / 34)
    assert "gain" not in before
    for weight, gain in after["gain_by_weight"].items():
        change = after["per_user"][weight] - before["per_user"][weight]
        assert gain["mean"] == pytest.approx(change.mean())
        assert gain["low"] <= gain["mean"] <= gain["high"]
    assert after["gain"]["mean"] == pytest.approx(after["ndcg"] - before["ndcg"])
    assert after["gain_by_weight"]["0.0"]["low"] > 0
    again = measure_text_prototype(window, kind, after)
    assert all(gain == {"mean": 0.0, "low": 0.0, "high": 0.0} for gain in again["gain_by_weight"].values())
