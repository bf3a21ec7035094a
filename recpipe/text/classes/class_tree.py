"""Classes in a tree from a few labelled texts each: a Gaussian model that closed forms fit.

Probabilistic linear discriminant analysis (Ioffe 2006, "Probabilistic linear discriminant analysis", section 2), with the tree as
its prior: the mean of a class is drawn around its parent's, a text's vector around its class's mean. What varies within a class and
between classes is learned from all classes together, so that a class with one text is told apart along the directions in which
classes differ, and leans on its parent as far as it has few texts; or on what its name says, where vectors of names are given
(`encode.class_names`). The trust in both covariances, the weight of frequent
classes and the temperature of the confidence are chosen by leaving one text of every class out at a time, as in `encode.classify`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recpipe.errors import BadSetting
from recpipe.text.classes.class_names import expect_means
from recpipe.text.classes.left_out import TEMPERATURES, cross_entropy, deal, softmax

Vectors = NDArray[np.float64]
Path = tuple[str, ...]

TRUSTS = (1.0, 10.0, 30.0, 100.0)
"""Texts a dimension, as of which the covariance within classes is believed half, that are tried."""
FREQUENT = (0.0, 0.5, 1.0)
"""Powers of a class's number of texts, as its weight beforehand, that are tried."""
LIKELIHOOD_TEMPERATURES = tuple(10 * temperature for temperature in TEMPERATURES)
"""Log likelihoods are larger than a ridge's scores: from 0.1 to 10."""
BETWEEN_TRUST = 10.0
"""Classes a dimension, as of which the covariance between classes is believed half."""
FOLDS = 5
MOST_LEFT_OUT = 2000
"""Texts left out whose loss is looked at; more of them only take time."""
MOST_AXES = 256
"""Directions that are kept: those along which classes differ most."""
LEAST_BETWEEN = 0.05
"""Variance between classes, in units of that within them, that every direction is given."""


@dataclass(frozen=True)
class Model:
    """A fitted tree of classes.

    Attributes
    ----------
    classes
        Distinct paths of the training texts, sorted; a path may be the beginning of another.
    axes
        (d, axes) turns a vector into coordinates in which texts of a class have variance 1.
    mean, variance
        (classes, axes) of a new text of each class.
    prior
        (classes,) log weight of a class beforehand.
    temperature
        Through which log likelihoods become probabilities.
    doubt
        Share of every probability that is spread over all classes alike: 1 / (n + 2) after n texts left out (Laplace's rule of
        succession), since a few texts without an error do not make sure.
    accuracy, loss
        Of training texts, each classified when it was left out; NaN where no class had two texts.
    """

    classes: tuple[Path, ...]
    axes: Vectors
    mean: Vectors
    variance: Vectors
    prior: Vectors
    temperature: float
    doubt: float
    accuracy: float
    loss: float

    def probabilities(self, vectors: NDArray[np.floating]) -> Vectors:
        """Return (texts, classes) from (texts, d) unit vectors."""
        likely = softmax(self._scores(vectors) / self.temperature)
        return (1 - self.doubt) * likely + self.doubt / len(self.classes)

    def _scores(self, vectors: NDArray[np.floating]) -> Vectors:
        """Return (texts, classes) log likelihood, up to a constant a text, plus the prior."""
        x, precision = np.asarray(vectors, np.float64) @ self.axes, 1 / self.variance
        squares = (x * x) @ precision.T - 2 * x @ (self.mean * precision).T + (self.mean**2 * precision).sum(1)
        return np.asarray(self.prior - 0.5 * (squares + np.log(self.variance).sum(1)))


@dataclass(frozen=True)
class _Tree:
    """The classes, and (classes, d) vectors of their names where they count."""

    classes: tuple[Path, ...]
    names: Vectors | None


@dataclass(frozen=True)
class _Sums:
    """What a fit needs to know of some texts: number and sum by class, and the raw second moment."""

    count: Vectors
    total: Vectors
    second: Vectors

    def without(self, other: _Sums) -> _Sums:
        return _Sums(self.count - other.count, self.total - other.total, self.second - other.second)


