"""The parameter `from` of train_meta_model: what it takes, and that it reaches the job as one argument, never a shell."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk.exceptions import ParamValidationError

from recpipe.airflow import defaults
from recpipe.config.settings import load_settings


@pytest.mark.parametrize(
    "value", [None, "", "champion", "12", "models:/sister_shop/3", "/models/shop of A", "s3-copy/model", "./model"]
)
def test_it_takes_what_names_a_model(value):
    param = defaults.from_param()
    param.value = value
    assert param.resolve() == value


@pytest.mark.parametrize("value", ["--device", "-x", " champion", "\tchampion", 12, ["champion"]])
def test_it_refuses_options_and_other_types(value):
    with pytest.raises(ParamValidationError):
        defaults.from_param().resolve(value)


@pytest.mark.parametrize(
    ("given", "setting", "expected"),
    [(None, "", ""), (None, "champion", "champion"), ("", "champion", "champion"), ("7", "champion", "7")],
)
def test_the_run_goes_before_the_setting(monkeypatch, given, setting, expected):
    monkeypatch.setattr(defaults, "get_current_context", lambda: {"params": {"from": given}})
    assert defaults.from_of_run(load_settings(train_from=setting).training) == expected


def test_the_job_gets_it_as_one_argument():
    from airflow.dag_processing.dagbag import DagBag

    file = Path(__file__).parents[3] / "dags" / "train_meta_model.py"
    dag = DagBag(file).dags["train_meta_model"]
    assert "from" in dag.params
    command = dag.get_task("train").command
    place = command.index("--from")
    start, shop = command[place + 1], command[place + 2]
    assert [(arg.operator.task_id, arg.key) for arg in (start, shop)] == [("export", "start"), ("export", "shop")]
