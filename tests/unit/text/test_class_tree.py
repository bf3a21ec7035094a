"""A tree of classes: against the formulas written out, and on classes that were drawn from the model."""

from __future__ import annotations

import numpy as np
import pytest

from recpipe.errors import BadSetting
from recpipe.text.classes import class_tree
from recpipe.text.classes.class_names import expect_means

A, B, C = ("kitchen", "pans"), ("kitchen", "knives"), ("garden",)


def drawn(rng: np.random.Generator, classes: int, shots: int, d: int = 12, apart: float = 3.0):
    """Draw classes around two parents, and texts around classes that vary most where classes differ least."""
    within = np.geomspace(0.3, 3.0, d)
    parents = rng.normal(0, apart, (2, d))
    paths = [(f"p{number % 2}", f"c{number}") for number in range(classes)]
    means = parents[np.arange(classes) % 2] + rng.normal(0, 1, (classes, d))
    number = np.repeat(np.arange(classes), shots)
    x = means[number] + rng.normal(0, 1, (len(number), d)) * within
    return x / np.linalg.norm(x, axis=1, keepdims=True), [paths[one] for one in number], within


def test_the_score_is_the_log_density_of_the_predictive_normal_distribution():
    rng = np.random.default_rng(0)
    x, paths, _ = drawn(rng, 6, 5)
    model = class_tree.fit(x, paths)
    asked = rng.normal(size=(3, 12))
    wanted = np.zeros((3, 6))
    for row, one in enumerate(asked @ model.axes):
        for number in range(6):
            mean, variance = model.mean[number], model.variance[number]
            density = np.exp(-((one - mean) ** 2) / (2 * variance)) / np.sqrt(2 * np.pi * variance)
            wanted[row, number] = np.log(density).sum() + model.prior[number]
    powers = np.exp((wanted - wanted.max(1, keepdims=True)) / model.temperature)
    likely = powers / powers.sum(1, keepdims=True)
    doubt = 1 / (30 + 2)  # 30 texts were left out, by turns
    assert model.probabilities(asked) == pytest.approx((1 - doubt) * likely + doubt / 6, abs=1e-9)


def test_a_class_leans_on_its_parent_as_far_as_it_has_few_texts():
    """One axis apart, many texts each: the mean is n b / (n b + 1) of the way from the parent's to the class's own."""
    rng = np.random.default_rng(1)
    x, paths, _ = drawn(rng, 8, 40)
    few = [row for row, path in enumerate(paths) if path != ("p0", "c0")] + [0]
    model = class_tree.fit(x[few], [paths[row] for row in few])
    number, other = model.classes.index(("p0", "c0")), model.classes.index(("p0", "c2"))
    own, parent = x[0] @ model.axes, _parent(model, x[few], [paths[row] for row in few], "p0")
    between = model.variance[number]  # 1 + b / (b + 1) for one text
    b = (between - 1) / (2 - between)
    assert model.mean[number] == pytest.approx(parent + b / (b + 1) * (own - parent), abs=1e-6)
    assert (model.variance[number] > model.variance[other]).all()


def _parent(model, x, paths, name):
    """Return the mean of a parent from the means of its children, one more child being the root."""
    means = {path: (x[[other == path for other in paths]] @ model.axes).mean(0) for path in set(paths)}
    root = np.mean(list(means.values()), axis=0)
    below = [mean for path, mean in means.items() if path[0] == name]
    return (sum(below) + root) / (len(below) + 1)


def test_what_other_classes_teach_tells_a_class_of_one_text_apart():
    """Against the nearest mean (a frozen prototype) on classes that were not among the taught ones."""
    rng = np.random.default_rng(2)
    mine = plain = 0
    for _ in range(5):
        x, paths, within = drawn(rng, 40, 12, apart=0.0)
        new = rng.normal(0, 1, (5, 12))
        shots, asked = (new[np.repeat(np.arange(5), n)] + rng.normal(0, 1, (5 * n, 12)) * within for n in (1, 20))
        shots, asked = (some / np.linalg.norm(some, axis=1, keepdims=True) for some in (shots, asked))
        truth = np.repeat(np.arange(5), 20)
        plain += (np.argmax(asked @ shots.T, 1) == truth).sum()
        model = class_tree.fit(np.vstack([x, shots]), paths + [("new", str(number)) for number in range(5)])
        columns = [model.classes.index(("new", str(number))) for number in range(5)]
        mine += (model.probabilities(asked)[:, columns].argmax(1) == truth).sum()
    assert mine > 1.1 * plain


def test_left_out_accuracy_is_that_of_new_texts():
    """Not that of the texts that were fitted: with labels dealt by chance it is that of chance."""
    rng = np.random.default_rng(3)
    x = rng.normal(size=(100, 20))
    paths = [(str(number % 5),) for number in range(100)]
    model = class_tree.fit(x / np.linalg.norm(x, axis=1, keepdims=True), paths)
    assert model.accuracy < 0.4
    assert model.probabilities(x).max(1).mean() < 0.4


def test_a_node_is_as_likely_as_its_classes_together():
    probabilities = np.array([[0.5, 0.4, 0.1], [0.35, 0.3, 0.35], [0.2, 0.2, 0.6], [0.1, 0.85, 0.05]])
    found = class_tree.place(probabilities, [A, B, C], 0.6)
    assert found.paths == [("kitchen",), ("kitchen",), C, B]
    assert found.confidence.tolist() == pytest.approx([0.9, 0.65, 0.6, 0.85])
    unsure = class_tree.place(probabilities[1:2], [A, B, C], 0.7)
    assert unsure.paths == [()]
    assert unsure.confidence.tolist() == pytest.approx([0.65])


def test_one_class_is_refused():
    with pytest.raises(BadSetting, match="at least two"):
        class_tree.fit(np.eye(2), [A, A])


def test_two_classes_of_one_text_each_are_enough():
    model = class_tree.fit(np.eye(4)[:2], [A, C])
    assert model.probabilities(np.eye(4)[:2]).argmax(1).tolist() == [0, 1] if model.classes == (A, C) else [1, 0]
    assert np.isnan(model.accuracy)


def test_a_name_tells_where_a_new_class_lies():
    """Means lie where a linear map puts the names: a class of one text leans there, and without names on all the others."""
    rng = np.random.default_rng(4)
    d, away = 12, rng.normal(size=(12, 12))
    names = rng.normal(size=(31, d))
    means, number = names @ away, np.repeat(np.arange(31), [20] * 30 + [1])
    x = means[number] + rng.normal(size=(len(number), d))
    paths = [(f"c{one:02}",) for one in number]
    taught = class_tree.fit(x, paths, {(f"c{one:02}",): names[one] for one in range(31)})
    plain = class_tree.fit(x, paths)
    missed = [float(((model.mean[30] - means[30] @ model.axes) ** 2).sum()) for model in (taught, plain)]
    assert missed[0] < missed[1]


def test_what_is_expected_of_a_class_does_not_know_its_own_texts():
    rng = np.random.default_rng(5)
    means, names = rng.normal(size=(6, 3)), rng.normal(size=(6, 4))
    placed, count = names[:, :3], np.array([5.0, 5, 5, 5, 5, 5])
    whole = expect_means(means, count, names, placed)
    again = means.copy()
    again[2] += 100 * whole.away[2] / np.abs(whole.away[2]).max()
    assert np.allclose(means - whole.away, whole.mean)
    alone = expect_means(means, np.where(np.arange(6) == 2, 0.0, count), names, placed)
    assert alone.away[2].tolist() == [0, 0, 0]
    assert np.isfinite(alone.mean).all()
