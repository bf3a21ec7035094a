"""Learners with heads: their formulas written down a second time, a user at a time in double precision; and gradients."""

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recpipe.dataset.episodes import as_of, cut_episodes
from recpipe.evidence.knn import interactions
from recpipe.models.arrays import NUMPY, torch_arrays
from recpipe.models.base import score
from recpipe.models.heads import HEADS, maml
from recpipe.models.representation import View, counting, item_factors, places

NAMES = list(HEADS)
STEPPED = ["anil", "maml", "maml_first_order", "proto_maml"]
SECOND_ORDER = ["anil", "maml", "proto_maml"]


@pytest.fixture(scope="module")
def problem(evidence):
    """What is known at an instant, and the episodes from there."""
    cutoff = evidence.until - np.timedelta64(21, "D")
    known = as_of(evidence, cutoff, np.datetime64("2011-07-31"))
    return known, cut_episodes(evidence.history, cutoff, horizon_days=21, half_life_days=90)


@dataclasses.dataclass
class Case:
    """A network that was moved from its start, its learner, and one instant on the CPU."""

    network: object
    tensors: dict
    learner: object
    view: View
    items: object
    batch: object


@pytest.fixture
def case(request, problem):
    return make_case(request.param, problem)


def make_case(name, problem, **settings):
    import torch

    from recpipe.training.networks import find_network

    network = find_network(name).with_settings(neighbours=8, factors=6, negatives=16, **settings)
    known, episodes = problem
    view = network.look(known)
    random = torch.Generator().manual_seed(1)
    start = network.initial_tensors(view, 8, 0, "cpu")
    tensors = {held: value.detach() + 0.2 * torch.randn(value.shape, generator=random) for held, value in start.items()}
    items = network.to_items(view, known.catalogue.available, "cpu")
    batch = network.to_batch(episodes, items)
    return Case(network, tensors, network.to_learner(tensors), view, items, batch)


def doubled(value):
    """The same dataclass with every real tensor in double precision, those of dataclasses inside it too."""
    import torch

    parts = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
    real = {n: p.double() for n, p in parts.items() if isinstance(p, torch.Tensor) and p.is_floating_point()}
    inside = {n: doubled(p) for n, p in parts.items() if dataclasses.is_dataclass(p)}
    return dataclasses.replace(value, **real, **inside)


# --- the formulas by the book


def sigmoid(value):
    return 1 / (1 + np.exp(-value))


def places_by_the_book(n, view):
    """Return (items, 8 + 6) z, one item after the other."""
    z = []
    for own, met, count, factors in zip(view.own, view.met, view.log_count, view.factors, strict=True):
        text = own @ n["own"] + sigmoid(n["gate"][0] + n["gate"][1] * count) * (met @ n["met"])
        sold = np.exp(n["factor"][2]) * sigmoid(n["factor"][0] + n["factor"][1] * count) * factors
        row = np.r_[text, sold]
        z.append(row / np.linalg.norm(row))
    return np.array(z)


def steps_by_the_book(n, settings, view, z, item, weight, age):
    """Return (D,) what the steps add to the start; the projection is kept unfolded, as a matrix a user."""
    x = np.hstack([z, view.features])
    start = np.r_[n["start"], np.zeros(6), n["bias"]]
    mass = (np.expm1(view.features[:, 2].astype(float)) + 0.1) ** 0.75
    mass /= mass.sum()
    rows = [int(np.argmax(np.cumsum(mass) >= (m + 0.5) / 16)) for m in range(16)]
    head, layer = start.copy(), n["layer"].copy() if settings["rank"] else np.zeros((0, 8))
    down = n["down"] if settings["rank"] else np.zeros((8, 0))
    if settings["start"] == "prototype":
        mean = sum(w * z[j] for w, j in zip(weight, item, strict=True))
        head[:14] += np.exp(n["prototype"] @ [1, np.log1p(len(item))]) * mean / np.linalg.norm(mean)
    for step in range(settings["steps"]):
        rates = np.r_[n["rates"][step][:8], np.full(6, n["rates"][step][8]), n["rates"][step][9:]]
        projection = np.eye(18)
        projection[:8, :8] += down @ layer
        s = x @ projection @ head
        lse = np.log(sum(np.exp(s[r]) / (16 * mass[r]) for r in rows)) + n["margin"][0]
        of_score = np.zeros(len(x))
        for w, j in zip(weight, item, strict=True):
            of_score[j] -= w * sigmoid(lse - s[j])
            for r in rows:
                of_score[r] += w * sigmoid(lse - s[j]) * np.exp(s[r] - lse + n["margin"][0]) / (16 * mass[r])
        of_head = projection.T @ x.T @ of_score
        of_layer = np.outer(down.T @ (x[:, :8].T @ of_score), head[:8])
        head = head - rates * of_head
        if settings["rank"]:
            layer = layer - n["layer_rates"][step] * of_layer
    projection = np.eye(18)
    projection[:8, :8] += down @ layer
    return np.exp(n["temperature"] @ [1, np.log1p(len(item))]) * (projection @ head - start), weight


