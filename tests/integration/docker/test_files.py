"""Everything that the files of docker/ name exists: stages, files, variables, commands, settings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency

from recpipe.config.settings import Settings

ROOT = Path(__file__).resolve().parents[3]
DOCKER = ROOT / "docker"
DOCKERFILE = (DOCKER / "Dockerfile").read_text()
COMPOSE_TEXT = (DOCKER / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
HELM: dict[str, Any] = yaml.safe_load((DOCKER / "helm-values.yaml").read_text())
STAGES = set(re.findall(r"^FROM \S+ AS (\S+)", DOCKERFILE, re.M))


def ours() -> dict[str, dict[str, Any]]:
    return {name: service for name, service in SERVICES.items() if service["image"].startswith("recpipe:")}


def variables(text: str) -> set[str]:
    return set(re.findall(r"(?<!\$)\$\{([A-Z_0-9]+)", text))


def example() -> dict[str, str]:
    lines = (DOCKER / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def test_what_the_image_copies_exists() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.M)
    files = [word for line in copied for word in line.split()[:-1] if not word.startswith("--")]
    assert {"docker/requirements.txt", "docker/requirements-cluster.txt", "recpipe", "dags"} <= set(files)
    assert [file for file in files if not (ROOT / file).exists()] == []


def test_stages_are_defined_before_they_are_used() -> None:
    seen: set[str] = set()
    for line in DOCKERFILE.splitlines():
        base = re.match(r"FROM (\S+) AS (\S+)", line)
        used = {base[1]} & STAGES if base else set(re.findall(r"(?:--from=|from=)(\w[\w-]*)", line))
        assert used <= seen, line
        if base:
            seen.add(base[2])
    assert {"cpu", "gpu"} <= seen


def test_images_are_pinned_and_run_as_nobody_special() -> None:
    bases = [base for base in re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) if base not in STAGES]
    others = [service["image"] for service in SERVICES.values() if not service["image"].startswith("recpipe:")]
    assert len(others) == 3
    assert [image for image in bases + others if not re.search(r":(RELEASE\.\d{4}|\d+\.\d+)", image)] == []
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.M) == ["50000:0"]


def test_targets_and_files_of_compose_exist() -> None:
    for name, service in ours().items():
        if "build" in service:
            assert service["build"]["target"] in STAGES, name
            assert (DOCKER / service["build"]["dockerfile"].removeprefix("docker/")).is_file()
    built = {service["image"] for service in ours().values() if "build" in service}
    assert {service["image"] for service in ours().values()} == built
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]
    sources = [mount.split(":")[0] for mount in mounts]
    assert [one for one in sources if one.startswith("./") and not (DOCKER / one).is_file()] == []
    named = {one for one in sources if not one.startswith((".", "$"))}
    assert named == set(COMPOSE["volumes"])


def test_every_service_waits_for_what_it_needs_and_says_whether_it_is_well() -> None:
    for name, service in SERVICES.items():
        assert "healthcheck" in service or name == "init", name
        assert set(service.get("depends_on", {})) <= set(SERVICES), name
    asked = {"postgres", "redis", "s3", "mlflow", "api-server", "scheduler", "dag-processor", "triggerer", "worker", "worker-gpu"}
    assert asked <= set(SERVICES)


def test_compose_is_not_open_to_the_network() -> None:
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}
    assert set(published) == {"api-server", "mlflow"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)
    assert all("network_mode" not in service and not service.get("privileged") for service in SERVICES.values())
    hosts = SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert "*" not in "".join(hosts)
    assert SERVICES["mlflow"]["environment"]["MLFLOW_ALLOW_PICKLE_DESERIALIZATION"] == "false"


def test_links_lead_where_a_browser_can_go() -> None:
    """A browser knows what compose publishes, and no name of a service."""
    for page, service in (("AIRFLOW_PAGES", "api-server"), ("MLFLOW_PAGES", "mlflow")):
        (published,) = SERVICES[service]["ports"]
        address = f"http://{published.rpartition(':')[0]}"
        assert example()[page] == address
        assert SERVICES["worker"]["environment"][f"RECPIPE_{page}"] == f"${{{page}:-{address}}}"
    in_the_cluster = {entry["name"]: entry["value"] for entry in HELM["env"]}
    assert all(in_the_cluster[f"RECPIPE_{page}"].startswith("https://") for page in ("AIRFLOW_PAGES", "MLFLOW_PAGES"))


def test_the_example_names_every_variable_and_no_secret() -> None:
    assert variables(COMPOSE_TEXT) == set(example())
    secret = [name for name in example() if re.search("PASSWORD|SECRET|FERNET", name)]
    assert len(secret) >= 6
    assert all(example()[name] == "" for name in secret)
    assert "/docker/.env" in (ROOT / ".gitignore").read_text().splitlines()


def test_every_queue_that_training_may_be_sent_to_has_a_worker() -> None:
    commands = [service["command"] for service in SERVICES.values() if "--queues" in service.get("command", [])]
    queues = {command[command.index("--queues") + 1] for command in commands}
    assert queues == {example()["RECPIPE_TRAIN_QUEUE"], "gpu"}
    assert SERVICES["scheduler"]["environment"]["RECPIPE_TRAIN_QUEUE"] == "${RECPIPE_TRAIN_QUEUE:-default}"


def test_settings_that_are_named_are_settings() -> None:
    named = {name for service in ours().values() for name in service.get("environment", {})}
    named |= {entry["name"] for entry in HELM["env"]}
    named |= set(re.findall(r"\b(RECPIPE_[A-Z_]+)=", DOCKERFILE))
    known = {f"RECPIPE_{name.upper()}" for name in Settings.fields()}
    assert {name for name in named if name.startswith("RECPIPE_")} <= known


def test_options_of_airflow_that_are_named_are_options() -> None:
    from airflow.configuration import conf

    text = COMPOSE_TEXT + DOCKERFILE
    options = set(re.findall(r"\bAIRFLOW__([A-Z_]+?)__([A-Z_]+)\b", text))
    described = conf.configuration_description
    known = {(section.upper(), option.upper()) for section in described for option in described[section]["options"]}
    assert len(options) > 8
    # those of the Celery provider are known where it is installed
    assert {pair for pair in options if not pair[0].startswith("CELERY")} <= known
    assert {(section.upper(), option.upper()) for section, values in HELM["config"].items() for option in values} <= known


@pytest.mark.parametrize("service", ["api-server", "scheduler", "dag-processor", "triggerer"])
def test_commands_of_airflow_exist(service: str) -> None:
    from airflow.cli.cli_parser import airflow_commands

    program, command, *_ = SERVICES[service]["command"]
    assert program == "airflow"
    assert command in {one.name for one in airflow_commands}


def test_commands_that_are_named_exist() -> None:
    from airflow.cli.cli_parser import airflow_commands

    names = {one.name for one in airflow_commands}
    # `users` comes with the FAB manager, `celery` with its provider
    asked = set(re.findall(r"^airflow (\S+)", (DOCKER / "init.sh").read_text(), re.M)) - {"users"}
    assert asked == {"db", "pools"}
    assert asked <= names
    assert subprocess.run(["bash", "-n", DOCKER / "init.sh"]).returncode == 0
    said = subprocess.run([sys.executable, "-m", "mlflow", "server", "--help"], capture_output=True, text=True, check=True).stdout
    options = [word for word in SERVICES["mlflow"]["command"] if word.startswith("--")]
    assert len(options) == 4
    assert [option for option in options if option not in said] == []


def test_what_a_cluster_needs_goes_with_the_lock() -> None:
    pins = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.M)
    main = dict(pins.findall((DOCKER / "requirements.txt").read_text()))
    cluster = dict(pins.findall((DOCKER / "requirements-cluster.txt").read_text()))
    assert not set(main) & set(cluster)  # each package is pinned once
    full = dict(pins.findall((ROOT / "requirements.txt").read_text()))
    assert main.items() <= full.items()  # production runs what the tests ran
    assert {name: version for name, version in cluster.items() if full.get(name, version) != version} == {}
    assert not {"pytest", "hypothesis", "ruff", "mypy", "pip-tools"} & set(main)
    assert {"apache-airflow-providers-celery", "apache-airflow-providers-cncf-kubernetes", "psycopg2-binary", "boto3"} <= set(
        cluster
    )
    assert HELM["airflowVersion"] == main["apache-airflow"]
