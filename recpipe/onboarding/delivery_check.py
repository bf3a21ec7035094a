"""The check of a shop's files: settings that take them in, a trial on real days, and a log cut into days."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any, Final

from recpipe.config.settings import Settings, load_settings
from recpipe.config.shop_settings import IntakeSettings
from recpipe.days import days_between
from recpipe.errors import BadSetting, RecpipeError
from recpipe.onboarding.checked import Asked, Checked
from recpipe.onboarding.found_layout import find_layout
from recpipe.onboarding.guesses.samples import Sample, sample
from recpipe.onboarding.guesses.time_forms import quiet_hours
from recpipe.onboarding.log_days import cut
from recpipe.onboarding.proposal import Line, Proposal, kinds_of, propose, unknown_kinds
from recpipe.onboarding.row_identity import identity
from recpipe.onboarding.sample_rows import Shape
from recpipe.onboarding.sources import find_sources
from recpipe.onboarding.survey import Survey, survey
from recpipe.onboarding.table_choice import choose_tables
from recpipe.onboarding.trial import trial_days, try_days
from recpipe.validation.audit import median_before

Say = Callable[[str, int, int], None]
"""Told what is done, how much of it, and of how much."""


WATCHED: Final = 2.0
"""Times the share of usual rows at which a day is refused, below which a day is asked for."""


def check(asked: Asked, scratch: Path, say: Say = lambda what, done, of: None) -> Checked:
    """Check the files of a shop.

    Parameters
    ----------
    asked
        Where they are, and what a person has said of them.
    scratch
        An empty folder, which the caller removes.
    say
        Told of progress.

    Raises
    ------
    BadSetting
        If there is no such path, or what a person has said cannot be.
    BadDelivery
        If a file breaks off.
    """
    _refuse_full(asked.cut)
    found = find_sources(asked.path, scratch / "csv")
    samples = [_sampled(source, at, len(found.sources), say) for at, source in enumerate(found.sources)]
    tables = choose_tables(samples, asked.tables, asked.columns)
    checked = Checked(found, tables, propose(tables, asked.zone, asked.kinds))
    if not checked.ingestible:
        return checked
    try:
        _look(checked, asked, scratch, say)
    except BadSetting:
        raise
    except RecpipeError as error:
        checked.proposal.missing.append(str(error))
    return checked


def _refuse_full(folder: Path | None) -> None:
    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise BadSetting(f"{folder} is not empty: name a new folder for the days, so that no earlier ones are mixed with them.")


def _sampled(source: Any, at: int, of: int, say: Say) -> Sample:
    say(f"looking at {source.name}", at, of)
    return sample(source)


def settings_of(proposal: Proposal, **more: Any) -> Settings:
    """Return settings as proposed.

    Raises
    ------
    BadSetting
        If a value cannot be, such as a zone that nobody knows.
    """
    return load_settings(**{**proposal.settings(), **more})


def _look(checked: Checked, asked: Asked, scratch: Path, say: Say) -> None:
    """Pass over all events, add what that tells, then cut and try."""
    events, proposal = checked.tables["events"], checked.proposal
    settings = settings_of(proposal)
    total = events.sample.source.rows
    done = _Progress("reading events", total, say)
    kind = events.delivered("event_type")
    checked.survey = survey(settings, events.sample.source, proposal.shapes["events"], kind, done)
    if not checked.survey.days:
        proposal.missing.append(f"No row of {events.sample.source.name} has a time that can be read.")
        return
    _add_survey(checked, asked)
    if proposal.missing:
        return
    proposal.lines.append(identity(events, scratch))
    checked.layout = find_layout(checked.found.root, {table: one.sample.source for table, one in checked.tables.items()})
    if checked.layout and asked.cut is None:
        _try_laid(checked, scratch, say)
    else:
        _try_cut(checked, asked, scratch, say)
    _judge(checked)


def _add_survey(checked: Checked, asked: Asked) -> None:
    found, proposal = checked.survey, checked.proposal
    if found.kinds:
        counted = dict(found.kinds.most_common())
        if missing := unknown_kinds(counted, asked.kinds, checked.tables["events"].delivered("event_type")):
            proposal.missing.append(missing)
        else:
            proposal.lines += kinds_of(counted, asked.kinds)
    first, last, share = quiet_hours(found.hours)
    at = next(n for n, line in enumerate(proposal.lines) if line.name == "timezone")
    quiet = f"fewest events from {first} to {last + 1} o'clock ({share:.1%})"
    proposal.lines[at] = replace(proposal.lines[at], evidence=f"{proposal.lines[at].evidence}; {quiet}")
    proposal.lines += [
        Line("first_day", found.first.isoformat(), f"{found.rows:,} events on {len(found.days):,} days"),
        Line("last_day", found.last.isoformat(), f"the last day of the log, on which {found.days[found.last]:,} events are"),
    ]
    proposal.lines += _small_days(found, settings_of(proposal).intake)
    if found.not_utf8:
        said = f"{found.not_utf8:,} rows hold text that is not UTF-8; a cut writes its odd bytes as \\xe9 and the like"
        proposal.lines.append(
            Line("event_columns", None, said, "Can the texts be delivered as UTF-8? Such rows are quarantined otherwise.")
        )
    if found.ratings and not 1 <= found.ratings[0] <= found.ratings[1] <= 5:
        proposal.lines.append(
            Line("rating_bounds", list(found.ratings), f"ratings are between {found.ratings[0]:g} and {found.ratings[1]:g}")
        )


def _try_laid(checked: Checked, scratch: Path, say: Say) -> None:
    layout = checked.layout
    assert layout is not None  # noqa: S101  # the caller has looked
    lines = checked.proposal.lines
    lines.append(
        Line("landing", str(checked.found.root.resolve()), f"events lie in {len(layout.days):,} folders, one for each day")
    )
    if layout.pattern != "{table}/day={day}" or layout.places:
        lines.append(
            Line(
                "landing_layout",
                layout.pattern,
                f"so the folders of events are called, such as {checked.tables['events'].sample.source.folders[0]}",
            )
        )
    if layout.places:
        lines.append(Line("landing_tables", layout.places, "so the folders of the tables are called"))
    absent = [table for table in ("items", "users") if table not in checked.tables]
    if absent:
        lines.append(Line("optional_tables", absent, f"no folder holds {' or '.join(absent)}"))
    days = _spread(layout.days)
    checked.landing = checked.found.root
    checked.trial = try_days(scratch, checked.proposal.settings(), checked.found.root, days, _Days(days, say))


def _spread(days: tuple[date, ...]) -> list[date]:
    return sorted({*days[:3], *days[len(days) // 2 : len(days) // 2 + 3], *days[-3:]})


def _try_cut(checked: Checked, asked: Asked, scratch: Path, say: Say) -> None:
    settings = settings_of(checked.proposal)
    sources = {table: chosen.sample.source for table, chosen in checked.tables.items()}
    shapes = {table: checked.proposal.shapes.get(table, Shape()) for table in sources}
    days = trial_days(checked.survey)
    landing = asked.cut or scratch / "landing"
    done = _Progress("cutting into days", sum(source.rows for source in sources.values()), say)
    checked.written = cut(settings, sources, shapes, checked.survey, landing, None if asked.cut else days, done)
    if asked.cut:
        checked.landing = asked.cut
        told = f"the log was cut into the days {checked.survey.first} to {checked.survey.last}"
        checked.proposal.lines.append(Line("landing", str(asked.cut.resolve()), told))
    checked.trial = try_days(scratch, checked.proposal.settings(), landing, days, _Days(days, say))


def _small_days(found: Survey, intake: IntakeSettings) -> Iterator[Line]:
    """Yield the days of so few events that a history may refuse them: what it compares is what is left once rows are judged."""
    rows = {day: found.days[day] for day in days_between(found.first, found.last)}
    share = min(1.0, WATCHED * intake.least_volume)
    few = []
    for day, count in rows.items():
        usual = median_before(rows, day, intake.volume_weeks)
        if usual is not None and usual >= intake.least_volume_rows and count < share * usual:
            few.append(day.isoformat())
    if few:
        shown = ", ".join(few[:5]) + (", …" if len(few) > 5 else "")
        yield Line(
            "accepted_days", few,
            f"{len(few)} days have less than {share:.0%} of the events that are usual on their weekday; below {intake.least_volume:.0%} a day is refused",
            f"Was the shop closed on {shown}? A day on which the log has a gap is better taken out of RECPIPE_ACCEPTED_DAYS.",
        )  # fmt: skip


def _judge(checked: Checked) -> None:
    """Turn refused days into what is missing, the same sentence once, and another midnight into a question."""
    for hours, count in checked.trial.midnights.items():
        evidence = f"{count} of {len(checked.trial.days)} days that were tried are cut {hours:+g} hours from the shop's midnight"
        checked.proposal.lines.append(Line("timezone", None, evidence, "At which midnight is the export cut? Say --timezone."))
    by_sentence: dict[str, list[date]] = {}
    for day, sentence in checked.trial.refused.items():
        by_sentence.setdefault(re.sub(r"[\d.,%]+", "#", sentence), []).append(day)
    for days in by_sentence.values():
        more = f" (the same on {len(days) - 1} other days that were tried)" if len(days) > 1 else ""
        checked.proposal.missing.append(checked.trial.refused[days[0]] + more)


@dataclass
class _Progress:
    what: str
    of: int
    say: Say
    done: int = 0

    def __call__(self, rows: int) -> None:
        self.done += rows
        self.say(self.what, self.done, self.of)


class _Days:
    def __init__(self, days: list[date], say: Say) -> None:
        self._days, self._say = days, say

    def __call__(self, day: date) -> None:
        self._say(f"trying {day}", self._days.index(day), len(self._days))
