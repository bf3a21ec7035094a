"""The question to a person before a promotion: the gate's comparison in words and in pictures."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from recpipe.config.settings import Settings
from recpipe.registry.store import client
from recpipe.registry.versions import all_versions, find

FIRST = "decision.png"
"""The picture of the comparison, which is shown before those of the training."""


def pictures(settings: Settings, version: str, kind: str = "version") -> list[str]:
    """Lay the plots of a version's run under the reports, where Airflow's page shows them, and return their paths there.

    Parameters
    ----------
    settings
        Where MLflow and the reports are.
    version
        Version in the registry, which the gate has compared.
    kind
        What the folder of the pictures is called after, beside the number.

    Returns
    -------
    list of str
        Paths below ``settings.places.reports``: the comparison first, then what the training drew.
    """
    store = client(settings)
    run = find(all_versions(store, settings.promotion), version, settings.promotion).run_id
    folder = settings.places.reports / "models" / f"{kind}-{version}"
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for picture in Path(store.download_artifacts(run, "plots", scratch)).glob("*.png"):
            picture.replace(folder / picture.name)
    found = sorted(folder.glob("*.png"), key=lambda file: (file.name != FIRST, file.name))
    return [str(file.relative_to(settings.places.reports)) for file in found]


def question(settings: Settings, decision: dict[str, Any], plots: Sequence[str] = ()) -> str:
    """Return the text of the question, in Markdown.

    Parameters
    ----------
    settings
        Name of the registered model.
    decision
        What `registry.propose` returned, as a dictionary.
    plots
        What `pictures` returned.
    """
    from recpipe.local.home import airflow_pages, mlflow_pages

    # without the host, as the browser may know it by another name than the settings, under which it has no login
    reports = f"{urlsplit(airflow_pages(settings)).path}/recpipe/reports"
    model = f"{mlflow_pages(settings)}/#/models/{settings.promotion.registered_model}/versions/{decision['version']}"
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
        "**Approve**: from the next night on this version makes the lists. **Reject**, or no answer in time: the champion stays.",
        "",
        *(f"[![{Path(plot).stem}]({reports}/{plot})]({reports}/{plot})\n" for plot in plots),
        f"Everything of its training: [MLflow, version {decision['version']} of {settings.promotion.registered_model}]({model}).",
    ]
    return "\n".join(lines)


def _row(name: str, value: float | None, gain: float | None, low: float | None, high: float | None) -> str:
    interval = f"{low:+.1%} to {high:+.1%}" if low is not None and high is not None else ""
    return f"| {name} | {'' if value is None else f'{value:.4f}'} | {'' if gain is None else f'{gain:+.1%}'} | {interval} |"
