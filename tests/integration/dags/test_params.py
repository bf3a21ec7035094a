"""What a person who may trigger a DAG can say: every parameter has a schema, and texts that mean harm are refused or mean nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from airflow.dag_processing.dagbag import DagBag
from airflow.exceptions import ParamValidationError
from airflow.serialization.serialized_objects import DagSerialization

from recpipe.config.settings import load_settings
from recpipe.errors import BadSetting
from recpipe.promotion.start_from import name_start

DAGS = Path(__file__).parents[3] / "dags"
NAMES = sorted(path.stem for path in DAGS.glob("*.py"))
HARMFUL = ("; rm -rf /", "$(touch sprung)", "`touch sprung`", "| touch sprung", "--config=/etc/passwd", "-rf", "../../etc", "/etc/passwd",
           "{{ var.value }}", "2011-09-01; ls", "2011-09-01\n--out", "12 --out /", "12\n", "\x00", "'; DROP TABLE days; --", "9" * 5000)  # fmt: skip
OTHER_TYPES = (12, True, {"a": "b"}, ["2011-09-01"])


@pytest.fixture(scope="module")
def bag() -> DagBag:
    return DagBag(DAGS)


@pytest.fixture(scope="module", params=NAMES)
def dag(request: pytest.FixtureRequest, bag: DagBag) -> Any:
    """A DAG as the API server and the scheduler have it: out of the database."""
    return DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[request.param]))


def triggered(dag: Any, **conf: Any) -> dict[str, Any]:
    """Return the parameters of a run that is triggered with a configuration, as Airflow makes them."""
    params = dag.params.deep_merge(conf)
    params.validate()
    return {name: params[name] for name in params}


def narrow(schema: dict[str, Any]) -> bool:
    """Whether a schema says more of a text, or of the texts in a list, than that it is one."""
    if "items" in schema:
        return narrow(schema["items"])
    return (
        bool({"pattern", "format", "enum"} & set(schema)) if "string" in str(schema.get("type", "string")) else "type" in schema
    )


def test_every_parameter_says_what_it_takes(dag: Any) -> None:
    for name in dag.params:
        assert narrow(dag.params.get_param(name).schema), f"{dag.dag_id}: {name} takes any text"


def test_what_means_harm_is_refused_or_means_nothing(dag: Any) -> None:
    for name in dag.params:
        for value in (*HARMFUL, *OTHER_TYPES):
            try:
                taken = triggered(dag, **{name: value})[name]
            except ParamValidationError:
                continue
            if name == "from" and not taken.isdecimal():  # it may be a path: `export` takes it for a model folder, or for nothing
                with pytest.raises(BadSetting, match="Training cannot start from"):
                    name_start(load_settings().promotion, taken)
            elif isinstance(taken, bool):  # a yes or a no, and nothing that was read as one
                assert taken is value
            else:
                assert taken.strip().isdecimal(), f"{dag.dag_id}: {name} takes {value!r}"


def test_no_command_is_one_text(bag: DagBag) -> None:
    """A list of arguments needs no shell; there is no operator in these DAGs that would start one."""
    for dag in bag.dags.values():
        for task in dag.tasks:
            assert type(task).__name__ not in ("BashOperator", "SSHOperator", "KubernetesPodOperator", "DockerOperator")
            assert isinstance(getattr(task, "command", []), list)


@pytest.mark.parametrize(
    ("name", "conf"),
    [
        ("recommend_nightly", {"day": "2011-09-01", "model_version": "12"}),
        ("train_meta_model", {"day": "2011-08-28", "from": "models:/sister_shop/3"}),
    ],
)
def test_good_values_are_taken(bag: DagBag, name: str, conf: dict[str, str]) -> None:
    assert triggered(DagSerialization.from_dict(DagSerialization.to_dict(bag.dags[name])), **conf) == conf
