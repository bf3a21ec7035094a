"""The rules of a day as arrays, against the same rules asked for one item and user at a time."""

from __future__ import annotations

import tracemalloc
from datetime import date, timedelta

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from small_shop import open_shop, user

from recpipe.rules.ages import age_on
from recpipe.rules.day_rules import DayRules, day_rules
from recpipe.rules.model import NOTHING, AgeLimit, AgeSource, Block, Group, Knowledge, Name
from recpipe.rules.rule_checks import barred_from_some, count_refused, count_substitutes, count_worse, refusals, turned_away

DAY = date(2011, 9, 1)
ITEMS = np.array(["a", "b", "c", "d", "e"], object)
PATHS = [("toys",), ("toys", "guns"), ("wine",), (), ("wine", "red")]
PEOPLE = {
    "child": ("Norway", "2000"),
    "grown": ("Norway", "1980"),
    "teen": ("Spain", "1994"),  # 16 for certain: perhaps 17
    "nobody": (None, None),
    "odd": ("Peru", "soon"),
}
USERS = np.array([*sorted(PEOPLE), "stranger"], object)
BORN = AgeSource("born", "birth_year")


@pytest.fixture(scope="module")
def reader(tmp_path_factory):
    shop = open_shop(tmp_path_factory.mktemp("people") / "home")
    rows = [
        user(name, "2011-01-01", country) | {"attributes": [("born", born)] if born else None}
        for name, (country, born) in PEOPLE.items()
    ]
    shop.deliver(DAY.isoformat(), users=tuple(rows))
    return shop.lake.reader()


def rules(reader, known: Knowledge, day: date = DAY) -> DayRules:
    return day_rules(known, reader, day, ITEMS, PATHS, USERS)


def barred(found: DayRules) -> dict[str, str]:
    table = found.barred(np.arange(len(USERS)))
    return {name: "".join(ITEMS[row]) for name, row in zip(USERS, table, strict=True)}


def name(text: str) -> Name:
    return Name("", tuple(text.split("/")), 1) if text in ("toys", "toys/guns", "wine", "wine/red") else Name(text, (), 1)


# --- by hand ------------------------------------------------------------------------------------------------------


def test_who_is_barred_from_what(reader):
    known = Knowledge(
        "x",
        blocked=(Block(name("d")), Block(name("toys/guns"), countries=frozenset({"Norway"}))),
        age_limits=(AgeLimit(name("wine"), 16), AgeLimit(name("e"), 18)),
        age_source=BORN,
    )
    assert barred(rules(reader, known)) == {
        "child": "bcde", "grown": "bd", "teen": "de", "nobody": "bcde", "odd": "cde", "stranger": "bcde",
    }  # fmt: skip
    found = rules(reader, known)
    assert found.open_to_all.tolist() == [True, False, False, False, False]
    away = {
        some: set(USERS[found.turned_away(np.array(items))]) for some, items in (("wine", [0, 2]), ("guns", [0, 1]), ("d", [3]))
    }
    assert away == {"wine": {"child", "nobody", "odd", "stranger"}, "guns": set(), "d": set(USERS)}


def test_nothing_known_bars_nothing_and_reads_nothing():
    found = day_rules(NOTHING, None, DAY, ITEMS, PATHS, USERS)  # type: ignore[arg-type]
    assert not found.bars
    assert not found.speaks
    assert found.categories == PATHS
    assert set(barred(found).values()) == {""}


def test_accounts_of_one_person_have_its_country_and_the_least_of_their_ages(reader):
    persons = USERS.copy()
    for linked in (["grown", "stranger"], ["nobody", "odd"]):
        persons[np.isin(USERS, linked)] = linked[0]
    block, limit = Block(name("b"), countries=frozenset({"Norway"})), AgeLimit(name("c"), 18)
    known = Knowledge("x", blocked=(block,), age_limits=(limit,), age_source=BORN)
    found = barred(day_rules(known, reader, DAY, ITEMS, PATHS, USERS, persons))
    assert found == {"child": "bc", "grown": "b", "stranger": "b", "nobody": "c", "odd": "c", "teen": "c"}
    persons[np.isin(USERS, ["child", "grown", "stranger"])] = "child"
    assert barred(day_rules(known, reader, DAY, ITEMS, PATHS, USERS, persons))["stranger"] == "bc"


@pytest.mark.parametrize(("days", "wanted"), [(-1, ""), (0, "a"), (1, "a"), (2, "")])
def test_a_block_holds_on_its_days(reader, days, wanted):
    known = Knowledge("x", blocked=(Block(name("a"), DAY, DAY + timedelta(days=1)),))
    assert barred(rules(reader, known, DAY + timedelta(days=days)))["grown"] == wanted


def test_what_may_complete_an_item(reader):
    """Substitutes never; what is limited only beside what is limited as much; what is blocked everywhere never."""
    known = Knowledge(
        "x",
        substitutes=(Group((name("a"), name("toys/guns"))),),
        blocked=(Block(name("d")),),
        age_limits=(AgeLimit(name("wine"), 16), AgeLimit(name("e"), 18)),
        age_source=BORN,
    )
    found = rules(reader, known)
    first, second = np.divmod(np.arange(25), 5)
    allowed = found.may_complete(first, second)
    pairs = {f"{ITEMS[one]}{ITEMS[other]}" for one, other in zip(first[allowed], second[allowed], strict=True) if one != other}
    assert pairs == {
        "ca",
        "cb",
        "da",
        "db",
        "dc",
        "de",
        "ea",
        "eb",
        "ec",
    }  # nobody sees d: what stands beside it is seen by nobody
    said = [(str(ITEMS[one]), str(ITEMS[other])) for one, other in zip(first, second, strict=True)]
    for pair, good in zip(said, allowed, strict=True):
        assert good == (count_worse(found, [pair]) + count_substitutes(found, [pair]) == 0)


