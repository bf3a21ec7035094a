"""The demo, and the pages on this machine."""

from __future__ import annotations

import shlex

import typer

from recpipe.cli.command import app
from recpipe.printable import say


@app.command()
def demo() -> None:
    """Run the main job on the shipped shop: history, training, ten nights, outcomes."""
    from recpipe.demo.main import run

    run()


@app.command()
def up() -> None:
    """Start Airflow and MLflow on this machine and wait until they are healthy."""
    from recpipe.config.settings import load_settings
    from recpipe.local.home import airflow_pages, login
    from recpipe.local.services import up as start

    settings = load_settings()
    for state in start(settings, say=say):
        if state.url:
            say(f"{state.name}: {state.url}")
    say(f"page: {airflow_pages(settings)}/recpipe/")
    user, password = login(settings)
    say(f"login: {user} / {password}")


@app.command()
def down() -> None:
    """Stop Airflow and MLflow, with the tasks and jobs that run."""
    from recpipe.config.settings import load_settings
    from recpipe.local.services import down as stop

    stopped = stop(load_settings(), say=say)
    say(f"stopped: {', '.join(stopped)}" if stopped else "nothing was running")


@app.command()
def status() -> None:
    """Say which services run and are healthy; exit code 1 if one is not."""
    from rich.console import Console
    from rich.table import Table

    from recpipe.config.settings import load_settings
    from recpipe.local.services import status as look

    states = look(load_settings())
    shown = Table("service", "process", "healthy", "address")
    for state in states:
        shown.add_row(state.name, str(state.pid or "-"), "yes" if state.healthy else "no", state.url)
    Console().print(shown)
    if not all(state.healthy for state in states):
        raise typer.Exit(1)


@app.command()
def env() -> None:
    """Print the environment in which `airflow` works on this home: eval "$(recpipe env)"."""
    from recpipe.config.settings import load_settings
    from recpipe.local.home import airflow_environment

    for name, value in sorted(airflow_environment(load_settings()).items()):
        say(f"export {name}={shlex.quote(value)}")


@app.command()
def dags() -> None:
    """Print the folder of the DAG files, for an Airflow of your own: AIRFLOW__CORE__DAGS_FOLDER="$(recpipe dags)"."""
    from recpipe.config.settings import load_settings
    from recpipe.local.dag_files import dag_files

    say(str(dag_files(load_settings().local.dags_folder)))
