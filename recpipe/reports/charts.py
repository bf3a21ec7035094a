"""Charts of the reports, as SVG."""

from __future__ import annotations

import io
from typing import Any, Final

COLOURS: Final = {"lists": "#1f6f5c", "item_knn": "#c98a2b", "popularity": "#7d8794"}


INK, FAINT, ALARM = "#22303a", "#d9dee2", "#b4433f"


STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "recpipe",
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}


def figure_of(width: float, height: float, columns: int = 1) -> tuple[Any, Any]:
    """Return an empty figure (inches) and its axes, in the manner of the page; call it within `STYLE`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axes = figure.subplots(1, columns)
    for each in [axes] if columns == 1 else axes:
        each.set_facecolor("none")
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(length=0)
    return figure, axes


def svg_of(figure: Any, title: str) -> str:
    """Return the figure as an SVG element that scales with the page and has a name for those who cannot see it."""
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    body = text.getvalue()
    return body[body.index("<svg") :].replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
