"""Every command that the runbook types exists, with these options; what it names as a setting is one."""

import re
import shlex
from pathlib import Path

import pytest

from recpipe.config.settings import Settings

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "operations.md").read_text()
PROGRAMS = ("recpipe", "airflow", "make")


def typed() -> list[str]:
    """Return what stands alone in code: indented lines and `quoted` words that begin with a program's name, without comments."""
    lines = re.findall(r"^ {4}(.*)$", PAGE, re.M) + re.findall(r"`([^`]+)`", PAGE)
    found = [re.sub(r"\s+#.*$", "", line).strip() for line in lines]
    found = [line for line in found if line.split(" ")[0] in PROGRAMS and len(line.split()) > 1]
    return sorted({line for line in found if not line.startswith("recpipe: ")})


def of(program: str) -> list[str]:
    return [line for line in typed() if line.startswith(f"{program} ")]


def test_there_are_commands() -> None:
    assert min(len(of("recpipe")), len(of("airflow"))) > 5


@pytest.mark.parametrize("line", of("recpipe"))
def test_each_recpipe_command_exists(line: str) -> None:
    import typer

    from recpipe.cli.command import app

    name, *words = shlex.split(line)[1:]
    command = typer.main.get_command(app).commands[name]
    if words or not any(parameter.required for parameter in command.params):  # else it is only named
        command.make_context(name, list(words))


@pytest.mark.parametrize("line", of("airflow"))
def test_each_airflow_command_exists(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.cli.cli_parser import get_parser

    get_parser().parse_args(shlex.split(line)[1:])


@pytest.mark.parametrize("line", of("make"))
def test_each_target_of_make_exists(line: str) -> None:
    assert re.search(rf"^{line.split()[1]}:", (ROOT / "Makefile").read_text(), re.M)


def test_each_setting_exists() -> None:
    named = set(re.findall(r"RECPIPE_([A-Z_]+[A-Z])", PAGE)) - {"HOME"}
    assert len(named) > 8
    assert {name.lower() for name in named} <= set(Settings.fields()) | {"env_file", "config_file"}


def test_every_dag_that_is_named_exists() -> None:
    dags = {path.stem for path in (ROOT / "dags").glob("*.py")}
    for line in of("airflow"):
        words = [word for word in shlex.split(line)[3:] if re.fullmatch(r"[a-z]+(_[a-z]+)+", word)]
        assert set(words) <= dags, line
