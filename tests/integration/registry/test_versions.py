"""The rules over versions, against their definition, for any set of versions."""

from dataclasses import replace
from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from recpipe.config.settings import load_settings
from recpipe.metrics.intervals import Gain
from recpipe.promotion.gate import judge
from recpipe.registry.versions import Version, newest, opponent, serving

BEGIN = date(2026, 1, 1)
DAYS = st.integers(0, 20).map(lambda n: BEGIN + timedelta(days=n))


@st.composite
def registries(draw):
    versions = []
    for number in range(1, draw(st.integers(0, 8)) + 1):
        trained = draw(DAYS)
        fitted = trained - timedelta(days=draw(st.integers(0, 9)))
        versions.append(Version(number, trained, fitted, trained if draw(st.booleans()) else None, "", ""))
    return draw(st.permutations(versions))


@given(registries(), DAYS)
def test_the_version_of_a_day_is_the_newest_promoted_before_it(versions, day):
    fit = [v for v in versions if v.promoted_on and v.trained_until < day]
    found = serving(versions, day)
    if not fit:
        assert found is None
        return
    newest_day = max(v.trained_until for v in fit)
    assert found.number == max(v.number for v in fit if v.trained_until == newest_day)


@given(registries(), DAYS, DAYS)
def test_what_is_promoted_for_later_weeks_never_changes_an_earlier_night(versions, day, later):
    more = [*versions, Version(99, max(day, later), max(day, later), max(day, later), "", "")]
    assert serving(more, day) == serving(versions, day)


@given(registries(), DAYS)
def test_the_alias_moves_forward_only(versions, day):
    before = newest(v for v in versions if v.promoted_on)
    added = Version(99, day, day, day, "", "")
    after = newest(v for v in [*versions, added] if v.promoted_on)
    assert after == (added if before is None or day >= before.trained_until else before)


@given(registries(), DAYS, st.integers(0, 9))
def test_the_opponent_saw_nothing_of_the_comparison(versions, trained, gap):
    candidate = Version(50, trained, trained - timedelta(days=gap), None, "", "")
    found = opponent([*versions, candidate], candidate)
    if found is not None:
        assert found.promoted_on
        assert found.fitted_until <= candidate.fitted_until
        assert found.trained_until <= candidate.trained_until
    assert opponent([*versions, replace(candidate, promoted_on=trained)], candidate) == found  # never itself


def test_the_gate_by_hand():
    settings = load_settings(promotion_margin=-0.05, min_users=20)

    def judged(low, users=100, candidate=0.1):
        return judge(Gain(candidate, 0.1, 0.0, low, 0.1, users), settings)[0]

    assert judged(-0.049)
    assert not judged(-0.05)
    assert not judged(-0.2)
    assert judged(0.3)
    assert not judged(0.3, users=19)
    assert not judged(None, candidate=0.1)  # a champion without a hit: one lucky hit proves nothing
    assert not judged(None, candidate=0.0)
