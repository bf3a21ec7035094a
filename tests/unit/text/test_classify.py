"""Promises of the few-shot classes, against brute force and on sets made by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recpipe.errors import BadSetting
from recpipe.experiments.text_protocol import run
from recpipe.text.classes import classifier, kernel_ridge, left_out
from recpipe.text.tfidf import learn_vocabulary, terms_of, weigh

FRUIT = ["red apples and pears", "ripe pears", "an apple a day", "sweet apples, green pears"]
TOOLS = ["hammer and nails", "a steel hammer", "nails and screws", "screws for the hammer"]


def circle(texts):
    """A made encoder: the angle of a vector is the number that stands in the text; what is no number is at right angles to all."""
    known = np.array([text.replace(".", "").replace("-", "").isdigit() for text in texts])
    angle = np.radians([float(text) if number else 0.0 for text, number in zip(texts, known, strict=True)])
    return np.stack([np.cos(angle) * known, np.sin(angle) * known, ~known], axis=1).astype(np.float32)


@given(st.integers(0, 10_000), st.sampled_from([0.03, 1.0, 10.0]), st.booleans())
@settings(deadline=None, max_examples=30)
def test_leaving_out_is_what_a_ridge_fitted_without_the_fold_says(seed, strength, one_by_one):
    random = np.random.default_rng(seed)
    features = random.standard_normal((11, 4))
    kernel = features @ features.T / 4 + kernel_ridge.INTERCEPT
    number = random.integers(0, 3, 11)
    wanted = kernel_ridge.targets(number, 3)
    fold = np.arange(11) if one_by_one else left_out.deal(number)
    values, basis = np.linalg.eigh(kernel)
    found = kernel_ridge.leave_out(np.maximum(values, 0), basis, wanted, strength, fold)
    for one in np.unique(fold):
        out, rest = fold == one, fold != one
        weights = np.linalg.solve(kernel[np.ix_(rest, rest)] + strength * np.eye(rest.sum()), wanted[rest])
        np.testing.assert_allclose(found[out], kernel[np.ix_(out, rest)] @ weights, atol=1e-8)


def test_leaving_out_one_at_a_time_is_the_textbook_formula():
    features = np.array([[1.0, 0.0], [0.5, 1.0], [0.0, 2.0]])
    wanted = np.array([[1.0], [0.0], [-1.0]])
    kernel = features @ features.T
    hat = kernel @ np.linalg.inv(kernel + 0.5 * np.eye(3))
    textbook = (hat @ wanted - np.diag(hat)[:, None] * wanted) / (1 - np.diag(hat)[:, None])
    values, basis = np.linalg.eigh(kernel)
    np.testing.assert_allclose(kernel_ridge.leave_out(values, basis, wanted, 0.5, np.arange(3)), textbook, atol=1e-12)


def test_each_fold_takes_one_text_of_every_class_that_has_one_left():
    assert left_out.deal(np.array([0, 0, 1, 0, 1, 2])).tolist() == [0, 1, 0, 2, 1, 0]


def test_labels_that_mean_nothing_are_not_found_again():
    """Vectors of high dimension and random labels: a mean, or a class that is one short, must not tell the answer."""
    random = np.random.default_rng(0)
    texts = [str(n) for n in range(32)]
    vectors = random.standard_normal((32, 384))
    vectors = dict(zip(texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), strict=True))
    found = []
    for seed in range(20):
        labels = np.random.default_rng(seed).permutation([0, 1, 2, 3] * 8)
        fitted = classifier.fit(
            texts, labels.tolist(), lambda some: np.stack([vectors[text] for text in some]).astype(np.float32)
        )
        found.append(fitted.setting.accuracy)
    assert 0.15 < np.mean(found) < 0.38  # 0.25 by chance, and somewhat more since the best of many settings is shown


def test_sectors_of_a_circle_are_told_apart_with_confidence():
    texts = [str(angle + step) for angle in (0, 90, 180, 270) for step in (-12, -5, 0, 6, 11)]
    labels = [name for name in ("east", "north", "west", "south") for _ in range(5)]
    fitted = classifier.fit(texts, labels, circle)
    answers, confidence = fitted.predict(["3", "92", "175", "265", "45"])
    assert answers[:4] == ["east", "north", "west", "south"]
    assert (confidence[:4] > 0.8).all()
    assert 0.3 < confidence[4] < 0.75  # on the border of two
    assert fitted.setting.accuracy == 1.0


def test_without_an_encoder_words_carry_the_classes():
    fitted = classifier.fit(FRUIT + TOOLS, ["fruit"] * 4 + ["tools"] * 4, None)
    assert fitted.predict(["a pear and two apples", "the hammers", "苹果"])[0][:2] == ["fruit", "tools"]
    assert fitted.setting.share == 0.0


def test_the_kernel_that_knows_is_chosen():
    numbers = [str(angle) for angle in (1, 4, 8, 12, 181, 185, 190, 177)]
    labels = ["a"] * 4 + ["b"] * 4
    assert classifier.fit(numbers, labels, circle).setting.share >= 0.8
    blind = classifier.fit(FRUIT + TOOLS, ["fruit"] * 4 + ["tools"] * 4, lambda texts: circle(["0"] * len(texts)))
    assert blind.setting.share <= 0.5
    assert blind.predict(["pears", "nails"])[0] == ["fruit", "tools"]


def test_the_words_of_a_label_speak_where_its_texts_do_not():
    """Shots that share no word with each other, but with their labels: words of labels are worth a weight, numbers are not."""
    labels = ["hammer nails drill", "pears quinces figs", "lamp bulb torch"]
    texts = [word for label in labels for word in label.split()]
    fitted = classifier.fit(texts, [label for label in labels for _ in range(3)], None)
    assert fitted.setting.words > 0
    assert fitted.setting.accuracy == 1.0
    numbered = classifier.fit(texts, [number for number in range(3) for _ in range(3)], None)
    assert numbered.setting.accuracy < 1.0
    assert numbered.setting.words == 0
    assert numbered.setting.loss >= fitted.setting.loss


def test_words_of_labels_are_left_out_like_any_other_part_of_the_ridge():
    """The loss that is reported is that of ridges fitted without each fold, on what the labels' words leave unexplained."""
    random = np.random.default_rng(3)
    number = np.array([0, 0, 0, 1, 1, 1, 2, 2])
    features = random.standard_normal((8, 5)) + np.eye(5)[number]
    kernel = features @ features.T / 5 + kernel_ridge.INTERCEPT
    said = kernel_ridge.centred(np.eye(3)[number] * 0.2 + 0.1 * random.standard_normal((8, 3)))
    found = kernel_ridge.choose({0.5: kernel}, {0.5: said}, number)
    assert found.words > 0
    scores, wanted, fold = np.zeros((8, 3)), kernel_ridge.targets(number, 3) - found.words * said, left_out.deal(number)
    for one in np.unique(fold):
        out, rest = fold == one, fold != one
        weights = np.linalg.solve(kernel[np.ix_(rest, rest)] + found.strength * np.eye(rest.sum()), wanted[rest])
        scores[out] = kernel[np.ix_(out, rest)] @ weights + found.words * said[out]
    assert found.loss == pytest.approx(left_out.cross_entropy(scores / found.temperature, number), abs=1e-9)
    assert found.accuracy == (scores.argmax(1) == number).mean()


