"""The prototypical network: its formulas, written down a second time, and its gradients."""

import dataclasses
from typing import NamedTuple

import numpy as np
import pytest

from recpipe.dataset.episodes import as_of, cut_episodes
from recpipe.dataset.support import build_support
from recpipe.models.base import score
from recpipe.models.prototypical import Prototypical
from recpipe.models.representation import SETTINGS, look

SMALL = {**SETTINGS, "neighbours": 8}


@pytest.fixture(scope="module")
def learner():
    random = np.random.default_rng(5)

    def array(*shape):
        return random.standard_normal(shape).astype(np.float32)

    return Prototypical(array(24, 8), array(24, 8), array(2), array(2), array(2), array(4), 0.2 * array(2, 4), dict(SMALL))


def by_the_book(learner, evidence, support):
    """Return (users, items) scores in double precision, one user and one item after the other."""
    items, until = len(evidence.catalogue), evidence.until
    age = (until - evidence.popularity_ts) / np.timedelta64(1, "D")
    features = np.zeros((items, 4))
    for i in range(items):
        mine = age[evidence.popularity_item == i]
        features[i] = [np.log1p((0.5 ** (mine / h)).sum()) for h in (7, 30, 90)] + [
            np.log1p(((mine <= 364) & (mine > 343)).sum())
        ]
    met = [set(evidence.history.item[evidence.history.user == u]) for u in range(len(evidence.history.user_ids))]
    together = np.zeros((items, items))
    for basket in met:
        for i in basket:
            together[i, list(basket)] += len(basket) ** -0.5
    own_count = np.diag(together).copy()
    similar = together / (own_count[:, None] ** 0.7 * own_count[None, :] ** 0.3 + 5.0 + 1e-9)
    np.fill_diagonal(similar, 0)
    for i in range(items):
        similar[i, np.argsort(-similar[i])[8:]] = 0
    text = evidence.catalogue.vectors.astype(float)
    z = np.zeros((items, 8))
    for i in range(items):
        mean = similar[i] @ text
        mean = mean / np.linalg.norm(mean) if mean.any() else mean
        gate = 1 / (1 + np.exp(-(learner.gate[0] + learner.gate[1] * np.log1p((evidence.history.item == i).sum()))))
        z[i] = text[i] @ learner.own.astype(float) + gate * mean @ learner.met.astype(float)
        z[i] /= np.linalg.norm(z[i])
    out = np.zeros((len(support), items))
    for u in range(len(support)):
        rows = range(support.indptr[u], support.indptr[u + 1])
        weight = {support.item[r]: float(support.weight[r]) ** 0.5 for r in rows if support.label[r] > 0}
        whole, size = sum(weight.values()), np.log1p(len(weight))
        out[u] = features @ learner.bias
        if weight:
            prototype = sum(w / whole * z[j] for j, w in weight.items())
            near = sum(w / whole * similar[:, j] for j, w in weight.items())
            out[u] += np.exp(learner.temperature[0] + learner.temperature[1] * size) * (z @ prototype) / np.linalg.norm(prototype)
            out[u] += np.exp(learner.neighbour[0] + learner.neighbour[1] * size) * near
            out[u] += features @ (learner.trend[0] + size * learner.trend[1])
    return out


def test_scores_are_those_of_the_formulas(learner, evidence):
    support = build_support(evidence.history, evidence.until, 90.0, np.arange(12, dtype=np.int32))[0]
    space = learner.items(evidence)
    found = score(space, learner.adapt(space, support))
    np.testing.assert_allclose(found, by_the_book(learner, evidence, support), rtol=1e-4, atol=1e-4)


@pytest.fixture(scope="module")
def problem(evidence):
    """One instant: the learner's view, the episodes, and both on the CPU for torch."""
    cutoff = evidence.until - np.timedelta64(21, "D")
    known = as_of(evidence, cutoff, np.datetime64("2011-07-31"))
    episodes = cut_episodes(evidence.history, cutoff, horizon_days=21, half_life_days=90)
    network = small_network()
    items = network.to_items(look(known, SMALL), known.catalogue.available, "cpu")
    return Problem(network, look(known, SMALL), known, episodes, items, network.to_batch(episodes, items))


class Problem(NamedTuple):
    """A network at one instant."""

    network: object
    view: object
    known: object
    episodes: object
    items: object
    batch: object


def small_network():
    from recpipe.training.networks import find_network

    return find_network("prototypical").with_settings(neighbours=8)


def test_the_loss_is_the_cross_entropy_over_what_could_be_recommended(problem):
    network, view, known, episodes, items, batch = problem
    tensors = network.initial_tensors(view, 8, 0, "cpu")
    scores = network.scores(tensors, items, batch).detach().numpy().astype(float)
    losses = []
    for u in range(len(episodes)):
        seen = episodes.seen_item[episodes.seen_indptr[u] : episodes.seen_indptr[u + 1]]
        query = episodes.query_item[episodes.query_indptr[u] : episodes.query_indptr[u + 1]]
        rest = np.setdiff1d(np.arange(len(known.catalogue)), seen)
        losses.append(np.mean(np.log(np.exp(scores[u, rest]).sum()) - scores[u, query]))
    assert network.loss(tensors, items, batch).item() == pytest.approx(np.mean(losses), rel=1e-5)


def test_what_was_not_delivered_by_the_cut_is_neither_target_nor_rival(problem):
    network, _, known, episodes, items, _ = problem
    gone = int(episodes.query_item[0])
    batch = network.to_batch(episodes, dataclasses.replace(items, available=np.arange(len(known.catalogue)) != gone))
    assert not batch.target[:, gone].any()
    assert not batch.allowed[:, gone].any()
    sums = batch.target.sum(1).numpy()
    np.testing.assert_allclose(sums[sums > 0], 1, rtol=1e-6)


def test_every_learned_number_gets_a_gradient(problem):
    network, view, _, _, items, batch = problem
    tensors = network.initial_tensors(view, 8, 0, "cpu")
    network.loss(tensors, items, batch).backward()
    for name, tensor in tensors.items():
        flat = tensor.grad.abs().reshape(-1)
        used = flat[:3] if name == "bias" else flat  # the season is older than this shop
        assert used.max() > 0, name
        assert used.isfinite().all(), name
    assert (tensors["gate"].grad != 0).all()
    assert (tensors["neighbour"].grad != 0).all()


def test_a_few_steps_lower_the_loss(problem):
    import torch

    network, view, _, _, items, batch = problem
    tensors = network.initial_tensors(view, 8, 0, "cpu")
    optimiser = torch.optim.AdamW(list(tensors.values()), lr=0.02)
    losses = []
    for _ in range(20):
        loss = network.loss(tensors, items, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] - 0.1


def test_the_start_keeps_the_cosines_of_texts(evidence):
    vectors = evidence.catalogue.vectors
    start = small_network().start(look(evidence, SMALL), 24, 0)["own"]
    np.testing.assert_allclose((vectors @ start) @ (vectors @ start).T, vectors @ vectors.T, atol=1e-5)
