"""The style of every chart: one figure in the manner of the pages, as SVG within them or as a PNG beside them."""

from __future__ import annotations

import io
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from pathlib import Path
from typing import Any, Final

from markupsafe import Markup

from recpipe.printable import readable
from recpipe.reports.render import TEMPLATES

_ROOT: Final = re.search(r":root\s*{(.*?)}", (TEMPLATES / "page.css").read_text(encoding="utf-8"), re.S)
PALETTE: Final = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", _ROOT[1] if _ROOT else ""))
"""The light colours of ``page.css`` by name: a PNG has these, an SVG follows the page into the dark."""
INK, SOFT, LINE, GREEN, RED, BLUE, GREY = (
    PALETTE[name] for name in ("ink", "soft", "line", "green", "red", "blue", "popularity")
)

STYLE: Final[Any] = {
    "font.family": "sans-serif",
    "font.size": 10.5,
    "svg.fonttype": "none",
    "svg.hashsalt": "recpipe",
    "text.parse_math": False,  # a dollar in the name of a group begins no formula
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.prop_cycle": "cycler('color', {})".format(
        [PALETTE[n] for n in ("green", "knn", "blue", "other", "red", "popularity", "soft")]
    ),
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "legend.frameon": False,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
}
WIDTH: Final = 11.0
"""Inches of a chart that is as wide as a page: its letters are then as large as the page's."""
_DRAWING: Final = threading.Lock()
_VARIABLES: Final = {colour: f"var(--{name})" for name, colour in PALETTE.items()}
_TOLD: Final = "told:"


@contextmanager
def styled() -> Iterator[None]:
    """Draw in the style of the pages, in a ``with`` or around a function; one thread at a time, for matplotlib has one style."""
    import matplotlib as mpl

    with _DRAWING, mpl.rc_context(STYLE):
        yield


def figure_of(height: float, width: float = WIDTH, columns: int = 1, **layout: Any) -> tuple[Any, Any]:
    """Return an empty figure (inches) and its axes; call it within `styled`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    figure.patch.set_alpha(0)
    axes = figure.subplots(1, columns, **layout)
    for each in [axes] if columns == 1 else axes:
        each.set_facecolor("none")
        each.spines[["top", "right"]].set_visible(False)
        each.tick_params(length=0, pad=6)
        each.set_axisbelow(True)
    return figure, axes


def told(*sentences: str) -> str:
    """Return the ``gid`` of a line that says one sentence of each of its points to whoever points at it."""
    return _TOLD + "\0".join(sentences).encode().hex()  # names of others are in it: no sign of theirs is markup there


def png_of(figure: Any, file: Path | io.BytesIO, dpi: int = 110) -> None:
    """Write the figure as a PNG on white, the same bytes each time."""
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)
    _lay_out(figure, dpi)
    figure.patch.set(alpha=1, facecolor="white")
    figure.savefig(file, format="png", dpi=dpi, metadata={"Software": None})


def svg_of(figure: Any, title: str) -> Markup:
    """Return the figure as an SVG element whose colours are those of the page, in light and dark.

    It scales with the page, has a name for those who cannot see it, and no ``style`` of its own, which the page's policy would refuse.
    """
    _lay_out(figure, 72)
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    body = text.getvalue()
    body = re.sub(r"<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", "", body[body.index("<g ") :], flags=re.S)
    body = re.sub(r'(<\w[^<>]*) style="([^"]*)"', lambda found: found[1] + _attributes(found[2]), body)
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body).replace("xlink:href", "href")
    body = re.sub(rf'<g id="{_TOLD}(\w*)">(.*?</g>)', lambda found: _telling(found[1], found[2]), body, flags=re.S)
    body = re.sub(r"\s*\n\s*", " ", re.sub(r'<g id="[^"]*"', "<g", body))
    width, height = (72 * inches for inches in figure.get_size_inches())
    attributes = f'class="chart" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:g} {height:g}"'
    return Markup(f"<svg {attributes}>{readable(body)}")  # noqa: S704  # matplotlib escapes


def _lay_out(figure: Any, dpi: int) -> None:
    """Lay a figure out once before it is drawn: the numbers of an axis may be longer in the size that it gets."""
    figure.set_dpi(dpi)
    figure.get_layout_engine().execute(figure)


def _attributes(style: str) -> str:
    """Return declarations of a style as attributes; the font is the page's."""
    pairs = [declaration.split(": ", 1) for declaration in style.split("; ")]
    return "".join(f' {name}="{_VARIABLES.get(value, value)}"' for name, value in pairs if name != "font-family")


def _telling(sentences: str, drawn: str) -> str:
    """Return a line whose marks say a sentence each."""
    said = iter(bytes.fromhex(sentences).decode().split("\0"))
    return "<g>" + re.sub(r"<use ([^>]*)/>", lambda mark: f"<use {mark[1]}><title>{escape(next(said))}</title></use>", drawn)
