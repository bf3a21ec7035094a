"""The pooled learner: whom it listens to, and that it stays with the best closed form where nothing beats it."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from recpipe.errors import TrainingFailed
from recpipe.experiments.rating_protocol import predictor, read
from recpipe.metrics.probability import auc
from recpipe.models.ratings.bias_baselines import BASELINES, CANDIDATES
from recpipe.models.ratings.choice.pooled_learner import _taught, fit_pooled, kinds_of, onto
from recpipe.models.ratings.ratings import Task, sorted_ratings

LEVELS = np.array([0.0, 1.0])


def world(users: int = 260, items: int = 60, seed: int = 0):
    """Likes that come from how kind a user is, and from what only an oracle sees."""
    random = np.random.default_rng(seed)
    kind, hidden = random.normal(0, 1.5, users), random.normal(0, 1.5, (users, items))
    user, item = np.nonzero(random.random((users, items)) < 0.4)
    value = (random.random(len(user)) < 1 / (1 + np.exp(-kind[user] - hidden[user, item]))).astype(float)
    late = user >= 200
    size = {"users": users, "items": items}
    known = sorted_ratings(user[~late], item[~late], value[~late], **size, time=(user + random.random(len(user)))[~late])
    tasks, truth = [], []
    for one in range(200, users):
        rows = random.permutation(np.flatnonzero(user == one))
        support, query = np.sort(rows[:6]), rows[6:]
        tasks.append(Task(one, item[support], value[support], item[query]))
        truth.append(value[query])
    return known, tasks, truth, hidden


def part_of(odds):
    """A learned part whose log odds of a like are a table of users and items."""

    def learn(ratings, levels):
        del ratings, levels

        def chances(tasks):
            like = [1 / (1 + np.exp(-odds[task.user, task.query])) for task in tasks]
            return [np.column_stack([1 - one, one]) for one in like]

        return chances

    return learn


def area(answers, truth) -> float:
    return auc(np.concatenate(answers), np.concatenate(truth))


def test_a_part_of_noise_leaves_the_best_closed_form_as_it_is():
    known, tasks, truth, _ = world()
    noise = np.random.default_rng(1).normal(0, 2, (known.users, known.items))
    found = area(fit_pooled(known, {"noise": part_of(noise)}).predict(tasks), truth)
    best = max(area(form(known)(tasks), truth) for form in BASELINES.values())
    assert found > best - 0.005
    assert best > 0.6, "there is something to lose"


def test_a_part_that_sees_more_is_listened_to_beside_the_closed_forms():
    known, tasks, truth, hidden = world()
    oracle = part_of(hidden)
    pooled = area(fit_pooled(known, {"oracle": oracle}).predict(tasks), truth)
    best = max(area(form(known)(tasks), truth) for form in BASELINES.values())
    alone = area([chances[:, 1] for chances in oracle(known, LEVELS)(tasks)], truth)
    assert pooled > best + 0.05
    assert pooled > alone, "kindness of users counts as well"


def test_what_nobody_listens_to_is_not_taught_again():
    known, *_ = world(users=210)
    weights = {(): np.r_[np.arange(len(CANDIDATES)) == 3, 0.0, 0.0]}
    taught: list[str] = []

    def learn(ratings, levels):
        taught.append("again")
        return part_of(np.zeros((known.users, known.items)))(ratings, levels)

    model = _taught(known, {"idle": learn}, {}, weights, LEVELS)
    assert (list(model.forms), list(model.learned), taught) == ([list(CANDIDATES)[3]], [], [])
    np.testing.assert_array_equal(model.weights[()], [1])


def test_too_little_to_rehearse_leaves_the_first_learned_part_alone():
    known, tasks, *_ = world()
    few = known.kept(known.user < 3)
    odds = np.random.default_rng(2).normal(size=(known.users, known.items))
    answers = fit_pooled(few, {"part": part_of(odds)}).predict(tasks)
    np.testing.assert_allclose(np.concatenate(answers), np.concatenate([1 / (1 + np.exp(-odds[t.user, t.query])) for t in tasks]))


def test_nothing_to_learn_from_is_refused_and_nothing_to_answer_is_answered():
    known, *_ = world()
    part = part_of(np.zeros((known.users, known.items)))
    with pytest.raises(TrainingFailed, match="no ratings"):
        fit_pooled(known.kept(known.user < 0), {"part": part})
    assert fit_pooled(known, {"part": part}).predict([]) == []


def test_the_kind_of_a_query():
    task = Task(0, np.arange(4), np.zeros(4), np.array([1, 2]), np.array([True, False, True, True]))
    assert kinds_of([task], np.array([True, True, False, True])) == [
        ("rated item", "known user"),
        ("new item", "known user"),
    ]


def test_chances_of_other_levels_go_to_the_level_next_to_them():
    chances = onto(np.array([[0.2, 0.3, 0.5]]), np.array([1.0, 2, 5]), np.array([1.0, 2, 3, 4]))
    np.testing.assert_allclose(chances, [[0.2, 0.3, 0, 0.5]])


@pytest.mark.slow
@pytest.mark.parametrize("timed", [True, False])
def test_on_real_likes_the_default_is_not_below_its_closed_forms(tmp_path, timed):
    if not os.environ.get("RECPIPE_TEST_DATA"):
        pytest.skip("needs real data: set RECPIPE_TEST_DATA to the folder that holds movielens_small")
    truth = likes_of_newcomers(Path(os.environ["RECPIPE_TEST_DATA"]) / "movielens_small", tmp_path, timed)
    split = read(tmp_path)
    found = {name: np.zeros(len(truth)) for name in ("pooled", "damped-bias", "item-kernel", "user-mean", "support-mean")}
    for name, answers in found.items():
        for rows, values in zip(split.rows, predictor(name, split)(split.tasks), strict=True):
            answers[rows] = values
    areas = {name: auc(answers, truth) for name, answers in found.items()}
    assert areas["pooled"] > max(areas.values()) - 0.003, areas


def likes_of_newcomers(data: Path, folder: Path, timed: bool) -> np.ndarray:
    """Write a split: who came after three quarters of the ratings is asked for 20, after one to ten; return the truth."""
    events, items = pd.read_parquet(data / "events.parquet"), pd.read_parquet(data / "items.parquet")
    counts = events.groupby("item_id").size()
    kept = counts[counts >= 3].sample(frac=0.12, random_state=0).index
    events = events[events.item_id.isin(kept)].sort_values(["ts", "user_id", "item_id"])
    events["rating"] = (events.rating >= 4).astype(int)
    cut, first = events.ts.quantile(0.75), events.groupby("user_id").ts.transform("min")
    columns = ["user_id", "item_id", "rating", *(["ts"] if timed else [])]
    events[events.ts < cut][columns].to_parquet(folder / "warm.parquet")
    new = events[first >= cut]
    place, size = new.groupby("user_id").cumcount(), new.groupby("user_id").item_id.transform("size")
    most = new.user_id.map({user: (1, 3, 5, 10)[n % 4] for n, user in enumerate(sorted(new.user_id.unique()))})
    known = np.minimum(most, size // 2)
    new[place < known][columns].to_parquet(folder / "support.parquet")
    query = new[(place >= known) & (place < known + 20)]
    query[["user_id", "item_id"]].to_parquet(folder / "query.parquet")
    items[items.item_id.isin(kept)][["item_id", "title", "category_path"]].to_parquet(folder / "items.parquet")
    return query.rating.to_numpy(np.float64)
