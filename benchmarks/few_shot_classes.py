"""Few-shot accuracy on classes that came new, with 1 or 5 labelled items each, taught by the shop's other classes.

``python -m benchmarks.few_shot_classes ITEMS CACHE [EPISODES [SEED ...]]``: ITEMS is a parquet file with title and category_path
("Beauty > Makeup > Nails"), CACHE takes the vectors. A third of the leaf classes with at least 20 items is asked for; neither
they nor their items teach anything. An episode is five of them, 5 labelled items and 15 questions each. Covariances and axes are
those of the teaching classes, kept over episodes; the nights of item_classes fit them together with the new ones, whose few
texts do not move them.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path as File

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from recpipe.text.classes import class_tree
from recpipe.text.classes.class_names import expect_means
from recpipe.text.encoder import load_encoder
from recpipe.text.lsa import beside, learn_words, spread_of

Floats = NDArray[np.float64]
Path = tuple[str, ...]
LEAST, WAYS, SHOTS, QUESTIONS = 20, 5, 5, 15
TRUST = 10.0  # what leaving out chose on the teaching classes of every seed
TEMPERATURE = 10.0


@dataclass(frozen=True)
class Taught:
    """The teaching classes: names, counts and whitened means; whitening, variance between classes and its directions."""

    names: Floats
    count: Floats
    means: Floats
    whiten: Floats
    between: Floats
    turn: Floats


def teach(x: Floats, paths: list[Path], names: dict[Path, Floats]) -> Taught:
    """Learn what varies within classes and between them (class_tree._fit, its parts kept)."""
    classes = tuple(sorted(set(paths)))
    at = {path: number for number, path in enumerate(classes)}
    sums = class_tree._sums(x, np.array([at[path] for path in paths]), len(classes))
    means, d = sums.total / sums.count[:, None], x.shape[1]
    within = sums.second - (means * sums.count[:, None]).T @ means
    everything = sums.total.sum(0) / sums.count.sum()
    spread = float(np.trace(sums.second) / sums.count.sum() - everything @ everything) / d
    trust = TRUST * d
    value, basis = np.linalg.eigh((within + trust * spread * np.eye(d)) / (sums.count.sum() - len(classes) + trust))
    whiten, said = basis / np.sqrt(value), np.stack([names[path] for path in classes])
    away = expect_means(means @ whiten, sums.count, said, said @ whiten).away
    return Taught(said, sums.count, means @ whiten, whiten, *class_tree._between(away, sums.count))


def classify(taught: Taught, shots: Floats, said: Floats, asked: Floats) -> NDArray[np.intp]:
    """Return the classes of whitened questions; shots are (classes, k, axes)."""
    k, classes = shots.shape[1], tuple((str(number),) for number in range(len(shots)))
    names = np.vstack([taught.names, said])
    count = np.r_[taught.count, np.full(len(shots), float(k))]
    prior = expect_means(np.vstack([taught.means, shots.mean(1)]), count, names, names @ taught.whiten)
    b, turn, new = taught.between, taught.turn, slice(len(taught.count), None)
    mean = prior.mean[new] @ turn + k * b / (k * b + 1) * (prior.away[new] @ turn)
    variance = np.broadcast_to(1 + b / (k * b + 1), mean.shape)
    model = class_tree.Model(classes, turn, mean, variance, np.zeros(len(shots)), TEMPERATURE, 0.0, 0.0, 0.0)
    return model.probabilities(asked).argmax(1)


def prototype(vectors: Floats, shots: NDArray[np.intp], asked: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the nearest mean of unit vectors, which is what the known figure is."""
    means = vectors[shots].mean(1)
    return np.asarray((vectors[asked] @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T).argmax(1))


def episodes(rows: dict[Path, NDArray[np.intp]], number: int, seed: int) -> Iterator[tuple[list[Path], NDArray[np.intp]]]:
    """Draw classes, and (classes, shots + questions) rows of each."""
    classes = sorted(rows)
    for one in range(number):
        random = np.random.default_rng([seed, one])
        drawn = [classes[place] for place in random.choice(len(classes), WAYS, replace=False)]
        yield drawn, np.stack([random.permutation(rows[path])[: SHOTS + QUESTIONS] for path in drawn])


def main(items: File, cache: File, number: int, seeds: list[int]) -> None:
    """Print the mean accuracy over all episodes, with 95 %."""
    table = pq.read_table(items, columns=["title", "category_path"]).to_pandas().dropna()
    titles, paths = table["title"].astype(str).tolist(), [tuple(path.split(" > ")) for path in table["category_path"]]
    encoder, words, every = load_encoder("", cache), learn_words(titles), sorted(set(paths))
    plain = encoder.encode(titles)
    x = beside(plain, words.vectors(titles), spread_of(plain)).astype(np.float64)
    said = [" ".join(path) for path in every]
    names = dict(zip(every, beside(encoder.encode(said), words.vectors(said), spread_of(plain)).astype(np.float64), strict=True))
    large = [path for path in every if paths.count(path) >= LEAST]
    truth = np.repeat(np.arange(WAYS), QUESTIONS)
    right: dict[tuple[str, int], list[float]] = {}
    for seed in seeds:
        asked = {large[place] for place in np.random.default_rng([seed, 11]).permutation(len(large))[: len(large) // 3]}
        rows = {path: np.array([row for row, other in enumerate(paths) if other == path]) for path in asked}
        known = [row for row, path in enumerate(paths) if path not in asked]
        taught = teach(x[known], [paths[row] for row in known], names)
        white = x @ taught.whiten
        for drawn, some in episodes(rows, number, seed):
            for k in (1, SHOTS):
                shots, questions = some[:, :k], some[:, SHOTS:].ravel()
                own = np.stack([names[path] for path in drawn])
                got = classify(taught, white[shots], own, white[questions])
                for name, said_to_be in (("prototype", prototype(plain, shots, questions)), ("ours", got)):
                    right.setdefault((name, k), []).append(float((said_to_be == truth).mean()))
    for (name, k), values in right.items():
        print(
            f"{name}, {k} a class: {np.mean(values):.4f} ± {1.96 * np.std(values) / len(values) ** 0.5:.4f}, {len(values)} episodes"
        )


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[3:]]
    main(File(sys.argv[1]), File(sys.argv[2]), given[0] if given else 134, given[1:] or [0, 1, 2])
