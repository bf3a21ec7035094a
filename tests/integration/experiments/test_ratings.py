"""``recpipe benchmark ratings`` from folder to file."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from recpipe.errors import BadDelivery, BadSetting
from recpipe.experiments.rating_protocol import LEARNED, predictor, read, run
from recpipe.models.ratings.bias_baselines import BASELINES

SCENARIOS = ("new user", "new item")


def world(seed: int = 0, users: int = 90, items: int = 50):
    """Ratings that follow from genre, user and chance; the last users and items are new."""
    random = np.random.default_rng(seed)
    genre, taste = random.integers(0, 3, items), random.normal(0, 0.7, (users, 3))
    quality, kindness = np.array([-1.0, 0, 1])[genre] + random.normal(0, 0.2, items), random.normal(0, 0.6, users)
    user, item = np.nonzero(random.random((users, items)) < 0.5)
    value = 3.4 + quality[item] + kindness[user] + taste[user, genre[item]] + random.normal(0, 0.5, len(user))
    return genre, user, item, np.clip(np.round(value), 1, 5)


def write(folder: Path, liked: bool = False, seed: int = 0) -> np.ndarray:
    """Write a split; return the truth of its query."""
    genre, user, item, value = world(seed)
    value = (value >= 4).astype(float) if liked else value
    random = np.random.default_rng(seed)
    new_user, new_item = user >= 70, item >= 40
    asked = (new_user | new_item) & (random.random(len(user)) < 0.5)
    known = (new_user | new_item) & ~asked & (user != 89)  # user 89 comes without a support
    folder.mkdir(parents=True, exist_ok=True)

    def table(rows, *columns):
        values = {"user_id": user[rows], "item_id": item[rows] + 1000, "rating": value[rows].astype(np.int8)}
        values["scenario"] = np.where(new_item[rows], SCENARIOS[1], SCENARIOS[0])
        return pa.table({name: values[name] for name in columns})

    pq.write_table(table(~(new_user | new_item), "user_id", "item_id", "rating"), folder / "warm.parquet")
    pq.write_table(table(known, "scenario", "user_id", "item_id", "rating"), folder / "support.parquet")
    pq.write_table(table(asked, "scenario", "user_id", "item_id"), folder / "query.parquet")
    described = {"item_id": np.arange(50) + 1000, "genre": [f"g{g}|all" for g in genre], "year": 1950 + np.arange(50)}
    pq.write_table(pa.table(described), folder / "items.parquet")
    pq.write_table(pa.table({"user_id": np.arange(90), "age": np.arange(90) % 7}), folder / "users.parquet")
    return value[asked]


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("split")
    return folder, write(folder)


def predictions(folder: Path, learner: str = "", seed: int = 0) -> np.ndarray:
    run(folder, folder / "preds.parquet", learner, seed)
    return pq.read_table(folder / "preds.parquet")["prediction"].to_numpy()


def test_the_learner_beats_every_baseline_on_a_world_that_its_columns_explain(split):
    folder, truth = split
    new = np.array(pq.read_table(folder / "query.parquet")["scenario"].to_pylist()) == SCENARIOS[1]
    error = np.abs(predictions(folder) - truth)
    for baseline in BASELINES:
        other = np.abs(predictions(folder, baseline) - truth)
        assert error.mean() < other.mean()
        assert error[new].mean() < other[new].mean()


def test_every_row_of_the_query_is_answered_on_the_scale(split):
    folder, _ = split
    for learner in [*LEARNED, *BASELINES]:
        if learner != "ridge-encoder":
            found = predictions(folder, learner)
            assert np.isfinite(found).all()
            if learner in LEARNED:
                assert found.min() >= 1
                assert found.max() <= 5
    table = pq.read_table(folder / "preds.parquet")
    assert table.drop_columns("prediction").equals(pq.read_table(folder / "query.parquet"))


def test_the_same_seed_gives_the_same_bytes_whatever_the_order_of_rows(split, tmp_path):
    folder, _ = split
    first = dict(zip(keys(folder), predictions(folder), strict=True))
    random = np.random.default_rng(1)
    for file in folder.glob("*.parquet"):
        table = pq.read_table(file)
        if "prediction" not in table.column_names:
            pq.write_table(table.take(random.permutation(table.num_rows)), tmp_path / file.name)
    assert dict(zip(keys(tmp_path), predictions(tmp_path), strict=True)) == first
    data = (tmp_path / "preds.parquet").read_bytes()
    predictions(tmp_path)
    assert (tmp_path / "preds.parquet").read_bytes() == data


def keys(folder: Path) -> list[tuple[str, int, int]]:
    table = pq.read_table(folder / "query.parquet")
    return list(zip(*(table[name].to_pylist() for name in ("scenario", "user_id", "item_id")), strict=True))


def test_a_task_is_answered_alike_alone_and_among_others(split, tmp_path):
    folder, _ = split
    for name in ("warm", "items", "users", "support", "query"):
        pq.write_table(pq.read_table(folder / f"{name}.parquet"), tmp_path / f"{name}.parquet")
    whole = dict(zip(keys(folder), predictions(folder), strict=True))
    for name in ("support", "query"):
        table = pq.read_table(folder / f"{name}.parquet")
        user = table["user_id"].to_numpy()
        pq.write_table(table.filter(pa.array((user == 75) | (user == 3))), tmp_path / f"{name}.parquet")
    alone = dict(zip(keys(tmp_path), predictions(tmp_path), strict=True))
    assert len({user for _, user, _ in alone}) == 2
    assert alone == {key: whole[key] for key in alone}


def test_likes_are_answered_with_chances(tmp_path):
    truth = write(tmp_path, liked=True)
    found = predictions(tmp_path)
    assert found.min() >= 0
    assert found.max() <= 1
    assert ((found - truth) ** 2).mean() < ((truth.mean() - truth) ** 2).mean()
    assert len(np.unique(found)) > 10


def test_tables_of_items_and_users_may_be_missing_or_empty_of_columns(split, tmp_path):
    folder, truth = split
    for name in ("warm", "support", "query"):
        pq.write_table(pq.read_table(folder / f"{name}.parquet"), tmp_path / f"{name}.parquet")
    bare = predictions(tmp_path)
    assert np.abs(bare - truth).mean() < np.abs(3 - truth).mean()
    for name in ("item", "user"):
        pq.write_table(pq.read_table(folder / f"{name}s.parquet").select([f"{name}_id"]), tmp_path / f"{name}s.parquet")
    np.testing.assert_array_equal(predictions(tmp_path), bare)


def test_users_and_items_that_nobody_knows_get_an_answer(split, tmp_path):
    folder, _ = split
    for name in ("warm", "items", "users"):
        pq.write_table(pq.read_table(folder / f"{name}.parquet"), tmp_path / f"{name}.parquet")
    pq.write_table(pa.table({"user_id": [7777], "item_id": [9999]}), tmp_path / "query.parquet")
    nobody = {"user_id": pa.array([], pa.int64()), "item_id": pa.array([], pa.int64()), "rating": pa.array([], pa.int8())}
    pq.write_table(pa.table(nobody), tmp_path / "support.parquet")
    assert 1 <= predictions(tmp_path)[0] <= 5


def test_a_handful_of_ratings_is_enough_to_answer(tmp_path):
    pq.write_table(pa.table({"user_id": ["a", "b"], "item_id": ["x", "y"], "rating": [4, 4]}), tmp_path / "warm.parquet")
    pq.write_table(pa.table({"user_id": ["c"], "item_id": ["x"], "rating": [4]}), tmp_path / "support.parquet")
    pq.write_table(pa.table({"user_id": ["c", "a"], "item_id": ["y", "y"]}), tmp_path / "query.parquet")
    np.testing.assert_allclose(predictions(tmp_path), 4)


def test_a_known_users_ratings_belong_to_the_task(split):
    folder, _ = split
    found = read(folder)
    task = next(task for task in found.tasks if task.user == int(np.searchsorted(sorted(map(str, range(90))), "3")))
    assert (task.item < 40).any()
    assert len(set(task.item)) == len(task.item)


def test_ratings_of_other_tasks_are_not_known(split, tmp_path):
    """Whatever the others say of a new item, a task's answer stays."""
    folder, _ = split
    for name in ("warm", "items", "users", "query"):
        pq.write_table(pq.read_table(folder / f"{name}.parquet"), tmp_path / f"{name}.parquet")
    support = pq.read_table(folder / "support.parquet")
    user, rating = support["user_id"].to_numpy(), support["rating"].to_numpy().copy()
    rating[user != 3] = 1
    pq.write_table(support.set_column(3, "rating", pa.array(rating)), tmp_path / "support.parquet")
    mine = [key[1] == 3 for key in keys(folder)]
    np.testing.assert_array_equal(predictions(folder)[mine], predictions(tmp_path)[mine])