def fit(vectors: NDArray[np.floating], paths: Sequence[Path], names: Mapping[Path, NDArray[np.floating]] | None = None) -> Model:
    """Fit a tree of classes.

    Parameters
    ----------
    vectors
        (texts, d) unit vectors.
    paths
        One a text, root first, never empty; at least two different ones. A class may have a single text.
    names
        (d,) vector of the words of each path: the prior of a class then is what its name says, in place of its parent's mean.

    Raises
    ------
    BadSetting
        If there are fewer than two classes.
    """
    classes = tuple(sorted(set(paths)))
    if len(classes) < 2:
        raise BadSetting(
            f"A tree of classes needs at least two of them to tell apart; the {len(paths)} labels name {len(classes)}."
        )
    place = {path: number for number, path in enumerate(classes)}
    number = np.array([place[path] for path in paths], np.intp)
    x = np.asarray(vectors, np.float64)
    whole = _sums(x, number, len(classes))
    folds = deal(number) % FOLDS
    asked = _some(np.flatnonzero(whole.count[number] > 1), folds)
    tree = _Tree(classes, None if names is None else np.stack([np.asarray(names[path], np.float64) for path in classes]))
    trust, power, temperature, loss, accuracy = _choose(x, number, tree, whole, folds, asked)
    axes, mean, variance, log_count = _fit(whole, tree, trust)
    return Model(classes, axes, mean, variance, power * log_count, temperature, 1 / (len(asked) + 2), accuracy, loss)


_Parts = tuple[Vectors, Vectors, Vectors, Vectors]


def _fit(known: _Sums, tree: _Tree, trust: float) -> _Parts:
    """Return axes, mean, variance and log count (0 for none) of classes."""
    count, d = known.count, known.total.shape[1]
    means = known.total / np.maximum(count, 1)[:, None]
    within = known.second - (means * count[:, None]).T @ means
    everything = known.total.sum(0) / count.sum()
    spread = float(np.trace(known.second) / count.sum() - everything @ everything) / d
    degrees = max(float(count.sum() - (count > 0).sum()), 0.0)
    trust *= d
    within = (within + trust * max(spread, 1e-12) * np.eye(d)) / (degrees + trust)
    value, basis = np.linalg.eigh(within)
    whiten = basis / np.sqrt(np.maximum(value, 1e-12))
    means = means @ whiten
    if tree.names is None:
        expected = _parents(means, count, tree.classes)
        away = means - expected
    else:
        prior = expect_means(means, count, tree.names, tree.names @ whiten)
        expected, away = prior.mean, prior.away
    between, turn = _between(away, count)
    share = count[:, None] * between / (count[:, None] * between + 1)
    mean = expected @ turn + share * (away @ turn)
    variance = 1 + between / (count[:, None] * between + 1)
    return whiten @ turn, mean, np.broadcast_to(variance, mean.shape), np.log(np.maximum(count, 1))


def _between(away: Vectors, count: Vectors) -> tuple[Vectors, Vectors]:
    """Return (axes,) variance of class means around their parents', largest first, and (d, axes) its directions.

    The mean of n texts varies by 1/n by itself, which is taken off; with few classes every direction counts alike.
    """
    weight = count / (count + 1)
    total = max(float(weight.sum()), 1e-12)
    value, basis = np.linalg.eigh((away * weight[:, None]).T @ away / total)
    noise = float((weight / np.maximum(count, 1)).sum()) / total
    raw = np.maximum(value[::-1] - noise, 0.0)
    classes, trust = float((count > 0).sum()), BETWEEN_TRUST * len(raw)
    shrunk = (classes * raw + trust * max(raw.mean(), LEAST_BETWEEN)) / (classes + trust)
    return np.maximum(shrunk, LEAST_BETWEEN)[:MOST_AXES], basis[:, ::-1][:, :MOST_AXES]


def _parents(means: Vectors, count: Vectors, classes: Sequence[Path]) -> Vectors:
    """Return (classes, d) the mean of each class's parent, which leans on its own parent as far as it has few children."""
    below: dict[Path, list[int]] = {}
    for number, path in enumerate(classes):
        for level in range(len(path)):
            if count[number]:
                below.setdefault(path[:level], []).append(number)
    found: dict[Path, Vectors] = {(): means[below[()]].mean(0)}
    for node in sorted((node for node in below if node), key=len):
        rows = below[node]
        found[node] = (means[rows].sum(0) + found[node[:-1]]) / (len(rows) + 1)
    return np.stack([_nearest(found, path[:-1]) for path in classes])


