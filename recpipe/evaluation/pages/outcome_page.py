"""The page about one evaluated day: what became of the lists, beside the baselines, with how sure that is."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import date, timedelta
from html import escape
from pathlib import Path
from typing import Any, Final

from recpipe.config.settings import Settings
from recpipe.evaluation.outcomes import ALL, BASELINES, DRIFT, GROUPS, Outcomes, of_lists, value_of
from recpipe.evaluation.pages.fairness_page import served_note, served_section, shown_note, shown_section
from recpipe.evaluation.pages.outcome_plots import LABELS, Point, cohort_plot, drift_plot, trend_plot
from recpipe.lake.lake import Lake
from recpipe.metrics.intervals import Gain
from recpipe.reports.charts import COLOURS

TREND_DAYS: Final = 60
COHORT_NAMES: Final = {"all": "all users", "zero": "zero: no event yet", "few": "few: new, few items", "warm": "warm: long known"}
STYLE: Final = """
:root{--ink:#22303a;--soft:#5d6b75;--line:#e3e7ea;--green:#1f6f5c;--alarm:#b4433f;--paper:#fff;--ground:#f5f6f4}
*{box-sizing:border-box}body{margin:0;background:var(--ground);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",
Roboto,sans-serif}main{max-width:1060px;margin:0 auto;padding:40px 24px 64px}h1{font-size:1.75rem;line-height:1.25;margin:0 0 4px}
h2{font-size:1.12rem;margin:0 0 12px}.sub{color:var(--soft);margin:0 0 24px}section{background:var(--paper);border:1px solid
var(--line);border-radius:10px;padding:22px 24px;margin:18px 0}.lead{font-size:1.1rem}.tiles{display:grid;grid-template-columns:
repeat(auto-fit,minmax(180px,1fr));gap:14px;margin:22px 0 4px}.tile{background:var(--paper);border:1px solid var(--line);
border-radius:10px;padding:14px 18px}.tile b{display:block;font-size:1.7rem;line-height:1.2;font-weight:650}.tile span{color:
var(--soft);font-size:.88rem}.warn{border-left:5px solid var(--alarm)}.warn li{margin:6px 0}.calm{border-left:5px solid
var(--green)}svg{width:100%;height:auto;display:block}table{border-collapse:collapse;width:100%;font-variant-numeric:
tabular-nums;font-size:.88rem;line-height:1.35}th{text-align:right;font-weight:600;color:var(--soft);border-bottom:2px solid var(--line)}
td{text-align:right;border-bottom:1px solid var(--line)}th,td{padding:5px 8px;white-space:nowrap;vertical-align:top}th:first-child,td:first-child,
th:nth-child(2),td:nth-child(2){text-align:left}table.groups th:nth-child(2),table.groups td:nth-child(2){text-align:right}tr.first td{border-top:2px solid var(--line)}tr.lists td{font-weight:600}tr.lists td.none{font-weight:400}
td small{color:var(--soft);font-weight:400}td.none{color:var(--soft)}.scroll{overflow-x:auto}dl{display:grid;grid-template-columns:
max-content 1fr;gap:4px 18px;margin:0;font-size:.92rem}dt{color:var(--soft)}dd{margin:0}p.note{color:var(--soft);font-size:.9rem;
margin:10px 0 0}.dot{display:inline-block;width:.7em;height:.7em;border-radius:50%;margin-right:.45em}
"""


def write_report(settings: Settings, found: Outcomes, warnings: Sequence[str]) -> Path:
    """Write the page of a day, whole or not at all, and return its path. It holds no user id and loads nothing."""
    history = _history(settings, found.day)
    page = report_page(settings, found, warnings, history)
    path = settings.places.reports / f"outcomes-{found.day}.html"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_text(page, encoding="utf-8")
    part.replace(path)
    return path


def report_page(settings: Settings, found: Outcomes, warnings: Sequence[str], history: dict[date, list[dict[str, Any]]]) -> str:
    """Return the page as HTML.

    Parameters
    ----------
    settings
        Cut-off, limits, fewest users.
    found
        What was measured.
    warnings
        Sentences.
    history
        Rows of ``outcomes`` of the evaluated days up to this one, by day.
    """
    title = f"Outcomes of {found.lists_day:%A}, {_long(found.lists_day)}"
    body = [
        f"<h1>{title}</h1><p class='sub'>The lists of that night, by what users did up to {_long(found.day)}.</p>",
        _lead(settings, found),
        _warnings(warnings),
        _section("Beside the baselines, by cohort", _cohorts(settings, found), _what(settings)),
        *_newcomers(settings, found),
        _section("Over the evaluated days", _trend(settings, history), "Bands are 95 % intervals over users."),
        _section("Drift", _drift(settings, found, history), _about_drift(settings)),
        *_groups(settings, found),
        _section("All numbers", _table(settings, found), _about_metrics(settings)),
        _section("Made from", _made_from(found)),
    ]
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>"
    )


def _history(settings: Settings, day: date) -> dict[date, list[dict[str, Any]]]:
    """Return the rows of the evaluated days up to a day, oldest first."""
    rows = Lake.from_settings(settings).reader().read("outcomes", day - timedelta(days=TREND_DAYS - 1), day)
    by_day: dict[date, list[dict[str, Any]]] = {}
    for row in of_lists(rows).to_pylist():
        by_day.setdefault(row["day"], []).append(row)
    return dict(sorted(by_day.items()))


def _lead(settings: Settings, found: Outcomes) -> str:
    metric, rows = f"ndcg@{settings.evaluation.metric_k}", found.rows.to_pylist()
    mine = value_of(rows, ALL, metric, found.model_version)
    popular = value_of(rows, ALL, metric, "popularity")
    listed = value_of(rows, ALL, f"coverage@{settings.evaluation.metric_k}", found.model_version)
    if mine is None or popular is None or listed is None:
        return "<p class='lead'>No list was published for that night.</p>"
    return (
        f"<p class='lead'>{listed['users']:,} users had a list; {mine['users']:,} of them met an item in the "
        f"{settings.evaluation.horizon_days} days after it that was new to them. {_compared(found.gain)}</p>"
        f"<div class='tiles'>{_tile(mine, f'nDCG@{settings.evaluation.metric_k} of the lists')}"
        f"{_tile(popular, f'nDCG@{settings.evaluation.metric_k} of popularity')}"
        f"{_tile(listed, 'of the catalogue shown', '.1%')}"
        f"{_tile(value_of(rows, ALL, DRIFT, found.model_version), 'drift signal', '.2f')}</div>"
    )


def _compared(gain: Gain) -> str:
    if gain.relative is None or gain.low is None:
        return "That is too few to say how good the lists were." if gain.champion else "Popularity hit nothing."
    upper = f"{1 + gain.high:.2f}" if gain.high is not None else "more"
    return (
        f"The lists were <b>{1 + gain.relative:.2f} ×</b> as good as popularity for these users "
        f"(95 % interval {1 + gain.low:.2f} to {upper}, the same users drawn for both)."
    )


def _tile(row: dict[str, Any] | None, name: str, form: str = ".4f") -> str:
    value = "too few" if row is None or row["value"] is None else format(row["value"], form)
    return f"<div class='tile'><b>{value}</b><span>{name}</span></div>"


def _warnings(warnings: Sequence[str]) -> str:
    if not warnings:
        return "<section class='calm'>No floor or limit was crossed.</section>"
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in warnings)
    return f"<section class='warn'><h2>Warnings</h2><ul>{items}</ul></section>"


def _section(title: str, body: str, note: str = "") -> str:
    return f"<section><h2>{title}</h2>{body}{f'<p class=note>{note}</p>' if note else ''}</section>"


def _groups(settings: Settings, found: Outcomes) -> list[str]:
    """Return the sections about groups of items and of users, where any are measured."""
    rows = found.groups.to_pylist()
    shown, served = shown_section(settings, rows), served_section(settings, rows)
    sections = (("Who is shown", shown, shown_note(settings)), ("Who is served", served, served_note(settings)))
    return [_section(title, body, note) for title, body, note in sections if body]


def _cohorts(settings: Settings, found: Outcomes) -> str:
    metric, rows = f"ndcg@{settings.evaluation.metric_k}", found.rows.to_pylist()
    points = {
        (f"{cohort} ({_users(rows, cohort, metric):,})", series): point
        for cohort in GROUPS
        for series in COLOURS
        if (point := _point(rows, cohort, metric, series)) is not None
    }
    return cohort_plot(points, list(dict.fromkeys(cohort for cohort, _ in points)), f"nDCG@{settings.evaluation.metric_k}")


def _newcomers(settings: Settings, found: Outcomes) -> list[str]:
    """Return the section about pooled nights, where these were read."""
    if found.pooled is None:
        return []
    metric, rows = f"pooled_ndcg@{settings.evaluation.metric_k}", found.pooled.to_pylist()
    mine = [row for row in rows if row["metric"] == metric]
    points = {
        (f"{row['cohort']}, {row['window_days']} days ({row['users']:,})", row["name"]): _point_of(row)
        for row in mine
        if row["name"] in COLOURS
    }
    nights = {row["window_days"]: 0 for row in mine}
    for row in mine:
        nights[row["window_days"]] = max(nights[row["window_days"]], row["nights"])
    of = " and ".join(f"{count} in {window} days" for window, count in nights.items())
    note = (
        f"Nights with a measured newcomer: {of} of lists up to {_long(found.lists_day)}. In brackets the persons; a person stands in several "
        "nights, so the interval draws persons with all their lists."
    )
    drawn = cohort_plot(points, list(dict.fromkeys(cohort for cohort, _ in points)), f"nDCG@{settings.evaluation.metric_k}")
    return [_section("Newcomers of the last weeks together", drawn, note)]


def _trend(settings: Settings, history: dict[date, list[dict[str, Any]]]) -> str:
    metric = f"ndcg@{settings.evaluation.metric_k}"
    series = {name: [_point(rows, ALL, metric, name) for rows in history.values()] for name in COLOURS}
    return trend_plot(list(history), series, f"nDCG@{settings.evaluation.metric_k}, all users")


def _drift(settings: Settings, found: Outcomes, history: dict[date, list[dict[str, Any]]]) -> str:
    values = [next((row["value"] for row in rows if row["metric"] == DRIFT), None) for rows in history.values()]
    return drift_plot(found.drift, settings.evaluation.max_drift, list(history), values)


def _users(rows: list[dict[str, Any]], cohort: str, metric: str) -> int:
    return max((row["users"] for row in rows if row["cohort"] == cohort and row["metric"] == metric), default=0)


def _point(rows: list[dict[str, Any]], cohort: str, metric: str, series: str) -> Point | None:
    """Return the point of a series; the lists are whatever is no baseline."""
    for row in rows:
        if (row["cohort"], row["metric"], _series(row["name"])) == (cohort, metric, series):
            return _point_of(row)
    return None


def _point_of(row: dict[str, Any]) -> Point:
    return Point(row["value"], row["ci_low"], row["ci_high"], row["users"])


def _series(name: str) -> str:
    return name if name in {learner.name for learner in BASELINES} else "lists"


def _table(settings: Settings, found: Outcomes) -> str:
    k, rows = settings.evaluation.metric_k, found.rows.to_pylist()
    metrics = [f"{name}@{k}" for name in ("ndcg", "recall", "hit_rate", "coverage", "novelty")]
    head = "".join(
        f"<th>{name}</th>" for name in ("users", f"nDCG@{k}", f"recall@{k}", f"hit rate@{k}", "coverage", "novelty, bits")
    )
    body = []
    for cohort in GROUPS:
        for place, series in enumerate(COLOURS):
            cells = "".join(_cell(next(_matching(rows, cohort, metric, series), None)) for metric in metrics)
            style = f"{'first ' if place == 0 else ''}{'lists' if series == 'lists' else ''}"
            dot = f"<i class='dot' style='background:{COLOURS[series]}'></i>"
            name = COHORT_NAMES[cohort] if place == 0 else ""
            body.append(
                f"<tr class='{style}'><td>{name}</td><td>{dot}{LABELS[series]}</td>"
                f"<td>{_users(rows, cohort, metrics[0]):,}</td>{cells}</tr>"
            )
    return f"<div class='scroll'><table><thead><tr><th>cohort</th><th></th>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"


def _matching(rows: list[dict[str, Any]], cohort: str, metric: str, series: str) -> Any:
    return (row for row in rows if (row["cohort"], row["metric"], _series(row["name"])) == (cohort, metric, series))


def _cell(row: dict[str, Any] | None) -> str:
    if row is None or row["value"] is None:
        return "<td class='none'>too few</td>"
    form = ".2f" if row["metric"].startswith("novelty") else ".1%" if row["metric"].startswith("coverage") else ".4f"
    value = format(row["value"], form)
    if row["ci_low"] is None:
        return f"<td>{value}</td>"
    return f"<td>{value}<br><small>{format(row['ci_low'], form)} – {format(row['ci_high'], form)}</small></td>"


def _made_from(found: Outcomes) -> str:
    inputs = [
        f"{entry.table}: {entry.first_day} to {entry.last_day}, table version {entry.version}"
        for entry in sorted(found.inputs, key=lambda entry: (entry.table, entry.first_day, entry.last_day))
    ]
    return (
        f"<dl><dt>lists</dt><dd>night of {found.lists_day}, model version {escape(found.model_version) or 'none'}</dd>"
        f"<dt>behaviour</dt><dd>{found.lists_day + timedelta(days=1)} to {found.day}</dd>"
        f"<dt>read</dt><dd>{'<br>'.join(map(escape, inputs))}</dd></dl>"
    )


def _what(settings: Settings) -> str:
    return (
        f"In brackets the users measured: those with a list who newly met an item in the {settings.evaluation.horizon_days} days. "
        f"Baselines rank for the same users, by the same rules, from what was known on the lists' day. Fewer than "
        f"{settings.evaluation.min_users} users: too few."
    )


def _about_drift(settings: Settings) -> str:
    return (
        f"How far the newest {settings.evaluation.horizon_days} days are from the {settings.evaluation.drift_days} days before the lists: which "
        f"items are met (by how well they sold earlier), which kinds of events there are, how well known the users are who "
        f"come (against as many days before). 0 is no change; below 0.1 nothing happened, above 0.25 look into it. The signal is the greatest of the three; "
        f"the dashed line is the limit of {settings.evaluation.max_drift:g}."
    )


def _about_metrics(settings: Settings) -> str:
    k = settings.evaluation.metric_k
    return (
        f"nDCG@{k}: hits count more the higher they stand, 1 is a perfect list. Recall@{k}: hits of what could stand in {k} "
        f"places. Hit rate@{k}: users with a hit. Coverage: share of the catalogue that stands in any list. Novelty: bits; "
        f"higher is less popular. Coverage and novelty are of all users with a list. Small numbers: 95 % interval over users."
    )


def _long(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
