"""Promises of the adaptation to a few labelled texts, on a tiny encoder of random weights."""

import numpy as np
import pandas as pd
import pytest
import torch
from typer.testing import CliRunner

from recpipe.cli import app
from recpipe.errors import BadSetting
from recpipe.text.encoder import load_encoder
from recpipe.training.encoder import few_shot
from recpipe.training.encoder.few_shot import Course, Lesson, UpperLayers

COURSE = Course(layers=1, tokens=16, rounds=12, batch=8, learning_rate=3e-3)


def lesson(texts):
    return Lesson(texts, [text.split(" ")[1] for text in texts])


def gap(vectors, labels):
    """How much closer texts of a class lie than texts of two."""
    alike, same = vectors @ vectors.T, np.array(labels)[:, None] == np.array(labels)
    other = ~np.eye(len(labels), dtype=bool)
    return alike[same & other].mean() - alike[~same].mean()


def test_kept_states_give_the_encoders_own_vectors(tiny_encoder, texts):
    upper = UpperLayers(tiny_encoder, COURSE)
    np.testing.assert_allclose(upper.encode(texts), load_encoder(str(tiny_encoder)).encode(texts), atol=0.03)  # bfloat16


def test_classes_part_and_the_layers_below_stay(tiny_encoder, texts, tmp_path):
    upper = UpperLayers(tiny_encoder, COURSE)
    before = gap(upper.encode(texts), lesson(texts).labels)
    below = upper.network.encoder.layer[0].attention.self.query.weight.clone()
    facts = few_shot.adapt(upper, [lesson(texts)], COURSE)
    assert facts["updates"] == 12 * 5
    assert facts["last_loss"] < facts["first_loss"]
    assert gap(upper.encode(texts), lesson(texts).labels) > before + 0.1
    assert torch.equal(upper.network.encoder.layer[0].attention.self.query.weight, below)
    few_shot.save(upper, tmp_path / "adapted")
    np.testing.assert_allclose(load_encoder(str(tmp_path / "adapted")).encode(texts), upper.encode(texts), atol=0.03)


def test_the_same_seed_teaches_the_same(tiny_encoder, texts):
    found = []
    for _ in range(2):
        upper = UpperLayers(tiny_encoder, COURSE)
        few_shot.adapt(upper, [lesson(texts)], COURSE)
        found.append(upper.encode(texts))
    assert np.array_equal(*found)


def test_supervised_contrast_is_the_formula_by_hand():
    vectors = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 0.4], [1.0, 0.5]]), dim=1)
    alike = (vectors @ vectors.T / few_shot.TEMPERATURE).numpy()
    expected = np.mean([-(alike[i, j] - np.log(np.exp(alike[i, j]) + np.exp(alike[i, 2]))) for i, j in ((0, 1), (1, 0))])
    assert float(few_shot._supervised_contrast(vectors, torch.tensor([0, 0, 1]))) == pytest.approx(expected, rel=1e-4)
    assert float(few_shot._supervised_contrast(vectors, torch.tensor([0, 1, 2]))) == 0.0


def test_texts_without_labels_take_part_where_the_classifier_is_sure(tiny_encoder, texts):
    known = [text for text in texts if text.split(" ")[0] in ("red", "blue", "green")]
    rest = [text for text in texts if text not in known]
    facts = few_shot.adapt_with_unlabelled(UpperLayers(tiny_encoder, COURSE), lesson(known), rest, COURSE)
    assert 0 < facts["pseudo_labels"] <= len(rest)
    none = few_shot.adapt_with_unlabelled(
        UpperLayers(tiny_encoder, COURSE), lesson(known), rest, Course(**{**COURSE.__dict__, "sure": 1.1})
    )
    assert none["pseudo_labels"] == 0


def test_the_command_writes_a_folder_that_parts_the_classes(tiny_encoder, texts, tmp_path):
    table = pd.DataFrame({"text": texts, "label": lesson(texts).labels})
    table.loc[::4, "label"] = None
    table.to_csv(tmp_path / "texts.csv", index=False)
    options = ["--texts", str(tmp_path / "texts.csv"), "--encoder", str(tiny_encoder), "--layers", "1", "--rounds", "20"]
    done = CliRunner().invoke(app, ["adapt-encoder", *options, "--learning-rate", "3e-3", "--out", str(tmp_path / "adapted")])
    assert done.exit_code == 0, done.output
    assert "pseudo_labels" in done.output
    before, after = (
        gap(load_encoder(str(one)).encode(texts), lesson(texts).labels) for one in (tiny_encoder, tmp_path / "adapted")
    )
    assert after > before + 0.1


def test_one_class_is_a_sentence(tiny_encoder, tmp_path):
    with pytest.raises(BadSetting, match="the 2 labelled texts name 1"):
        few_shot.adapt_folder(tiny_encoder, ["a", "b", "c"], ["x", "x", None], tmp_path / "out", COURSE)


def test_what_is_no_stack_of_layers_is_a_sentence(tiny_encoder, monkeypatch):
    class Flat:
        tokenizer, network = None, torch.nn.Linear(1, 1)

    monkeypatch.setattr(few_shot, "open_model", lambda folder: Flat)
    with pytest.raises(BadSetting, match="takes a BERT"):
        UpperLayers(tiny_encoder, COURSE)
