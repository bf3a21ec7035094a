"""A picture of the gate's decision."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from recpipe.reports.charts import BLUE, GREEN, GREY, LINE, RED, figure_of, png_of, styled

if TYPE_CHECKING:
    from recpipe.promotion.decision import Decision


@styled()
def plot_decision(decision: Decision, file: Path) -> Path:
    """Draw the means and the intervals of the gains against the margin, and return the file (PNG)."""
    figure, (left, right) = figure_of(3.2, 9, columns=2, width_ratios=(1, 1.6))
    means = {f"candidate {decision.version}": decision.candidate_value, f"champion {decision.champion}": decision.champion_value}
    if decision.closed_form:
        means[f"its {decision.closed_form}"] = decision.closed_form_value
    colours = [BLUE, GREY, LINE][: len(means)]
    bars = left.barh(list(means), [value or 0.0 for value in means.values()], color=colours)
    left.bar_label(bars, fmt="%.4f", padding=3)
    left.margins(x=0.25)
    left.set_xlabel(f"{decision.metric}, mean of {decision.users} users")
    _draw_gains(right, decision)
    verdict = "passes the gate" if decision.promoted else "does not pass the gate"
    figure.suptitle(f"Version {decision.version} {verdict}: {decision.first_day} to {decision.day}")
    png_of(figure, file)
    return file


def _draw_gains(draw: Any, decision: Decision) -> None:
    if decision.low is None or decision.relative_gain is None:
        draw.text(0.5, 0.5, decision.reason, ha="center", va="center", wrap=True, transform=draw.transAxes)
        draw.set_axis_off()
        return
    gains = [("over the champion", decision.relative_gain, decision.low, decision.high)]
    if decision.closed_form_low is not None and decision.closed_form_gain is not None:
        name = f"over its {decision.closed_form}"
        gains.append((name, decision.closed_form_gain, decision.closed_form_low, decision.closed_form_high))
    for place, (_, gain, low, high) in enumerate(gains):
        colour = GREEN if low > decision.margin else RED
        draw.plot(
            [low, high if high is not None else gain], [place] * 2, color=colour, linewidth=6, solid_capstyle="round", alpha=0.4
        )
        draw.plot([gain], [place], "o", color=colour, markersize=10)
    draw.axvline(decision.margin, color=RED, linestyle="--", label=f"margin {decision.margin:+.0%}")
    draw.axvline(0, color=GREY, linewidth=1)
    draw.set_yticks(range(len(gains)), [name for name, *_ in gains])
    draw.set_ylim(-0.6, len(gains) - 0.2)
    draw.set_xlabel("paired relative gain, 95 % interval")
    draw.xaxis.set_major_formatter("{x:+.0%}")
    draw.legend(loc="upper right")
