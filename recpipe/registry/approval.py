"""What a person is asked before a version is promoted: the gate's comparison in words, and where its plot lies."""

from __future__ import annotations

from typing import Any

from recpipe.config import Settings


def question(settings: Settings, decision: dict[str, Any], pages: str) -> str:
    """Return the text of the question, in Markdown.

    Parameters
    ----------
    settings
        Name of the registered model.
    decision
        What `registry.propose` returned, as a dictionary.
    pages
        Address of MLflow's pages.
    """
    metric = decision["metric"]
    rows = [
        ("candidate, version " + decision["version"], decision["candidate_value"], None, None, None),
        (
            "champion, version " + decision["champion"],
            decision["champion_value"],
            decision["relative_gain"],
            decision["low"],
            decision["high"],
        ),
    ]
    if decision["closed_form"]:
        closed = ("closed_form_value", "closed_form_gain", "closed_form_low", "closed_form_high")
        rows.append((f"its own {decision['closed_form']}", *(decision[name] for name in closed)))
    lines = [
        f"{decision['reason']} Compared on {decision['users']} users, {decision['first_day']} to {decision['day']}.",
        "",
        f"| | {metric} | gain of the candidate | 95 % interval |",
        "|---|---|---|---|",
        *(_row(*row) for row in rows),
        "",
        f"Plot and curves: [MLflow, version {decision['version']} of {settings.registered_model}]"
        f"({pages}/#/models/{settings.registered_model}/versions/{decision['version']}), artifact `plots/decision.png` of its run.",
        "",
        "**Approve**: from the next night on this version makes the lists. **Reject**, or no answer in time: the champion stays.",
    ]
    return "\n".join(lines)


def _row(name: str, value: float | None, gain: float | None, low: float | None, high: float | None) -> str:
    interval = f"{low:+.1%} to {high:+.1%}" if low is not None and high is not None else ""
    return f"| {name} | {'' if value is None else f'{value:.4f}'} | {'' if gain is None else f'{gain:+.1%}'} | {interval} |"