def test_a_row_depends_on_its_own_text_alone_and_rows_sum_to_one():
    fitted = classifier.fit(FRUIT + TOOLS, ["fruit"] * 4 + ["tools"] * 4, None)
    asked = ["", "pears", "x" * 100_000, "hammer"]
    together = fitted.probabilities(asked)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-12)
    for row, text in enumerate(asked):
        np.testing.assert_allclose(fitted.probabilities([text])[0], together[row], atol=1e-12)


def test_many_texts_are_thinned_without_losing_a_class(monkeypatch):
    monkeypatch.setattr(classifier, "MOST_SHOTS", 6)
    texts, labels = FRUIT * 5 + TOOLS[:1], ["fruit"] * 20 + ["tools"]
    fitted = classifier.fit(texts, labels, None)
    assert len(fitted.weights) == 6
    assert fitted.predict(["hammer and nails"])[0] == ["tools"]


def test_one_class_or_none_is_a_sentence():
    with pytest.raises(BadSetting, match="only 'fruit'"):
        classifier.fit(FRUIT, ["fruit"] * 4, None)
    with pytest.raises(BadSetting, match="at least two labels"):
        classifier.fit([], [], None)


def test_terms_and_their_weights_by_hand():
    assert terms_of("Ab ab") == {"w ab": 2, "p ab ab": 1, " a": 2, "ab": 2, "b ": 2, " ab": 2, "ab ": 2, " ab ": 2}
    assert terms_of("茶杯") == {"w 茶杯": 1, "茶": 1, "杯": 1, "茶杯": 1}
    vocabulary = learn_vocabulary([terms_of("茶"), terms_of("茶 杯")])
    weights = weigh([terms_of("茶"), terms_of("杯"), terms_of("other")], vocabulary).toarray()
    np.testing.assert_allclose(np.linalg.norm(weights, axis=1), [1, 1, 0])
    assert vocabulary.idf[vocabulary.terms["茶"]] == 1.0  # in every text
    assert vocabulary.idf[vocabulary.terms["杯"]] == pytest.approx(np.log(3 / 2) + 1)


