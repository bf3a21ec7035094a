"""Promises of the logistic regression on a kernel, against a library and refits by hand."""

import hashlib

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
    found = logistic.left_out(every, classes, 0.3, fold)
    for one in np.unique(fold):
        rest = np.concatenate([fold != one, np.ones(3, np.bool_)])
        weights = logistic.learn(every[rest], classes[rest], 3, 0.3)
        np.testing.assert_allclose(found[fold == one], features[fold == one] @ weights[:-1] + weights[-1], atol=1e-8)


class Made:
    """Texts that share no word, around a direction of their class, and labels nearer to it than most texts.

    There are many more classes than directions, so that a line hides some of them behind others.
    """

    def __init__(self, classes=40, directions=4, seed=0):
        self.random = np.random.default_rng(seed)
        self.centres = self.random.standard_normal((classes, directions))
        self.known = {}
        self.labels = [self.text(one, 0.3) for one in range(classes)]

    def text(self, one, noise=0.5):
        name = hashlib.sha256(str(len(self.known)).encode()).hexdigest()[:10]
        vector = self.centres[one] + noise * self.random.standard_normal(self.centres.shape[1])
        self.known[name] = vector / np.linalg.norm(vector)
        return name

    def texts(self, number):
        """Return so many texts of each class, and their labels."""
        classes = [one for one in range(len(self.centres)) for _ in range(number)]
        return [self.text(one) for one in classes], [self.labels[one] for one in classes]

    def encode(self, texts):
        return np.stack([self.known[text] for text in texts]).astype(np.float32)


def whole(made, texts, labels, fit_head):
    classes = tuple(sorted(set(labels)))
    known, number = read_shots(texts, classes, made.encode), np.searchsorted(np.array(classes), np.array(labels))
    head = fit_head(known, number)
    parts = (classes, made.encode, known.vectors, known.vocabulary, known.terms, known.names, known.name_terms)
    return known, number, classifier.Classifier(*parts, head.setting, head.weights, head.named, head.constant)


def test_of_many_classes_the_logistic_regression_is_chosen_and_right_more_often():
    made = Made()
    texts, labels = made.texts(5)
    asked, truth = made.texts(6)
    fitted = classifier.fit(texts, labels, made.encode)
    assert fitted.setting.head == "logistic"
    _, _, ridge = whole(made, texts, labels, kernel_ridge.fit_ridge)
    right = [np.mean(np.array(one.predict(asked)[0]) == truth) for one in (fitted, ridge)]
    assert right[0] > right[1] + 0.02


def test_the_dual_form_says_what_the_features_say():
    made = Made(classes=5, seed=1)
    texts, labels = made.texts(3)
    known, number, fitted = whole(made, texts, labels, logistic.fit_logistic)
    axes = logistic.axes_of(logistic._whole(known, fitted.setting.share, worded=True))
    counts = np.concatenate([np.ones(15), np.full(5, fitted.setting.words)])
    weights = logistic.learn(axes.features, np.concatenate([number, np.arange(5)]), 5, fitted.setting.strength, counts)
    scores = axes.features[:15] @ weights[:-1] + weights[-1]
    expected = left_out.softmax(scores / fitted.setting.temperature)
    np.testing.assert_allclose(fitted.probabilities(texts), expected, atol=1e-5)


def test_a_text_that_counts_thrice_is_three_texts():
    features, number = drawn(4, texts=8)
    counts = np.array([3.0] + [1.0] * 7)
    found = logistic.learn(features, number, 4, 0.3, counts)
    thrice = np.concatenate([[0, 0], np.arange(8)])
    np.testing.assert_allclose(found, logistic.learn(features[thrice], number[thrice], 4, 0.3), atol=1e-3)


def test_the_first_of_two_settings_needs_more_than_a_standard_error():
    def setting(*losses):
        return kernel_ridge.Setting(1, 0, 1, 1, float(np.mean(losses)), 1, losses=np.array(losses))

    usual, chance, clear = setting(1.0, 1.0, 1.0, 1.0), setting(2.5, 0.1, 0.6, 0.7), setting(0.9, 0.8, 0.8, 0.9)
    assert chance.loss < usual.loss
    assert kernel_ridge.clearly_better(chance, usual) is usual
    assert kernel_ridge.clearly_better(clear, usual) is clear


@pytest.mark.parametrize(("label", "words"), [("card_arrival", "card arrival"), ("Nägel", "Nägel"), (3, "")])
def test_the_words_of_a_label(label, words):
    assert words_of(label) == words
