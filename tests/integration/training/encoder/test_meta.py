"""Promises of Snell's loss, MAML and Reptile over an encoder: each by its definition, by hand, and that it learns."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from recpipe.dataset.folder import read_training_input
from recpipe.text.encoder import load_encoder
from recpipe.training.encoder.course_windows import cut_windows
from recpipe.training.encoder.devices.place import find_place
from recpipe.training.encoder.finetune import finetune
from recpipe.training.encoder.finetune_config import MAML_ORDERS, Config
from recpipe.training.encoder.meta import inner_steps
from recpipe.training.encoder.meta.head_steps import head_loss, stepped_users
from recpipe.training.encoder.objectives import contrastive_loss, prototypical_loss
from recpipe.training.encoder.pair_batches import Batch
from recpipe.training.encoder.state import begin
from recpipe.training.encoder.updates import inner_gain

QUICK = Config(
    objective="maml", steps=10, temperature=0.2, batch_users=6, windows=3, rank=2, dropout=0.0, learning_rate=1e-2, inner_steps=2
)
BATCH = Batch(
    item=np.arange(5),
    support=np.array([[0.75, 0.25, 0, 0, 0], [0, 0, 1, 0, 0]], np.float32),
    candidate=np.array([1, 3, 4]),
    target=np.array([1, 2]),
    blocked=np.array([[True, False, False], [False, False, False]]),
)


def five(seed=0):
    return normalize(torch.randn(5, 4, generator=torch.Generator().manual_seed(seed), dtype=torch.float64), dim=1).float()


def test_snells_loss_by_hand():
    vectors = five()
    prototypes = [0.75 * vectors[0] + 0.25 * vectors[1], vectors[2]]

    def near(user, item):  # minus the squared distance, over twice the temperature
        return -float((prototypes[user] - vectors[item]).square().sum()) / (2 * 0.5)

    def cross_entropy(right, wrong):
        return -right + np.log(np.exp([right, *wrong]).sum())

    items = [cross_entropy(near(0, 3), [near(0, 4)]), cross_entropy(near(1, 4), [near(1, 1), near(1, 3)])]
    users = [cross_entropy(near(0, 3), [near(1, 3)]), cross_entropy(near(1, 4), [near(0, 4)])]
    assert float(prototypical_loss(vectors, BATCH, 0.5)) == pytest.approx((np.mean(items) + np.mean(users)) / 2, abs=1e-5)


def test_a_user_who_knows_an_item_or_took_it_too_is_no_wrong_answer_for_it():
    vectors = five()
    same = replace(BATCH, target=np.array([1, 1]), blocked=np.zeros((2, 3), bool))
    prototypes = torch.from_numpy(same.support) @ vectors
    logits = -torch.cdist(prototypes, vectors[[1, 3, 4]]).square() / 2
    wanted = torch.nn.functional.cross_entropy(logits, torch.tensor([1, 1])) / 2  # each item has one user left: no loss
    assert float(prototypical_loss(vectors, same, 1.0)) == pytest.approx(float(wanted), abs=1e-5)
    known = replace(BATCH, blocked=np.array([[True, False, True], [False, False, False]]))  # user 0 knows the item of user 1
    assert float(prototypical_loss(vectors, known, 0.5)) < float(prototypical_loss(vectors, BATCH, 0.5))


def test_prototypical_has_hard_negatives_unless_told():
    assert [Config(objective=name).hard for name in ("contrastive", "prototypical", "maml", "pairs")] == [0, 1, 0, 0]
    assert Config(objective="prototypical", hard_negatives=0).hard == 0
    assert Config(hard_negatives=3).hard == 3


def test_a_step_on_the_head_goes_down_the_loss_of_the_support():
    vectors = five()
    start, end = (stepped_users(vectors, BATCH, 0.5, steps, 0.05) for steps in (0, 1))
    torch.testing.assert_close(start, normalize(torch.from_numpy(BATCH.support) @ vectors, dim=1))

    def lost(user):  # of user 0: items 0 and 1, each against item 4, what is neither known nor taken
        logits = normalize(user, dim=0) @ vectors.T / 0.5
        return sum(weight * torch.log(1 + torch.exp(logits[4] - logits[item])) for weight, item in ((0.75, 0), (0.25, 1)))

    by_hand = start[0].clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(lost(by_hand), by_hand)
    torch.testing.assert_close(end[0], normalize(by_hand - 0.05 * gradient, dim=0).detach(), rtol=1e-4, atol=1e-5)
    assert lost(end[0]) < lost(start[0])


def test_the_head_learns_by_gradients_of_second_order():
    vectors = five().double().requires_grad_(True)
    batch = replace(BATCH, support=BATCH.support.astype(np.float64))
    assert torch.autograd.gradcheck(lambda v: head_loss(v, batch, 0.5, 2, 0.3), (vectors,))
    torch.testing.assert_close(head_loss(vectors, batch, 0.5, 0, 0.3), contrastive_loss(vectors, batch, 0.5))


def test_a_user_of_whose_support_nothing_counts_is_left_out():
    vectors = five().requires_grad_(True)
    support = np.concatenate([BATCH.support, np.zeros((1, 5), np.float32)])
    more = replace(BATCH, support=support, target=np.array([1, 2, 0]), blocked=np.concatenate([BATCH.blocked, [[False] * 3]]))
    lost = head_loss(vectors, more, 0.5, 2, 0.3)
    torch.testing.assert_close(lost, head_loss(vectors, BATCH, 0.5, 2, 0.3))
    lost.backward()
    assert vectors.grad.isfinite().all()
    nobody = replace(BATCH, support=np.zeros((2, 5), np.float32))
    assert float(head_loss(vectors, nobody, 0.5, 2, 0.3)) == 0.0


class Scale(torch.nn.Module):
    """Vectors that two numbers turn."""

    def __init__(self) -> None:
        super().__init__()
        self.a = torch.nn.Parameter(torch.tensor(0.3, dtype=torch.float64))
        self.b = torch.nn.Parameter(torch.tensor(-0.2, dtype=torch.float64))

    def encode(self, rows):
        base = five().double()[torch.from_numpy(rows)]
        return normalize(base + self.a * base.roll(1, 1) + self.b * base.flip(1), dim=1)


def task():
    return inner_steps.Task(np.array([0, 1]), np.array([0.75, 0.25]), 3, np.array([2, 4]))


def parts():
    network = Scale()
    return network, dict(network.named_parameters())


def by_hand(loss_of, start, steps, rate):
    """Plain gradient descent by numeric derivatives."""
    values = np.array(start)
    for _ in range(steps):
        values = values - rate * slope(loss_of, values)
    return values


def slope(loss_of, values, h=1e-5):
    return np.array([(loss_of(values + h * one) - loss_of(values - h * one)) / (2 * h) for one in np.eye(len(values))])


def at(values, loss):
    network, parameters = parts()
    inner_steps.put_back(parameters, dict(zip("ab", torch.tensor(values, dtype=torch.float64), strict=True)))
    return float(loss(network.encode, task(), 0.5))


def test_first_order_maml_is_the_querys_gradient_where_the_steps_end():
    network, parameters = parts()
    lost = inner_steps.add_first_order(parameters, network.encode, task(), 0.5, 3, 0.1, 0.25)
    end = by_hand(lambda v: at(v, inner_steps.support_loss), [0.3, -0.2], 3, 0.1)
    assert lost == pytest.approx(at(end, inner_steps.query_loss), abs=1e-6)
    wanted = 0.25 * slope(lambda v: at(v, inner_steps.query_loss), end)
    np.testing.assert_allclose([float(value.grad) for value in parameters.values()], wanted, rtol=1e-4)
    assert [float(value) for value in parameters.values()] == pytest.approx([0.3, -0.2])  # the initialisation is where it was


def test_reptile_is_the_way_from_start_to_end():
    network, parameters = parts()
    for share in (0.25, 0.5):  # two tasks add up
        inner_steps.add_reptile(parameters, network.encode, task(), 0.5, 3, 0.1, share)

    def both(values):
        return at(values, inner_steps.support_loss) + at(values, inner_steps.query_loss)

    end = by_hand(both, [0.3, -0.2], 3, 0.1)
    wanted = 0.75 * (np.array([0.3, -0.2]) - end) / 0.1
    np.testing.assert_allclose([float(value.grad) for value in parameters.values()], wanted, rtol=1e-4)


def test_a_supports_own_loss_leaves_each_item_out_of_its_prototype():
    vectors = five().double()
    alone = inner_steps.Task(np.array([0]), np.array([1.0]), 3, np.array([2, 4]))
    both = float(inner_steps.support_loss(lambda rows: vectors[torch.from_numpy(rows)], task(), 0.5))
    first = -torch.log_softmax(torch.stack([vectors[1] @ vectors[row] for row in (0, 2, 4)]) / 0.5, 0)[0]
    second = -torch.log_softmax(torch.stack([vectors[0] @ vectors[row] for row in (1, 2, 4)]) / 0.5, 0)[0]
    assert both == pytest.approx(float(first + second) / 2, abs=1e-6)
    one = float(inner_steps.support_loss(lambda rows: vectors[torch.from_numpy(rows)], alone, 0.5))
    wanted = -torch.log_softmax(torch.stack([vectors[0] @ vectors[row] for row in (0, 2, 4)]) / 0.5, 0)[0]
    assert one == pytest.approx(float(wanted), abs=1e-6)


def test_the_query_of_a_task_is_no_wrong_answer_in_its_inner_steps():
    tasks = inner_steps.tasks_of(BATCH)
    assert [(list(one.support), one.target, list(one.wrong)) for one in tasks] == [([0, 1], 3, [4]), ([2], 4, [1, 3])]


@pytest.mark.parametrize("order", MAML_ORDERS)
@pytest.mark.parametrize("method", ["lora", "top_layers"])
def test_maml_learns_and_says_what_inner_steps_are_worth(tiny_encoder, shop, tmp_path, order, method):
    config = replace(QUICK, maml_order=order, method=method, top_layers=1, steps=30, inner_rate=0.02, learning_rate=5e-3)
    summary = finetune(shop, str(tiny_encoder), tmp_path, config)
    assert summary["after"]["gain_by_weight"]["0.0"]["mean"] > 0
    found = summary["inner_steps"]
    assert (found["order"], found["steps"], found["rate"]) == (order, 2, 0.02)
    assert found["users"] > 40
    assert found["gain"]["mean"] == pytest.approx(found["with"] - found["without"])
    assert found["gain"]["low"] <= found["gain"]["mean"] <= found["gain"]["high"]


def test_prototypical_learns(tiny_encoder, shop, tmp_path):
    config = Config(objective="prototypical", steps=30, batch_users=16, windows=3, rank=2, learning_rate=1e-2)
    summary = finetune(shop, str(tiny_encoder), tmp_path, config)
    assert summary["after"]["gain_by_weight"]["0.0"]["low"] > 0


def test_users_are_served_by_their_own_parameters_and_none_is_left_moved(tiny_encoder, shop):
    source, place = load_encoder(str(tiny_encoder)), find_place("cpu", "float32")
    found, facts, _ = read_training_input(shop)
    windows = cut_windows(found, facts, source, QUICK, place, lambda _text: None)
    course = begin(QUICK, source, place)
    before = inner_steps.copies(course.parameters)
    titles = windows.evidence.catalogue.texts
    still = inner_gain.measure_inner_steps(course, windows.last, titles, replace(QUICK, inner_rate=1e-12))
    assert still["gain"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    moved = inner_gain.measure_inner_steps(course, windows.last, titles, replace(QUICK, inner_rate=20.0))
    assert moved["with"] != moved["without"] == still["without"]
    assert all(torch.equal(before[name], value) for name, value in course.parameters.items())
    for user in inner_gain.served_users(windows.last, QUICK):
        support, wrong = set(user.rows[user.task.support]), set(user.rows[user.task.wrong])
        assert not support & wrong
        assert not (support | wrong) & set(user.rows[user.candidates])
