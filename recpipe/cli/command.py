"""The ``recpipe`` command: one module a group of commands; what they need is imported when they run."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False)