def test_what_may_join_a_cart(reader):
    known = Knowledge(
        "x", substitutes=(Group((name("a"), name("b"))),), blocked=(Block(name("c"), countries=frozenset({"Spain"})),)
    )
    found = rules(reader, known)
    held = sp.csr_matrix(np.array([[1.0, 0, 0, 0, 1], [0, 0, 0, 1, 0]]))
    teen, grown = (list(USERS).index(one) for one in ("teen", "grown"))
    cart, item = np.divmod(np.arange(10), 5)
    allowed = found.may_join(held, np.array([teen, grown]), cart, item).reshape(2, 5)
    assert allowed.tolist() == [[False, False, False, True, True], [True, True, True, True, True]]


@pytest.mark.parametrize(
    ("form", "value", "years"),
    [
        ("birth_date", "1993-09-01", 18),
        ("birth_date", "1993-09-02", 17),
        ("birth_date", "1993-09-01T10:00:00", 18),
        ("birth_date", "1.9.1993", None),
        ("birth_date", "2011-09-02", None),
        ("birth_year", "1993", 17),
        ("birth_year", "1993.0", 17),
        ("birth_year", "93", None),
        ("birth_year", "", None),
        ("age", "18", 18),
        ("age", "17.9", 17),
        ("age", "19-24", 19),
        ("age", "65+", 65),
        ("age", "under 18", None),
        ("birth_year", "1990-1999", None),
        ("age", "-3", None),
        ("age", None, None),
        ("age", "NaN", None),
    ],
)
def test_how_old_a_user_is_for_certain(form, value, years):
    assert age_on(AgeSource("born", form), value, DAY) == years


def test_a_birth_year_is_over_on_its_last_day():
    assert [age_on(BORN, "1993", date(2011, 12, day)) for day in (30, 31)] == [17, 18]
    assert age_on(AgeSource("b", "birth_date"), "1992-02-29", date(2011, 2, 28)) == 18


def test_what_the_catalogue_does_not_have_is_only_warned_of(reader, caplog):
    known = Knowledge("x", blocked=(Block(name("a"), countries=frozenset({"Atlantis"})), Block(Name("gone", (), 7))))
    rules(reader, known)
    assert "1 names of blocked.yaml stand in no catalogue (lines 7)" in caplog.text
    assert "1 countries that no user" in caplog.text
    assert not any(name in caplog.text for name in PEOPLE)


def test_thousands_of_names_of_a_large_catalogue_take_no_room_of_names_by_items():
    """A table of names and items would have 60 million cells here, one of groups and items 20 million of eight bytes."""
    items = np.array([f"i{n:05}" for n in range(20_000)], object)
    groups = tuple(Group((Name(items[n], (), n), Name(items[n + 1], (), n))) for n in range(0, 2000, 2))
    known = Knowledge("x", substitutes=groups, blocked=tuple(Block(Name(one, (), 1)) for one in items[-3000:]))
    tracemalloc.start()
    found = day_rules(known, None, DAY, items, [("shelf",)] * len(items))  # type: ignore[arg-type]
    assert found.may_complete(np.array([0, 0, 0]), np.array([1, 2, 19_999])).tolist() == [False, True, False]
    assert found.groups.sum() == 2000
    assert len(barred_from_some(found)) == found.table[0].sum() == 3000
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 30_000_000


# --- any rules ----------------------------------------------------------------------------------------------------

NAMES = st.sampled_from([*ITEMS, "gone", "toys", "toys/guns", "wine", "wine/red"]).map(name)
DAYS = st.sampled_from([date.min, DAY - timedelta(days=1), DAY, DAY + timedelta(days=1), date.max])
COUNTRIES = st.frozensets(st.sampled_from(["Norway", "Spain", "Atlantis"]), max_size=2)
BLOCKS = st.lists(st.builds(Block, NAMES, DAYS, DAYS, COUNTRIES), max_size=4).map(tuple)
LIMITS = st.lists(st.builds(AgeLimit, NAMES, st.sampled_from([12, 16, 17, 18, 40])), max_size=3).map(tuple)
GROUPS = st.lists(st.lists(NAMES, min_size=1, max_size=3).map(lambda some: Group(tuple(some))), max_size=2).map(tuple)


@settings(max_examples=100, deadline=None)
@given(BLOCKS, LIMITS, GROUPS)
def test_arrays_and_the_slow_way_say_the_same(reader, blocks, limits, groups):
    found = rules(reader, Knowledge("x", substitutes=groups, blocked=blocks, age_limits=limits, age_source=BORN))
    rows = np.arange(len(USERS))
    kind, refused = refusals(found, rows)
    assert np.array_equal(found.barred(rows), refused[kind])
    for row, one in enumerate(USERS):
        assert count_refused(found, [(one, item) for item in ITEMS]) == refused[kind[row]].sum()
    first, second = np.divmod(np.arange(25), 5)
    pairs = [(ITEMS[one], ITEMS[other]) for one, other in zip(first, second, strict=True)]
    slow = [count_worse(found, [pair]) + count_substitutes(found, [pair]) == 0 for pair in pairs]
    assert found.may_complete(first, second).tolist() == slow
    for about in ([0], [1, 2], [3, 4], []):
        assert set(USERS[found.turned_away(np.array(about, int))]) == turned_away(found, ITEMS[about])
