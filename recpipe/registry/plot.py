"""A picture of the gate's decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from recpipe.registry.gate import Decision

GREEN, RED, GREY, BLUE = "#2a7f62", "#b23a48", "#8a8f98", "#2f5d8a"


def plot_decision(decision: Decision, candidate: NDArray[np.float64], champion: NDArray[np.float64], file: Path) -> Path:
    """Draw the two means and the interval of the gain against the margin, and return the file (PNG)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.6))
    means = [float(candidate.mean()) if len(candidate) else 0.0, float(champion.mean()) if len(champion) else 0.0]
    bars = left.barh([f"candidate {decision.version}", f"champion {decision.champion}"], means, color=[BLUE, GREY])
    left.bar_label(bars, fmt="%.4f", padding=3)
    left.margins(x=0.25)
    left.set_xlabel(f"{decision.metric}, mean of {decision.users} users")
    _draw_gain(right, decision)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    verdict = "promoted" if decision.promoted else "not promoted"
    figure.suptitle(f"Version {decision.version} {verdict}: {decision.first_day} to {decision.day}")
    figure.savefig(file, dpi=110, metadata={"Software": None})
    return file


def _draw_gain(draw: Any, decision: Decision) -> None:
    colour = GREEN if decision.promoted else RED
    if decision.low is None or decision.relative_gain is None:
        draw.text(0.5, 0.5, decision.reason, ha="center", va="center", wrap=True, transform=draw.transAxes)
        draw.set_axis_off()
        return
    high = decision.high if decision.high is not None else decision.relative_gain
    draw.plot([decision.low, high], [0, 0], color=colour, linewidth=6, solid_capstyle="round", alpha=0.4)
    draw.plot([decision.relative_gain], [0], "o", color=colour, markersize=10)
    draw.axvline(decision.margin, color=RED, linestyle="--", label=f"margin {decision.margin:+.0%}")
    draw.axvline(0, color=GREY, linewidth=1)
    draw.set_yticks([])
    draw.set_xlabel("paired relative gain, 95 % interval")
    draw.xaxis.set_major_formatter("{x:+.0%}")
    draw.legend(loc="upper right", frameon=False)