@pytest.mark.parametrize("suffix", [".parquet", ".csv"])
@pytest.mark.parametrize("kind", [str, int])
def test_the_command_keeps_the_order_of_the_rows_and_the_type_of_the_labels(tmp_path, suffix, kind):
    names = {"fruit": 7, "tools": 3} if kind is int else {"fruit": "fruit", "tools": "NA"}
    train = pd.DataFrame({"text": FRUIT + TOOLS, "label": [names["fruit"]] * 4 + [names["tools"]] * 4})
    test = pd.DataFrame({"text": ["steel nails", "green apples", None, "a hammer", "ripe pears"]})
    for name, table in (("train", train), ("test", test)):
        file = tmp_path / f"{name}{suffix}"
        table.to_parquet(file) if suffix == ".parquet" else table.to_csv(file, index=False)
    for name in "ab":
        run(tmp_path / f"train{suffix}", tmp_path / f"test{suffix}", tmp_path / f"{name}{suffix}", "none")
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    read = pd.read_parquet if suffix == ".parquet" else lambda file: pd.read_csv(file, keep_default_na=False)
    out = read(tmp_path / f"a{suffix}")
    wanted = [names[name] for name in ("tools", "fruit", "tools", "fruit")]
    assert list(out.columns) == ["label", "confidence"]
    assert out["label"].iloc[[0, 1, 3, 4]].tolist() == wanted
    assert out["confidence"].between(0.5, 1).all()


def test_what_is_wrong_with_a_file_is_said(tmp_path):
    with pytest.raises(BadSetting, match="no file"):
        run(tmp_path / "t.csv", tmp_path / "t.csv", tmp_path / "o.csv", "none")
    pd.DataFrame({"text": ["a", "b"], "class": [1, 2]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(BadSetting, match="no column 'label', only text, class"):
        run(tmp_path / "t.csv", tmp_path / "t.csv", tmp_path / "o.csv", "none")
    pd.DataFrame({"text": ["a", "b"], "label": ["x", None]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(BadSetting, match="row 2: column 'label' is empty"):
        run(tmp_path / "t.csv", tmp_path / "t.csv", tmp_path / "o.csv", "none")