def _nearest(found: dict[Path, Vectors], node: Path) -> Vectors:
    """Return the mean of a node, or of the nearest one above it that has texts."""
    while node not in found:
        node = node[:-1]
    return found[node]


def _sums(x: Vectors, number: NDArray[np.intp], classes: int) -> _Sums:
    total = np.zeros((classes, x.shape[1]))
    np.add.at(total, number, x)
    return _Sums(np.bincount(number, minlength=classes).astype(np.float64), total, x.T @ x)


def _choose(
    x: Vectors, number: NDArray[np.intp], tree: _Tree, whole: _Sums, folds: NDArray[np.intp], asked: NDArray[np.intp]
) -> tuple[float, float, float, float, float]:
    """Return trust, power of the prior, temperature, loss and accuracy of the least loss on texts left out.

    A class's only text is left out with the others and not asked for: nothing would be known of its class.
    """
    if not len(asked):
        return TRUSTS[-1], 0.0, 1.0, float("nan"), float("nan")
    parts = [whole.without(_sums(x[folds == fold], number[folds == fold], len(tree.classes))) for fold in range(FOLDS)]
    best = (TRUSTS[-1], 0.0, 1.0, np.inf, 0.0)
    for trust in TRUSTS:
        scores, prior = _left_out(x, folds, asked, parts, tree, trust)
        for power in FREQUENT:
            for temperature in LIKELIHOOD_TEMPERATURES:
                both = (scores + power * prior) / temperature
                loss = cross_entropy(both, number[asked])
                if loss < best[3] - 1e-12:
                    best = (trust, power, temperature, loss, float((both.argmax(1) == number[asked]).mean()))
    return best


def _left_out(
    x: Vectors, folds: NDArray[np.intp], asked: NDArray[np.intp], parts: Sequence[_Sums], tree: _Tree, trust: float
) -> tuple[Vectors, Vectors]:
    """Return (asked, classes) scores without a prior, and the prior, of texts by models that were fitted without them."""
    scores, prior = np.zeros((2, len(asked), len(tree.classes)))
    for fold, known in enumerate(parts):
        rows = folds[asked] == fold
        if rows.any():
            axes, mean, variance, log_count = _fit(known, tree, trust)
            blank = Model(tree.classes, axes, mean, variance, np.zeros(len(tree.classes)), 1.0, 0.0, 0.0, 0.0)
            scores[rows], prior[rows] = blank._scores(x[asked[rows]]), log_count
    return scores, prior


def _some(rows: NDArray[np.intp], folds: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return at most `MOST_LEFT_OUT` rows, those of the first folds first: one text of every class before the second of any."""
    order = rows[np.argsort(folds[rows], kind="stable")]
    step = max(len(order) / MOST_LEFT_OUT, 1.0)
    return np.sort(order[(np.arange(min(len(order), MOST_LEFT_OUT)) * step).astype(np.intp)])


# --- the tree -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Found:
    """Where some texts belong.

    Attributes
    ----------
    paths
        The longest path that is likely enough; empty where even the likeliest first level is not.
    confidence
        (texts,) probability of that path; where it is empty, of the likeliest first level.
    """

    paths: list[Path]
    confidence: Vectors


def place(probabilities: Vectors, classes: Sequence[Path], least: float) -> Found:
    """Go as deep into the tree as the probability of a node, the sum of the classes in it, is at least ``least``.

    Parameters
    ----------
    probabilities
        (texts, classes).
    classes
        Their paths.
    least
        Smallest probability that is said aloud, 0 to 1.
    """
    paths: list[Path] = [()] * len(probabilities)
    confidence = np.zeros(len(probabilities))
    open_rows = np.ones(len(probabilities), np.bool_)
    for level in range(max(map(len, classes)), 0, -1):
        nodes = sorted({path[:level] for path in classes if len(path) >= level})
        column = {node: at for at, node in enumerate(nodes)}
        share = np.zeros((len(classes), len(nodes)))
        for row, path in enumerate(classes):
            if len(path) >= level:
                share[row, column[path[:level]]] = 1.0
        likely = probabilities @ share
        best = likely.argmax(1)
        value = np.minimum(likely[np.arange(len(best)), best], 1.0)
        confidence[open_rows] = value[open_rows]
        for text in np.flatnonzero(open_rows & (value >= least)):
            paths[text], open_rows[text] = nodes[best[text]], False
    return Found(paths, confidence)
