"""The ``recpipe`` command: one module a group of commands; what they need is imported when they run."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe import __version__

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)


def print_version(wanted: bool) -> None:
    """Print the version, and end there, if it is wanted."""
    if wanted:
        typer.echo(f"recpipe {__version__}")
        raise typer.Exit


@app.callback(help=__doc__)
def options(
    version: Annotated[bool, typer.Option("--version", callback=print_version, is_eager=True, help="print the version")] = False,
) -> None:
    """Options of the command itself, before those of its groups."""