def ridge_by_the_book(n, settings, view, z, item, weight, age):
    """Return (D,) the solution of the normal equations, without Woodbury."""
    catalogue, ridge, strength = np.exp(n["strengths"])
    system = catalogue * z.T @ z / len(z) + ridge * np.eye(14)
    right = np.zeros(14)
    for w, j in zip(weight, item, strict=True):
        system += strength * len(item) * w * np.outer(z[j], z[j])
        right += strength * len(item) * w * z[j]
    user = np.exp(n["temperature"] @ [1, np.log1p(len(item))]) * np.linalg.solve(system, right)
    return np.r_[user, np.zeros(4)], weight


def attention_by_the_book(n, settings, view, z, item, weight, age):
    mean = sum(w * z[j] for w, j in zip(weight, item, strict=True))
    mean /= np.linalg.norm(mean)
    user, mixed = np.zeros(14), np.zeros(len(item))
    for head in range(2):
        mass = np.array(
            [
                w
                * np.exp(n["contexts"][head] @ np.r_[z[j] @ mean, np.log1p(a), view.features[j]] + n["queries"][head] @ z[j][:8])
                for w, j, a in zip(weight, item, age, strict=True)
            ]
        )
        mass /= mass.sum()
        one = sum(w * z[j] for w, j in zip(mass, item, strict=True))
        user += np.exp(n["temperature"][head] @ [1, np.log1p(len(item))]) * one / np.linalg.norm(one)
        mixed += np.exp(n["mix"][head]) / np.exp(n["mix"]).sum() * mass
    return np.r_[user, np.zeros(4)], mixed


def lstm_by_the_book(n, settings, view, z, item, weight, age):
    memory, state = np.zeros(settings["hidden"]), np.zeros(settings["hidden"])
    for j, w, a in list(zip(item, weight, age, strict=True))[-settings["read"] :]:
        seen = np.r_[z[j][:8], view.features[j], np.log1p(a), np.log(w)]
        into, keep, new, out = (seen @ n["seen"] + state @ n["held"] + n["gates"]).reshape(4, -1)
        memory = sigmoid(keep) * memory + sigmoid(into) * np.tanh(new)
        state = sigmoid(out) * np.tanh(memory)
    wrote = state @ n["write"]
    mean = sum(w * z[j] for w, j in zip(weight, item, strict=True))
    user = np.exp(n["temperature"] @ [1, np.log1p(len(item))]) * np.exp(np.tanh(wrote[-2])) * mean / np.linalg.norm(mean)
    return np.r_[user[:8] + wrote[:8], user[8:], wrote[8:12]], weight * np.exp(np.tanh(wrote[-1]))


BOOKS = {
    **dict.fromkeys(STEPPED, steps_by_the_book),
    "ridge_head": ridge_by_the_book,
    "attention": attention_by_the_book,
    "lstm": lstm_by_the_book,
}


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_scores_are_those_of_the_formulas(case, problem):
    known, episodes = problem
    support, n = episodes.support, {name: array.astype(float) for name, array in case.learner.numbers.items()}
    assert support.k.max() > 12, "no support is longer than one size of the ridge systems"
    z = places_by_the_book(n, case.view)
    bias = z[:, :8] @ n["start"] + case.view.features @ n["bias"]
    similar = case.view.similar.toarray()
    wanted = np.repeat(bias[None, :], len(support), axis=0)
    for u in range(len(support)):
        rows = slice(support.indptr[u], support.indptr[u + 1])
        weight = support.weight[rows].astype(float) ** 0.5
        item, weight, age, size = support.item[rows], weight / weight.sum(), support.age_days[rows], np.log1p(support.k[u])
        if not len(item):
            continue
        user, near = BOOKS[case.learner.name](n, case.network.settings, case.view, z, item, weight, age)
        wanted[u] += np.hstack([z, case.view.features]) @ user
        wanted[u] += np.exp(n["neighbour"] @ [1, size]) * (similar[:, item] @ near)
        wanted[u] += case.view.features @ (n["trend"][0] + size * n["trend"][1])
    space = case.learner.items(known)
    np.testing.assert_allclose(score(space, case.learner.adapt(space, support)), wanted, rtol=2e-4, atol=2e-4)