@pytest.mark.parametrize(
    ("name", "times", "found"),
    [
        ("when", pa.array(np.arange(6), pa.timestamp("s")), np.arange(6) * 1e6),
        ("ts", pa.array(np.arange(6)), np.arange(6)),
        ("price", pa.array(np.arange(6)), None),
        ("ts", pa.array([0, 1, None, 3, 4, 5]), None),
    ],
)
def test_times_are_read_from_a_column_of_dates_or_of_such_a_name(tmp_path, name, times, found):
    warm = pa.table({"user_id": list("bbbaaa"), "item_id": list("xyzxyz"), "rating": [1, 2, 3, 4, 5, 1]})
    pq.write_table(warm.append_column(name, times), tmp_path / "warm.parquet")
    pq.write_table(warm.slice(0, 1), tmp_path / "support.parquet")
    pq.write_table(warm.slice(1, 1), tmp_path / "query.parquet")
    ratings = read(tmp_path).ratings
    if found is None:
        assert ratings.time is None
    else:
        np.testing.assert_array_equal(ratings.time, found[[3, 4, 5, 0, 1, 2]])


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("support", lambda table: table.drop_columns("rating"), "lacks the column rating"),
        ("warm", lambda table: table.set_column(0, "user_id", table["user_id"].cast(pa.float64())), "holds fractions"),
        ("items", lambda table: pa.concat_tables([table, table.slice(3, 1)]), "'1003' stands in two rows"),
        ("warm", lambda table: table.set_column(2, "rating", pa.array([None] * table.num_rows, pa.int8())), "rows are empty"),
    ],
)
def test_what_cannot_be_read_is_named(split, tmp_path, name, change, sentence):
    folder, _ = split
    for file in ("warm", "items", "users", "support", "query"):
        table = pq.read_table(folder / f"{file}.parquet")
        pq.write_table(change(table) if file == name else table, tmp_path / f"{file}.parquet")
    with pytest.raises(BadDelivery, match=sentence):
        read(tmp_path)


def test_a_missing_table_and_an_unknown_learner_are_named(tmp_path, split):
    with pytest.raises(BadDelivery, match=r"warm\.parquet' is missing"):
        read(tmp_path)
    with pytest.raises(BadSetting, match="Learner 'forest' is none of pooled"):
        run(split[0], tmp_path / "out.parquet", "forest")


def test_long_texts_are_encoded_where_that_is_asked_for(split, tmp_path):
    folder, _ = split
    items = pq.read_table(folder / "items.parquet")
    for name in ("warm", "support", "query"):
        pq.write_table(pq.read_table(folder / f"{name}.parquet"), tmp_path / f"{name}.parquet")
    plots = [f"a long story number {n} that is told in many more words than ten" for n in range(items.num_rows)]
    pq.write_table(items.append_column("plot", pa.array(plots)), tmp_path / "items.parquet")
    given: list[int] = []

    def encode(texts):
        given.append(len(texts))
        return np.random.default_rng(0).normal(size=(len(texts), 8)).astype(np.float32)

    answers = predictor("ridge-encoder", read(tmp_path), encode=encode)(read(tmp_path).tasks)
    assert given == [50]
    assert all(np.isfinite(answer).all() for answer in answers)
