"""The page of a replay: the picture, what it says in a sentence, all numbers, and how it was made."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from recpipe.config.settings import Settings
from recpipe.evaluation.pages.outcome_page import STYLE
from recpipe.evaluation.replay.replay_groups import GROUPS, TOGETHER
from recpipe.evaluation.replay.replay_measures import Replay
from recpipe.evaluation.replay.replay_plot import group_label, label, replay_png, replay_svg, short
from recpipe.evaluation.replay.replay_stages import BASELINES, names_of

Row = Mapping[str, Any]


def write_report(settings: Settings, found: Replay) -> Path:
    """Write the page and the picture of a replay, each whole or not at all; return the path of the page."""
    rows = found.rows.to_pylist()
    names = names_of(list(dict.fromkeys(row["name"] for row in rows)))
    page = settings.places.reports / f"replay-{found.day}.html"
    page.parent.mkdir(parents=True, exist_ok=True)
    _write(page.with_suffix(".png"), replay_png(rows, settings.evaluation.metric_k, names, picture_note(settings, found)))
    _write(page, report_page(settings, found, names).encode())
    return page


def picture_note(settings: Settings, found: Replay) -> str:
    """Return the line that stands below the picture."""
    return (
        f"{found.came:,} persons registered after {found.trained_until}; trained on days up to it, looked at up to {found.day}. "
        "What is known: first items met."
    )


def report_page(settings: Settings, found: Replay, names: Sequence[str]) -> str:
    """Return the page as HTML; it holds no user id and loads nothing."""
    rows, k = found.rows.to_pylist(), settings.evaluation.metric_k
    title = f"Newcomers, replayed up to {found.day}"
    body = [
        f"<h1>{title}</h1><p class='sub'>{found.came:,} persons who registered after {found.trained_until}, served as if new by a "
        "model that knows the days up to then alone.</p>",
        *(f"<p class='lead'>{escape(sentence)}</p>" for sentence in headline(rows, k)),
        f"<section><h2>By what is known of the newcomer</h2>{replay_svg(rows, k, names)}<p class=note>{_how(settings)}</p></section>",
        f"<section><h2>All numbers</h2>{_table(rows, k, names)}<p class=note>Small numbers: 95 % interval over persons. Fewer "
        f"than {settings.evaluation.min_users} persons: too few.</p></section>",
    ]
    return (
        f"<!doctype html><html lang='en'><head><meta charset='utf-8'><meta name='viewport' content='width=device-width'>"
        f"<title>{title}</title><style>{STYLE}</style></head><body><main>{''.join(body)}</main></body></html>"
    )


def headline(rows: Sequence[Row], metric_k: int) -> list[str]:
    """Return what a replay says in sentences: of each trained learner, with 1 to 10 items known and with nothing known."""
    said = []
    trained = [name for name in names_of(list(dict.fromkeys(row["name"] for row in rows))) if name not in BASELINES]
    found = {(row["group"], row["metric"], row["name"], row["against"]): row for row in rows}
    for name in trained:
        row = found.get((TOGETHER, f"ndcg@{metric_k}", name, ""))
        if row is None or row["value"] is None:
            said.append(f"{label(name)}: {row['users'] if row else 0} persons are too few to say how newcomers are served.")
            continue
        ratios = [_ratio(found.get((TOGETHER, f"ndcg_ratio@{metric_k}", name, against))) for against in BASELINES]
        of = " and ".join(f"{ratio} × {short(against)}" for ratio, against in zip(ratios, BASELINES, strict=True) if ratio)
        said.append(
            f"With 1 to 10 items known, the lists of the {label(name)} have an nDCG@{metric_k} of {row['value']:.4f} "
            f"({row['ci_low']:.4f}–{row['ci_high']:.4f}, {row['users']:,} persons)" + (f": {of}." if of else ".")
        )
    return said


def replay_lines(rows: Sequence[Row], metric_k: int) -> list[tuple[str, ...]]:
    """Return the rows of one day as cells for a terminal, the head first: a line a group, a column a name of lists."""
    names = names_of(list(dict.fromkeys(row["name"] for row in rows)))
    found = {(row["group"], row["name"]): row for row in rows if row["metric"] == f"ndcg@{metric_k}"}
    lines = [("items known", "persons", *(label(name) for name in names))]
    for group in GROUPS:
        cells = [found.get((group, name)) for name in names]
        persons = max((cell["users"] for cell in cells if cell), default=0)
        lines.append((group_label(group), f"{persons:,}", *(_number(cell) for cell in cells)))
    return lines


def _number(row: Row | None) -> str:
    return "too few" if row is None or row["value"] is None else f"{row['value']:.4f} ({row['ci_low']:.4f}–{row['ci_high']:.4f})"


def _ratio(row: Row | None) -> str:
    if row is None or row["value"] is None:
        return ""
    high = f"{row['ci_high']:.2f}" if row["ci_high"] is not None else "more"
    return f"{row['value']:.2f} ({row['ci_low']:.2f}–{high})"


def _table(rows: Sequence[Row], k: int, names: Sequence[str]) -> str:
    found = {(row["group"], row["metric"], row["name"], row["against"]): row for row in rows}
    columns = [("nDCG", f"ndcg@{k}", ""), ("hit rate", f"hit_rate@{k}", "")]
    columns += [(f"× {short(against)}", f"ndcg_ratio@{k}", against) for against in BASELINES]
    head = "".join(f"<th>{name}</th>" for name in ("known", "", "persons", *(title for title, *_ in columns)))
    body = []
    for group in GROUPS:
        for place, name in enumerate(names):
            cells = [found.get((group, metric, name, against)) for _, metric, against in columns]
            persons = cells[0]["users"] if cells[0] else 0
            style, title = ("first", f"{group_label(group)} known") if place == 0 else ("", "")
            shown = "".join(_cell(cell) for cell in cells)
            body.append(f"<tr class='{style}'><td>{title}</td><td>{escape(label(name))}</td><td>{persons:,}</td>{shown}</tr>")
    return f"<div class='scroll'><table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table></div>"


def _cell(row: Row | None) -> str:
    if row is None:
        return "<td class='none'></td>"
    if row["value"] is None:
        return "<td class='none'>too few</td>"
    form = ".2f" if row["against"] else ".4f"
    high = "more" if row["ci_high"] is None else format(row["ci_high"], form)
    return f"<td>{format(row['value'], form)}<br><small>{format(row['ci_low'], form)} – {high}</small></td>"


def _how(settings: Settings) -> str:
    return (
        "Each person is served by the night of the last day of training as if nothing were known but the first 0, 1, 3, 5 or 10 "
        f"items, and judged by what was newly met in the {settings.replay.replay_horizon_days} days after, up to the last day looked at. With "
        "nothing known the night serves what is popular in the country, whichever model there is. Popularity and item kNN count in "
        "the form that is best at each size, chosen afterwards. 1 to 10: the mean over 1, 3, 5 and 10 items."
    )


def _write(path: Path, data: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}")
    part.write_bytes(data)
    part.replace(path)
