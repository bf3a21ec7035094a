"""The wheel in an environment of its own, with the lock of production and nothing else: it works, and brings no test tool.

The environment is filled with links to the distributions that this one has, by their records: no index is asked, and no gigabyte of torch is
fetched. pip then installs the wheel with all that it needs, and fails if the lock of production lacks something. `make test-services` has
pip fetch everything but torch from the index (RECPIPE_TEST_INSTALL=index).
"""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import venv
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "recpipe", "dags")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check")

FROM_INDEX = os.environ.get("RECPIPE_TEST_INSTALL") == "index"

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("install"), pytest.mark.timeout(900)]


def pins(lock: Path) -> dict[str, str]:
    """Return the versions that a lock asks for on this machine, by name."""
    asked = [Requirement(line.split("#")[0]) for line in lock.read_text().splitlines() if line.split("#")[0].strip()]
    return {one.name: str(one.specifier).removeprefix("==") for one in asked if one.marker is None or one.marker.evaluate()}


def link(distribution: metadata.Distribution, site: Path) -> None:
    """Put the files of a distribution into another environment; its programs are left out, they start this one's Python."""
    for file in distribution.files or []:
        source = Path(str(file.locate()))
        if ".." not in file.parts and file.suffix != ".pyc" and source.is_file():
            link_file(source, site / file)
            if file.suffix == ".py":
                compiled = Path(importlib.util.cache_from_source(str(source)))
                if compiled.is_file():
                    link_file(compiled, site / file.parent / "__pycache__" / compiled.name)


def link_file(source: Path, target: Path) -> None:
    """Put one file there, unless it is there: mlflow and mlflow-skinny bring the same files."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except FileExistsError:
        return
    except OSError:  # another file system
        target.symlink_to(source)


LOCK = REPOSITORY / "docker" / "requirements.txt"
PRODUCTION = {*pins(LOCK), "setuptools"}
"""torch needs setuptools, which pip-compile leaves out of locks."""
TORCH = {one.name for one in metadata.distributions() if one.name.startswith(("torch", "triton", "nvidia-", "cuda-"))}
"""What is never fetched: gigabytes, where torch is the build for GPUs."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy: a folder build/ of an earlier one would be packed with it."""
    source, wheels = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheels")
    for name in SOURCES:
        path = REPOSITORY / name
        if path.is_dir():
            shutil.copytree(path, source / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(path, source)
    subprocess.run([*PIP, "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", wheels, source], check=True)
    (built,) = wheels.glob("recpipe-*.whl")
    return built


@pytest.fixture(scope="module")
def production(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the lock of production, into which pip installed the wheel; its interpreter."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    python = folder / "bin" / "python"
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for name in TORCH if FROM_INDEX else PRODUCTION:
        link(metadata.distribution(name), site)
    source = ["-c", LOCK, f"{wheel}[multilingual]"] if FROM_INDEX else ["--no-index", wheel]
    subprocess.run([*PIP, "--python", python, "install", "-q", "--no-compile", *source], check=True)
    return python


def ask(python: Path, *words: str) -> str:
    """Return what a command prints that is run there, from a folder of its own."""
    home = python.parents[1] / "home"
    home.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RECPIPE_", "AIRFLOW", "PYTHON"))}
    environment |= {
        "HOME": str(home), "RECPIPE_HOME": str(home), "RECPIPE_ENV_FILE": "", "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": f"{python.parent}:{os.environ['PATH']}",
    }  # fmt: skip
    done = subprocess.run([python, *words], cwd=home, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_the_wheel_holds_every_file_of_the_package_and_the_dags(wheel: Path) -> None:
    held = set(zipfile.ZipFile(wheel).namelist())
    listed = subprocess.run(["git", "ls-files", "recpipe", "dags"], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    files = [file for file in listed.stdout.splitlines() if (REPOSITORY / file).is_file() and not file.endswith("README.md")]
    data = f"{'-'.join(wheel.stem.split('-')[:2])}.data/data/share/recpipe/"
    wanted = {data + file if file.startswith("dags/") else file for file in files}
    assert len(wanted) > 300
    assert sorted(wanted - held) == []
    assert not [file for file in held if file.startswith(("tests/", "benchmarks/"))]


def test_it_installs_on_the_lock_of_production_and_brings_nothing_else(production: Path) -> None:
    """pip was given no index: whatever the wheel needs and the lock lacks would have stopped it."""
    code = "from importlib.metadata import distributions as d; print(*{one.metadata['Name'] for one in d()})"
    installed = {canonicalize_name(name) for name in ask(production, "-c", code).split()}
    assert installed - {"recpipe"} == PRODUCTION
    assert not installed & {"pytest", "hypothesis", "ruff", "mypy", "pip-tools", "codespell", "import-linter", "mkdocs"}
    assert importlib.util.find_spec("pytest")
    subprocess.run([*PIP, "--python", production, "check"], check=True)


def test_the_command_works_and_finds_its_dags(production: Path) -> None:
    recpipe = str(production.parent / "recpipe")
    assert "ingest" in ask(production, recpipe, "--help")
    folder = Path(ask(production, recpipe, "dags").strip())
    assert folder.is_relative_to(production.parents[1])
    assert {file.name for file in folder.glob("*.py")} == {file.name for file in (REPOSITORY / "dags").glob("*.py")}


def test_the_doctor_finds_nothing_wrong(production: Path) -> None:
    findings = json.loads(ask(production, str(production.parent / "recpipe"), "doctor", "--json"))
    assert [one for one in findings if one["level"] == "wrong"] == []
    assert "libraries in the ranges" in next(one["says"] for one in findings if one["check"] == "versions")


def test_airflow_has_the_command_the_plugin_once_and_dags_that_can_be_imported(production: Path) -> None:
    assert "--reset-dagruns" in ask(production, "-m", "airflow", "dags", "backfill", "--help")
    plugins = json.loads(ask(production, "-m", "airflow", "plugins", "--output", "json"))
    assert [plugin["name"] for plugin in plugins] == ["recpipe"]
    home = production.parents[1] / "home"
    shutil.copytree(ask(production, str(production.parent / "recpipe"), "dags").strip(), home / "airflow" / "dags")
    probe = json.loads(ask(production, "-m", "recpipe.airflow.backfill.setup_probe").splitlines()[-1])
    assert probe["backfill"]
    assert probe["broken_dags"] == {}
    assert probe["dags"] == len(list((REPOSITORY / "dags").glob("*.py")))
