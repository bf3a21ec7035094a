"""The demo."""

from __future__ import annotations

from recpipe.cli import app


@app.command()
def demo() -> None:
    """Run the main job on the shipped shop: history, training, ten nights, outcomes."""
    from recpipe.demo.main import run

    run()
