"""Commands that sweep, and that say whether an installation is sound."""

from __future__ import annotations

from typing import Annotated

import typer

from recpipe.cli import app


@app.command()
def maintain(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="say what would be done, and do nothing")] = False,
) -> None:
    """Join small files, remove old versions, models that nobody used, and scratch of finished runs."""
    from recpipe.config import load_settings
    from recpipe.upkeep import maintain as sweep

    report = sweep(load_settings(), dry_run=dry_run)
    print("\n".join(report.lines()))
    if report.failed:
        raise typer.Exit(1)