# --- training and use: one formula, two namespaces


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_a_formula_is_the_same_numbers_in_both_namespaces(case, problem):
    """In double precision, from the same rows: what the namespaces call by one name is one operation."""
    import torch

    known = counting(problem[1].support, 0.5)
    here = dataclasses.replace(known, **{n: getattr(known, n).astype(float) for n in ("weight", "age", "size")})
    there = dataclasses.replace(
        here, **{n: torch.from_numpy(getattr(here, n)) for n in ("item", "owner", "weight", "age", "size")}
    )
    numbers = {name: array.astype(float) for name, array in case.learner.numbers.items()}
    tensors = {name: torch.from_numpy(array) for name, array in numbers.items()}
    view = case.view.with_each(lambda array: array.astype(float))
    rows = case.learner.represented(numbers, view, NUMPY)
    twice = case.learner.represented(tensors, view.with_each(torch.from_numpy), torch_arrays())
    for one, other in zip(rows, twice, strict=True):
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-5, atol=1e-6)  # NumPy's places are of single precision
    settings = case.learner.settings
    found = case.learner.vectors(numbers, settings, rows[0], here, NUMPY)
    again = case.learner.vectors(tensors, settings, torch.from_numpy(rows[0]), there, torch_arrays())
    for one, other in zip(found, again, strict=True):
        assert one.dtype == np.float64
        np.testing.assert_allclose(one, other.numpy(), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_users_of_whom_nothing_is_known_are_trained_as_they_are_served(case, problem):
    """A batch where no support has an entry gives the bias, and gradients that are numbers."""
    import torch

    from recpipe.dataset.episodes import shorten

    known, episodes = problem
    batch = case.network.to_batch(shorten(episodes, np.zeros(len(episodes), np.int64)), case.items)
    tensors = {name: tensor.clone().requires_grad_() for name, tensor in case.tensors.items()}
    found = case.network.scores(tensors, case.items, batch)
    space = case.learner.items(known)
    np.testing.assert_allclose(found.detach().numpy(), np.stack([space.bias] * len(episodes)), rtol=1e-4, atol=1e-5)
    case.network.loss(tensors, case.items, batch).backward()
    for name, tensor in tensors.items():
        assert tensor.grad is None or torch.isfinite(tensor.grad).all(), name
    assert tensors["bias"].grad.abs().max() > 0


def constant_gradients(monkeypatch):
    """Let the inner gradients of the next losses be those of the first one: what first order means, by the book."""
    found, calls, inner = [], [0], maml.inner_gradient

    def held(*given):
        if len(found) < 3:  # inner steps
            found.append(inner(*given).detach())
            return found[-1]
        calls[0] += 1
        return found[(calls[0] - 1) % 3]

    monkeypatch.setattr(maml, "inner_gradient", held)


@pytest.mark.parametrize("case", NAMES, indirect=True)
def test_the_gradient_of_the_loss_is_that_of_finite_differences(case, monkeypatch):
    """In double precision, along a random direction of each learned tensor; second order through the inner loop.

    That of the first order is the one of a loss whose inner gradients stay what they were.
    """
    import torch

    if case.network.settings.get("order") == 1:
        constant_gradients(monkeypatch)
    items, batch = doubled(case.items), doubled(case.batch)
    tensors = {name: value.double().requires_grad_() for name, value in case.tensors.items()}

    def loss(held):
        from recpipe.training.networks.catalogue_softmax import cross_entropy

        logits = case.network.scores(held, items, batch)
        assert logits.dtype == torch.float64
        logs = torch.log_softmax(logits.masked_fill(~batch.allowed, -torch.inf), dim=1).masked_fill(~batch.allowed, 0.0)
        found = cross_entropy(logits, batch)
        assert found.item() == pytest.approx(-(batch.target * logs).sum().item() / (batch.target.sum(1) > 0).sum().item())
        return found

    loss(tensors).backward()
    random = torch.Generator().manual_seed(2)
    for name, tensor in tensors.items():
        way = torch.randn(tensor.shape, generator=random, dtype=torch.float64)
        way /= way.norm()
        with torch.no_grad():
            ahead, back = (loss({**tensors, name: tensor + sign * 1e-5 * way}).item() for sign in (1, -1))
        wanted = (ahead - back) / 2e-5
        found = torch.zeros_like(tensor) if tensor.grad is None else tensor.grad  # nothing but the inner gradient asks it
        assert (found * way).sum().item() == pytest.approx(wanted, rel=1e-4, abs=1e-8), name


def test_the_inner_gradient_is_that_of_finite_differences(problem):
    """Of the inner loss, written down here, in double precision: the gradient stands in closed form."""
    known = counting(problem[1].support, 0.5)
    random = np.random.default_rng(3)
    x, heads, margin = random.standard_normal((70, 18)), random.standard_normal((len(known), 18)), -1.5
    x[:, 14:] = np.abs(x[:, 14:])  # logarithms of sales
    rows, correction = maml.negatives_of(x, 4, 16, NUMPY)
    double = dataclasses.replace(known, weight=known.weight.astype(float))
    found = maml.inner_gradient(x, double, x[rows], correction, margin, heads, NUMPY)
    for user in range(0, len(known), 7):
        own = slice(known.indptr[user], known.indptr[user + 1])

        def loss(head, own=own):
            against = np.log(np.exp(x[rows] @ head + correction).sum()) + margin
            return (double.weight[own] * np.logaddexp(0, against - x[known.item[own]] @ head)).sum()

        for place in range(0, 18, 5):
            shift = np.eye(18)[place] * 1e-6
            difference = (loss(heads[user] + shift) - loss(heads[user] - shift)) / 2e-6
            assert found[user, place] == pytest.approx(difference, rel=1e-6, abs=1e-8)


def test_first_order_maml_serves_as_maml_does_and_differs_in_what_it_learns(problem):
    assert make_case("maml_first_order", problem).network.settings == {**make_case("maml", problem).network.settings, "order": 1}


@pytest.mark.parametrize("name", SECOND_ORDER)
def test_first_order_takes_the_inner_gradient_for_constant(name, problem):
    """The loss is the same, its gradient is not; what only the inner gradient depends on gets none."""
    import torch

    found = {}
    for order in (1, 2):
        case = make_case(name, problem, order=order)
        tensors = {held: value.clone().requires_grad_() for held, value in case.tensors.items()}
        loss = case.network.loss(tensors, case.items, case.batch)
        loss.backward()
        found[order] = (loss.item(), {held: value.grad for held, value in tensors.items()})
    assert found[1][0] == found[2][0]
    assert found[1][1]["margin"] is None
    assert found[2][1]["margin"].abs().max() > 0
    torch.testing.assert_close(found[1][1]["rates"][-1], found[2][1]["rates"][-1])  # after the last step nothing follows
    assert not torch.allclose(found[1][1]["rates"][0], found[2][1]["rates"][0], rtol=1e-3)


@pytest.mark.parametrize("name", STEPPED)
def test_the_steps_go_down(name, problem):
    """From a start where rates are small and positive, each step lowers the mean inner loss of the support."""
    case = make_case(name, problem)
    numbers = dict(case.learner.numbers)
    known = counting(problem[1].support, 0.5)
    x = np.hstack([places(numbers, case.view, NUMPY), case.view.features])
    rows, correction = maml.negatives_of(x, 4, 16, NUMPY)
    numbers["rates"] = np.full_like(numbers["rates"], 0.02)
    numbers["layer_rates"] = np.full((3, 4, 8), 0.02, np.float32)
    losses = []
    for count in range(4):
        settings = {**case.network.settings, "steps": count}
        start = np.repeat(maml.shared_start(numbers, 18, NUMPY)[None], len(known), axis=0)
        head = maml.descended(numbers, settings, x, known, start, NUMPY)
        against = np.log(np.exp(head @ x[rows].T + correction).sum(1)) + numbers["margin"]
        owner = np.repeat(np.arange(len(known)), known.k)
        own = (x[known.item] * head[owner]).sum(1)
        losses.append(float((known.weight * np.logaddexp(0, against[owner] - own)).sum()))
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > losses[-1]


# --- what counts


ENTRY = st.tuples(st.integers(0, 20), st.sampled_from([0.0, 1.0]), st.floats(0, 3, width=32))


@given(st.lists(st.lists(ENTRY, max_size=6, unique_by=lambda entry: entry[0]), max_size=5), st.sampled_from([0.0, 0.5, 1.0]))
def test_what_counts_keeps_its_user_and_its_order_and_weighs_one_in_sum(make_support, users, power):
    found = counting(make_support(*users), power)
    wanted = [[item for item, label, weight in user if label and weight > 0] for user in users]
    assert found.k.tolist() == [len(items) for items in wanted]
    assert found.item.tolist() == [item for items in wanted for item in items]
    assert (found.weight > 0).all()
    for user in range(len(found)):
        own = found.weight[found.indptr[user] : found.indptr[user + 1]]
        assert not len(own) or own.sum() == pytest.approx(1, abs=1e-5)


# --- factors and negatives


def test_factors_are_those_of_the_decomposition(evidence):
    """Up to turns: inner products of the unit rows are those of numpy's own decomposition."""
    met = interactions(evidence.history, 70)
    found = item_factors(met, 10, user_power=0.5, item_power=0.4, turns=60).astype(float)
    dense = met.toarray().astype(float)
    counts = np.maximum((dense > 0).sum(0), 1)
    scaled = dense * ((dense > 0).sum(1)[:, None] ** -0.25) * counts**-0.4
    _, strength, right = np.linalg.svd(scaled, full_matrices=False)
    rows = right[:10].T * np.sqrt(strength[:10])
    rows[65:] = 0
    rows[:65] /= np.linalg.norm(rows[:65], axis=1, keepdims=True)
    np.testing.assert_allclose(found @ found.T, rows @ rows.T, atol=1e-4)
    assert not found[65:].any(), "an item that nobody met has factors"


def test_more_factors_than_there_are_items_or_ranks_are_zeros(evidence):
    met = interactions(evidence.history, 70)[:3]
    found = item_factors(met, 90, user_power=0.5, item_power=0.4)
    assert found.shape == (70, 90)
    assert np.isfinite(found).all()
    assert not found[:, 3:].any()
    assert not item_factors(met[:0], 5, user_power=0.5, item_power=0.4).any()


def test_negatives_follow_the_sales():
    features = np.zeros((6, 4), np.float32)
    features[:, 2] = np.log1p([0, 1000, 0, 0, 3000, 0])
    rows, correction = maml.negatives_of(features, 4, 40, NUMPY)
    mass = (np.array([0, 1000, 0, 0, 3000, 0]) + 0.1) ** 0.75
    mass /= mass.sum()
    np.testing.assert_allclose(np.bincount(rows, minlength=6) / 40, mass, atol=1 / 40)
    np.testing.assert_allclose(correction, -np.log(40 * mass[rows]), rtol=1e-4)
    # the estimate of a sum over the catalogue from them
    values = np.log(mass * 7)
    assert np.log(np.exp(values[rows] + correction).sum()) == pytest.approx(np.log(7), abs=1e-5)


# --- the loop


SHORT = {"steps": 6, "warmup_steps": 2, "batch_users": 8, "width": 6, "cutoffs": 2, "evaluate_every": 2, "device": "cpu"}


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_gives_the_same_losses_twice_and_when_it_was_stopped(name, training_input, tmp_path, monkeypatch):
    from recpipe.models.io import load
    from recpipe.training import config as config_
    from recpipe.training import loop

    config = config_.Config(learner=name, **SHORT)
    summary = loop.train(training_input, tmp_path / "one", config)
    assert name in summary["quality"]

    def stop(text):
        if text.startswith("step 4 of"):
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "say", stop)
        with pytest.raises(KeyboardInterrupt):
            loop.train(training_input, tmp_path / "two", config)
    assert not (tmp_path / "two" / "config.json").exists()
    loop.train(training_input, tmp_path / "two", config)
    for file in ("metrics.jsonl", "model.safetensors", "config.json", "checkpoint.safetensors"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes(), file
    rows = [json.loads(line) for line in (tmp_path / "one" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 2, 4, 6]
    assert all(np.isfinite(row["loss"]) for row in rows[1:])
    assert load(tmp_path / "one").name == name


def test_sales_that_are_withheld_reach_no_score(evidence, training_input, tmp_path):
    """Counts change, who met what does not: ten items are sold forty times more, to nobody by name."""
    from recpipe.dataset.folder import read_episodes_folder, write_episodes_folder
    from recpipe.models.io import load
    from recpipe.training.config import Config
    from recpipe.training.loop import train

    known, facts = read_episodes_folder(training_input)
    write_episodes_folder(tmp_path / "input", known, {**facts, "withhold": ["sales"]})
    train(tmp_path / "input", tmp_path / "blind", Config(learner="proto_maml", **SHORT))
    train(training_input, tmp_path / "seeing", Config(learner="proto_maml", **SHORT))
    sold = np.r_[known.popularity_item, np.repeat(np.arange(10, dtype=np.int32), 40)]
    more = dataclasses.replace(known, popularity_item=sold, popularity_ts=np.resize(known.popularity_ts, len(sold)))
    support = cut_episodes(known.history, known.until - np.timedelta64(7, "D"), horizon_days=7, half_life_days=90).support
    for folder, same in (("blind", True), ("seeing", False)):
        learner = load(tmp_path / folder)
        one, other = (score(space, learner.adapt(space, support)) for space in map(learner.items, (known, more)))
        assert np.array_equal(one, other) is same
