"""Promises of the logistic regression on a kernel, against a library and refits by hand."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from recpipe.text.classes import classifier, kernel_ridge, left_out, logistic
from recpipe.text.classes.shots import read_shots, words_of


def drawn(seed, texts=40, classes=4, axes=6):
    random = np.random.default_rng(seed)
    number = np.arange(texts) % classes
    return random.standard_normal((texts, axes)) + np.eye(axes)[number], number


def test_probabilities_are_those_of_a_library():
    features, number = drawn(0)
    weights = logistic.learn(features, number, 4, 0.1)
    ours = left_out.softmax(features @ weights[:-1] + weights[-1])
    theirs = LogisticRegression(C=10.0, max_iter=1000, tol=1e-8).fit(features, number).predict_proba(features)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_features_give_the_kernel_back_and_a_new_text_its_place():
    features, _ = drawn(1, texts=9)
    kernel = features @ features.T
    axes = logistic.axes_of(kernel)
    np.testing.assert_allclose(axes.features @ axes.features.T, kernel, atol=1e-8)
    new = np.random.default_rng(2).standard_normal((3, 6))
    placed = (new @ features.T) @ axes.back
    np.testing.assert_allclose(placed @ axes.features.T, new @ features.T, atol=1e-6)


def test_a_text_is_scored_by_a_fit_that_never_saw_it_and_the_words_of_labels_teach_every_fit():
    features, number = drawn(3, texts=12, classes=3)
    words = np.eye(6)[:3]
    every, classes = np.vstack([features, words]), np.concatenate([number, np.arange(3)])
    fold = left_out.deal(number)
    found = logistic.left_out(every, classes, 3, 0.3, fold)
    for one in np.unique(fold):
        rest = np.concatenate([fold != one, np.ones(3, np.bool_)])
        weights = logistic.learn(every[rest], classes[rest], 3, 0.3)
        np.testing.assert_allclose(found[fold == one], features[fold == one] @ weights[:-1] + weights[-1], atol=1e-8)


def made_encoder(seed=0, classes=40, d=32):
    """Texts ``<class> <number>`` around a direction of their class; a label alone lies nearer to it than any text."""
    centres = np.random.default_rng(seed).standard_normal((classes, d))

    def encode(texts):
        rows = []
        for text in texts:
            name, _, number = text.partition(" ")
            noise = np.random.default_rng([int(name[1:]), int(number or 0)]).standard_normal(d) * (1.1 if number else 0.5)
            rows.append(centres[int(name[1:])] + noise)
        vectors = np.array(rows)
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return encode


def test_of_many_classes_the_logistic_regression_is_chosen_and_right_more_often():
    encode = made_encoder()
    labels = [f"c{one}" for one in range(40) for _ in range(4)]
    texts = [f"{label} {place % 4 + 1}" for place, label in enumerate(labels)]
    fitted = classifier.fit(texts, labels, encode)
    assert fitted.setting.head == "logistic"
    asked = [f"c{one} {number}" for one in range(40) for number in range(10, 16)]
    truth = [text.split(" ")[0] for text in asked]
    known = read_shots(texts, fitted.classes, encode)
    number = np.searchsorted(np.array(fitted.classes), np.array(labels))
    ridge = kernel_ridge.fit_ridge(known, number)
    parts = (fitted.classes, encode, known.vectors, known.vocabulary, known.terms, known.names, known.name_terms)
    other = classifier.Classifier(*parts, ridge.setting, ridge.weights, ridge.named, ridge.constant)
    right = [np.mean(np.array(one.predict(asked)[0]) == truth) for one in (fitted, other)]
    assert right[0] > right[1] + 0.02


def test_the_dual_form_says_what_the_features_say():
    encode = made_encoder(1, classes=5)
    labels = [f"c{one}" for one in range(5) for _ in range(3)]
    texts = [f"{label} {place % 3 + 1}" for place, label in enumerate(labels)]
    classes = tuple(sorted(set(labels)))
    known, number = read_shots(texts, classes, encode), np.repeat(np.arange(5), 3)
    head = logistic.fit_logistic(known, number)
    parts = (classes, encode, known.vectors, known.vocabulary, known.terms, known.names, known.name_terms)
    whole = classifier.Classifier(*parts, head.setting, head.weights, head.named, head.constant)
    every = np.concatenate([number, np.arange(5)])
    axes = logistic.axes_of(logistic._whole(known, head.setting.share, worded=True))
    weights = logistic.learn(axes.features, every, 5, head.setting.strength)
    scores = axes.features[:15] @ weights[:-1] + weights[-1]
    np.testing.assert_allclose(whole.probabilities(texts), left_out.softmax(scores / head.setting.temperature), atol=1e-5)


@pytest.mark.parametrize(("label", "words"), [("card_arrival", "card arrival"), ("Nägel", "Nägel"), (3, "")])
def test_the_words_of_a_label(label, words):
    assert words_of(label) == words
