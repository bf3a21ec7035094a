"""Airflow and MLflow run on the services as docker/compose.yaml has them."""

from __future__ import annotations

import urllib.error

import pytest
from cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]  # whoever comes first starts the cluster


def test_pages_ask_for_a_login_and_the_administrator_of_init_has_one(airflow_cluster: Cluster) -> None:
    with pytest.raises(urllib.error.HTTPError, match="401"):
        airflow_cluster.api("/api/v2/dags")
    dags = airflow_cluster.api("/api/v2/dags", airflow_cluster.token())["dags"]
    assert {"ingest_clickstream", "recommend_nightly", "train_meta_model"} <= {dag["dag_id"] for dag in dags}


def test_workers_take_the_queues_of_compose(airflow_cluster: Cluster) -> None:
    code = (
        "from airflow.providers.celery.executors.celery_executor import app; import json; "
        "found = app.control.inspect(timeout=10).active_queues(); "
        "print(json.dumps({name.split('@')[0]: [q['name'] for q in queues] for name, queues in found.items()}, sort_keys=True))"
    )
    said = airflow_cluster.run("python", "-c", code)
    assert said.splitlines()[-1] == '{"worker-1": ["default"], "worker-2": ["default"], "worker-gpu": ["gpu"]}'
