"""Floors that were crossed, as sentences for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from recpipe.config.outcome_settings import EvaluationSettings
from recpipe.config.settings import Settings
from recpipe.evaluation.outcomes import ALL, DRIFT, Outcomes, value_of
from recpipe.notices.channels import send
from recpipe.notices.notice import FLOOR, Notice


def warnings_of(evaluation: EvaluationSettings, found: Outcomes) -> list[str]:
    """Return one sentence for each floor or limit that a day crossed: what happened, which day, what to do."""
    return list(_crossed(evaluation, found))


def _crossed(evaluation: EvaluationSettings, found: Outcomes) -> Iterator[str]:
    rows, k = found.rows.to_pylist(), evaluation.metric_k
    lists = f"the lists of {found.lists_day} (" + (
        f"model version {found.model_version})" if found.model_version else "there were none)"
    )

    def value(metric: str) -> float | None:
        row = value_of(rows, ALL, metric, found.model_version)
        return row["value"] if row else None

    quality, shown, drift = value(f"ndcg@{k}"), value(f"coverage@{k}"), value(DRIFT)
    if quality is not None and quality < evaluation.floor_ndcg:
        yield (
            f"nDCG@{k} of {lists}, measured up to {found.day}, is {quality:.4f}, below the floor of {evaluation.floor_ndcg:.4f}: "
            f"compare with popularity in the report, look at the verdicts of these days, and take the "
            f"version back with `recpipe withdraw` if need be."
        )
    if shown is not None and shown < evaluation.floor_coverage:
        yield (
            f"{lists[0].upper()}{lists[1:]} show {shown:.1%} of the catalogue, below the floor of "
            f"{evaluation.floor_coverage:.1%}: see whether items were delivered as unavailable, and which version serves."
        )
    if drift is not None and drift > evaluation.max_drift:
        yield (
            f"Behaviour up to {found.day} has drifted from what {lists} were made from: {drift:.2f}, above the limit of "
            f"{evaluation.max_drift:.2f} ({_largest(found)}): look at the deliveries of these days, then train on newer ones."
        )


def _largest(found: Outcomes) -> str:
    parts = {
        "which items are met": found.drift.items,
        "which kinds of events there are": found.drift.event_types,
        "how well known the users are who come": found.drift.supports,
    }
    return "most in " + max(parts, key=lambda name: parts[name])


def notify(settings: Settings, warnings: Sequence[str], day: str = "") -> bool:
    """Tell people of crossed floors; return whether a channel took them. A failure is logged and harms nothing.

    Parameters
    ----------
    settings
        Channels: see `recpipe.notices.channels.send`.
    warnings
        Sentences; nothing is sent if there are none.
    day
        The evaluated day.
    """
    link = _report_page(settings, day)
    return bool(send(settings, [Notice(FLOOR, day, sentence, "The report:" if link else "", link) for sentence in warnings]))


def _report_page(settings: Settings, day: str) -> str:
    """Return the address of the report on a day, behind Airflow's login; empty if there is none."""
    from recpipe.local.home import airflow_pages

    name = f"outcomes-{day}.html"
    return f"{airflow_pages(settings)}/recpipe/reports/{name}" if (settings.places.reports / name).is_file() else ""
