"""What a search text is answered with: by hand on a shop of eight items, inside every filter, and the same however it is cut."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_shop import Shop, event, item, open_shop

from recpipe.config.settings import load_settings
from recpipe.contract import TABLES
from recpipe.errors import AuditFailed
from recpipe.pipeline.plan import plan_day
from recpipe.pipeline.publish import run_day
from recpipe.pipeline.task_outcomes import measure_task
from recpipe.tables.search import search_learning, search_recommendations
from recpipe.tables.search.search_answers import answer, features, matched_words, reason
from recpipe.tables.search.search_answers import ask as asked
from recpipe.tables.search.search_catalogue import make_goods, read_goods, wish_for
from recpipe.tables.search.search_learning import PRIOR, fit, learn_weights, met_after
from recpipe.tables.search.search_recommendations import SEARCHES
from recpipe.tables.search.search_words import load_words
from recpipe.tables.search.wishes import read_wish
from recpipe.text.queries import normalise
from recpipe.validation.audit import audit

DAY = date(2026, 3, 2)
WORDS = load_words(load_settings().searches)


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    """Cups and pots in two colours with prices, and two soaps, one of which does without perfume."""
    shop = open_shop(tmp_path / "home", min_users=1, bootstrap_draws=50)
    shop.deliver(
        "2026-03-01",
        items=(
            item("1", "Red cup", ["Home", "Cups"], price=5.0, brand="Acme"),
            item("2", "Blue cup", ["Home", "Cups"], price=15.0, brand="Acme"),
            item("3", "Green cup", ["Home", "Cups"], price=25.0, brand="Bolt"),
            item("4", "Red pot", ["Home", "Pots & Pans"], price=8.0),
            item("5", "Red soap with parfum", ["Bath", "Soaps"], price=3.0),
            item("6", "Green soap, parfum-free", ["Bath", "Soaps"], price=4.0),
            item("7", "Red cup, chipped", ["Home", "Cups"], available=False, price=1.0),
            item("8", "Blue cup without a price", ["Home", "Cups"]),
        ),
        events=tuple(event(f"u{n}", "2", "purchase", f"2026-03-01 1{n}:00") for n in range(3)),
    )
    return shop


def ask(shop: Shop, *texts: str, rests: tuple[str, ...] = (), shards: int = 1) -> dict[str, list[dict]]:
    """Search texts on the day, by a visitor each, and return the rows of each."""
    shop.know("", *rests, *texts)
    shop.deliver(
        DAY.isoformat(),
        events=tuple(event(f"v{n}", None, "search", "2026-03-02 10:00", query=text) for n, text in enumerate(texts)),
    )
    run_day(shop.settings, SEARCHES, DAY, shards=shards)
    found: dict[str, list[dict]] = {}
    for row in shop.lake.reader().read("search_recommendations", DAY, DAY).to_pylist():
        found.setdefault(row["query"], []).append(row)
    return found


def ids(rows: list[dict]) -> list[str]:
    return [row["item_id"] for row in rows]


def test_the_rows_of_a_text(shop):
    """Two words of three cups; red is rarer than cup, and means what the red cup means."""
    rows = ask(shop, "Red  CUP!", "red cup")["red cup"]
    assert ids(rows) == ["1", "2", "3", "8"]
    first = rows[0]
    assert [first[name] for name in ("rank", "searches", "categories", "brand", "without", "relaxed", "cheap")] == [
        1, 2, ["Home > Cups"], None, [], [], False,
    ]  # fmt: skip
    assert first["matched_words"] == ["red", "cup"]
    assert first["reason"] == 'holds "red", "cup"; lies in Home > Cups'
    assert rows[1]["matched_words"] == ["cup"]


def test_filters_are_obeyed(shop):
    found = ask(
        shop, "cup under £15", "acme cup", "soap without parfum", "below 4", "cheap cup", rests=("cup", "soap without parfum")
    )
    assert sorted(ids(found["cup under £15"])) == ["1", "2"]
    assert found["cup under £15"][0]["price_high"] == 15
    assert found["cup under £15"][0]["reason"] == 'holds "cup"; lies in Home > Cups; costs 15, not above 15'
    assert sorted(ids(found["acme cup"])) == ["1", "2"]
    assert ids(found["soap without parfum"]) == ["6"]
    assert found["soap without parfum"][0]["matched_words"] == ["soap"]
    assert found["soap without parfum"][0]["reason"] == 'holds "soap"; lies in Bath > Soaps; does not name "parfum"'
    assert ids(found["below 4"]) == ["5", "6"] or ids(found["below 4"]) == ["6", "5"]
    assert ids(found["cheap cup"]) == ["1"]  # of 1, 5, 15 and 25 the lower third ends at 5; what costs 1 is not to be had


@pytest.mark.parametrize(
    ("text", "rest", "relaxed", "listed"),
    [
        ("cup under 2", "cup", ["price"], {"1", "2", "3", "8"}),
        ("bolt cup under 20", "bolt cup", ["price"], {"3"}),
        ("bolt soap", "bolt soap", ["brand"], {"5", "6"}),
        ("bolt soap under 2", "bolt soap", ["price", "brand"], {"5", "6"}),
    ],
)
def test_what_leaves_nothing_is_given_up_in_order(shop, text, rest, relaxed, listed):
    rows = ask(shop, text, rests=(rest,))[text]
    assert set(ids(rows)) == listed
    assert all(row["relaxed"] == relaxed for row in rows)
    assert all(f"nothing lies within the {name} that was asked for" in row["reason"] for row in rows for name in relaxed)


def test_what_must_not_be_in_it_is_never_given_up(shop):
    """The only cup of the brand is green: the brand is given up, and no green cup is listed."""
    rows = ask(shop, "bolt cup without green")["bolt cup without green"]
    assert set(ids(rows)) == {"1", "2", "8"}
    assert {tuple(row["relaxed"]) for row in rows} == {("brand",)}


@pytest.mark.parametrize(
    ("cosine", "text", "listed", "why"),
    [
        (0.0, "lavendelle", True, "is written nearly the same"),
        (0.9, "lavendelle", True, "means nearly the same"),
        (0.9, "velocipede", True, "means nearly the same"),
        (0.1, "velocipede", False, ""),
        (0.0, "lavender", True, 'holds "lavender"'),
    ],
)
def test_an_item_without_a_word_of_the_text_is_listed_where_it_is_alike(cosine, text, listed, why):
    goods = shelf(["Lavender soap"], np.array([[1.0, 0.0]], np.float32))
    wish, vector = read_wish(text, WORDS), np.array([[cosine, (1 - cosine**2) ** 0.5]], np.float32)
    (one,), found = asked(goods, [wish], WORDS), features(goods, [wish], vector)
    (answered,) = answer(goods, [one], found, np.array(PRIOR), 5)
    assert list(answered.rows) == ([0] if listed else [])
    assert reason(goods, one, 0, found[:, 0, 0], np.array(PRIOR), ()) == why


def test_texts_of_persons_are_counted_and_not_listed(shop):
    found = ask(shop, "red cup", "cup for ann@example.org", "call 0151 234 5678", "call 0151-2345678")
    assert set(found) == {"red cup"}
    verdict = (Path(shop.settings.places.lake_root) / "_verdicts" / "search_recommendations" / f"{DAY}.json").read_text()
    assert {check["name"]: check for check in json.loads(verdict)["checks"]}["withheld_texts_in_bounds"]["counted"] == {
        "observed": 3
    }
    assert "ann" not in verdict


def test_rows_do_not_depend_on_shards_nor_on_later_days(shop, monkeypatch):
    monkeypatch.setattr(search_recommendations, "FEWEST_A_BLOCK", 1)
    monkeypatch.setattr("recpipe.pipeline.blocks.MOST_USERS", 4)
    texts = ("red cup", "blue cup", "green soap", "pot", "acme", "below 4", "soap", "cup")
    once = ask(shop, *texts)
    shop.deliver(
        "2026-03-03",
        items=(item("9", "Red cup", ["Home", "Cups"], price=1.0),),
        events=(event("u", "3", "view", "2026-03-03 10:00"),),
    )
    run_day(shop.settings, SEARCHES, DAY, shards=3)
    again: dict[str, list[dict]] = {}
    for row in shop.lake.reader().read("search_recommendations", DAY, DAY).to_pylist():
        again.setdefault(row["query"], []).append(row)
    assert again == once


def test_a_day_without_searches_is_empty(shop):
    shop.deliver("2026-03-02")
    assert run_day(shop.settings, SEARCHES, DAY)["rows"] == 0
    assert shop.lake.day("search_recommendations", DAY).status == "empty"


def test_a_shop_without_items_answers_nothing(tmp_path):
    shop = open_shop(tmp_path / "home")
    assert ask(shop, "red cup") == {}


def test_what_the_shop_bars_is_not_listed(shop, tmp_path):
    (tmp_path / "knowledge").mkdir()
    (tmp_path / "knowledge" / "blocked.yaml").write_text("items:\n  - id: '1'\n    why: recalled\n")
    barred = Shop(shop.settings.changed(knowledge=str(tmp_path / "knowledge")))
    assert "1" not in ids(ask(barred, "red cup")["red cup"])


# --- what is learned ----------------------------------------------------------------------------------------------


def test_what_was_met_after_a_search(shop):
    def seen(visitor, name, kind, ts, query=None, session=None):
        return event(visitor, name, kind, ts, query=query) | {"session_id": session}

    rows = [
        seen("a", None, "search", "2026-03-02 10:00", "Red cup"),
        seen("a", "1", "view", "2026-03-02 10:01"),
        seen("a", "1", "purchase", "2026-03-02 10:02"),  # the same item counts once
        seen("a", None, "search", "2026-03-02 10:03", "pot"),
        seen("a", "4", "view", "2026-03-02 10:04"),
        seen("a", "5", "view", "2026-03-02 10:40"),  # more than half an hour later
        seen(None, None, "search", "2026-03-02 10:00", "soap", "s1"),
        seen(None, "6", "view", "2026-03-02 10:01", session="s1"),
        seen(None, "5", "view", "2026-03-02 10:01", session="s2"),
        seen("b", None, "search", "2026-03-02 10:00", "ann@example.org"),
        seen("b", "6", "view", "2026-03-02 10:01"),
        seen(None, "6", "view", "2026-03-02 10:01"),
    ]
    assert met_after(rows) == [("pot", "4"), ("red cup", "1"), ("soap", "6")]


def test_weights_follow_what_was_chosen_and_stay_near_the_prior_without_choices():
    rng = np.random.default_rng(0)
    candidates = [rng.random((20, 4)) for _ in range(400)]
    chosen = [(some, int(np.argmax(some @ np.array([2.0, 0.0, 20.0, 1.0])))) for some in candidates]
    found = fit(chosen)
    assert found[2] > 2 * found[0]
    assert found[1] < 1
    assert fit([]) == pytest.approx(PRIOR)


def test_a_night_learns_from_the_searches_before_it(shop, monkeypatch):
    """Whoever searches a cup takes what sells least: popularity loses its weight."""
    monkeypatch.setattr(search_learning, "FEWEST", 5)
    searches = [
        row
        for n in range(30)
        for row in (
            event(f"w{n}", None, "search", "2026-03-01 10:00", query="cup"),
            event(f"w{n}", "3", "view", "2026-03-01 10:05"),
        )
    ]
    shop.deliver("2026-03-01", items=(), events=tuple(searches))
    shop.know("", "cup")
    shop.deliver("2026-03-02", items=tuple(item(str(n), "cup", ["Home", "Cups"]) for n in range(1, 4)))
    reader, words = shop.lake.reader(), load_words(shop.settings.searches)
    goods = read_goods(reader, shop.settings, DAY, words)
    sales = np.array([0.0, 1.0, 0.0])
    learned = learn_weights(shop.settings, reader, DAY, goods, words, sales)
    assert learned[3] < PRIOR[3]
    assert list(learn_weights(shop.settings, reader, date(2026, 2, 28), goods, words, sales)) == list(PRIOR)


# --- every filter, for any shop and text --------------------------------------------------------------------------

TITLES = ("red cup", "blue cup of roses", "rose oil", "soap without roses", "red pot", "rose-free soap", "cup and pot", "lamp")
PATHS: tuple[tuple[str, ...], ...] = ((), ("Home", "Cups"), ("Home", "Pots"), ("Bath", "Soaps & Oils"))
ONES = st.tuples(
    st.sampled_from(TITLES), st.sampled_from(PATHS), st.sampled_from(("", "Acme", "Bolt")),
    st.one_of(st.just(float("nan")), st.integers(1, 40).map(float)), st.booleans(),
)  # fmt: skip
TEXTS = st.lists(
    st.sampled_from(("cup", "pots", "soap", "red", "acme", "bolt", "under £10", "20-30 €", "cheap", "without roses", "rose-free", "ab 15 €", "oil")),
    min_size=1, max_size=4, unique=True,
)  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(st.lists(ONES, min_size=1, max_size=12), TEXTS)
def test_no_item_lies_outside_what_the_text_names(ones, parts):
    """Looked at with the texts as they stand, and not with what made the list."""
    price = np.array([one[3] for one in ones])
    goods = make_goods(
        np.array([f"{n:02}" for n in range(len(ones))], object), np.array([one[4] for one in ones]), price, [one[1] for one in ones],
        [one[2] for one in ones], [f"{one[0]} {one[2]}" for one in ones], [f"{one[0]} {' '.join(one[1])} {one[2]}" for one in ones],
        np.ones((len(ones), 1), np.float32), np.zeros(len(ones)), WORDS,
    )  # fmt: skip
    wish = read_wish(normalise(" ".join(parts)), WORDS)
    (one,) = asked(goods, [wish], WORDS)
    (listed,) = answer(goods, [one], features(goods, [wish], np.ones((1, 1), np.float32)), np.array(PRIOR), 5)
    gone = set(listed.relaxed)
    assert len(set(listed.rows.tolist())) == len(listed.rows) <= 5
    for row in listed.rows:
        title, path, brand, cost, available = ones[row]
        assert available
        if "price" not in gone:
            assert not ("under £10" in parts and not cost <= 10)
            assert not ("20-30 €" in parts and not 20 <= cost <= 30)
            assert not ("ab 15 €" in parts and not cost >= 15)
            assert not ("cheap" in parts and not sum(price < cost) <= sum(np.isfinite(price)) / 2)
        if one.named.brand and "brand" not in gone:
            assert brand == one.named.brand
        if one.named.paths and "category" not in gone:
            assert any(path[: len(node)] == node for node in one.named.paths)
        if {"without roses", "rose-free"} & set(parts):
            assert title not in ("blue cup of roses", "rose oil")
    assert list(listed.relaxed) == [name for name in ("price", "brand", "category") if name in gone]
    assert list(listed.scores) == sorted(listed.scores, reverse=True)


@settings(deadline=None, max_examples=60)
@given(st.lists(ONES, min_size=2, max_size=12), st.sampled_from(("red cup lamp", "rose soap oil", "blue pot cup")))
def test_words_that_are_named_carry_the_score(ones, text):
    """Without a named word an item's score by words falls; without any other it does not."""
    goods = shelf([one[0] for one in ones], np.ones((len(ones), 1), np.float32))
    wish, most = read_wish(text, WORDS), words_left(goods, text)
    for row in range(len(ones)):
        named = matched_words(goods, wish, row)
        for word in text.split():
            left = words_left(goods, " ".join(other for other in text.split() if other != word))
            fell = most[row] - left[row]
            assert fell > 1e-9 if word in named else fell <= 1e-9


def shelf(texts, vectors):
    """Return a catalogue of texts alone."""
    size = len(texts)
    return make_goods(
        np.array([f"{n:02}" for n in range(size)], object), np.ones(size, bool), np.full(size, np.nan), [()] * size, [""] * size, texts,
        texts, vectors, np.zeros(size), WORDS,
    )  # fmt: skip


def words_left(goods, text):
    """Return what the words of a text add for each item, not divided by what the text could have."""
    wish = read_wish(text, WORDS)
    found = features(goods, [wish], np.ones((1, 1), np.float32))[0, 0]
    most = sum(
        goods.index.idf[goods.index.terms[word]] if word in goods.index.terms else goods.index.rarest for word in wish.shown
    )
    return found * most


# --- the suite and the measure ------------------------------------------------------------------------------------

GOOD = {
    "day": DAY, "query": "acme cup under 15 without green", "rank": 1, "item_id": "1", "score": 1.0, "searches": 1, "price_low": None,
    "price_high": 15.0, "cheap": False, "categories": ["Home > Cups"], "brand": "Acme", "without": ["green"], "relaxed": [],
    "matched_words": ["cup"], "reason": "", "model_version": "x",
}  # fmt: skip
BREAKS = [
    ("unknown_items", {"item_id": "new"}),
    ("unavailable_items", {"item_id": "7"}),
    ("price_amiss", {"price_high": 4.0}),
    ("price_amiss", {"price_low": 6.0}),
    ("price_amiss", {"item_id": "8"}),
    ("price_amiss", {"item_id": "2", "cheap": True}),
    ("category_amiss", {"item_id": "4"}),
    ("category_amiss", {"categories": ["Home > Cup"]}),
    ("brand_amiss", {"item_id": "3"}),
    ("named_without", {"without": ["red"]}),
    ("personal_texts", {"query": "ann@example.org"}),
    ("ranks_amiss", {"rank": 2}),
    ("unknown_words", {"relaxed": ["without"]}),
]


@pytest.mark.parametrize(("fact", "change"), BREAKS)
def test_a_row_that_is_amiss_is_counted(shop, fact, change):
    shop.deliver("2026-03-02")
    plan = plan_day(shop.settings, SEARCHES, DAY)
    state = SEARCHES.open(shop.settings, plan, shop.lake.reader(plan.versions))
    assert set(search_recommendations.count_faults(state, [GOOD]).values()) == {0}
    assert search_recommendations.count_faults(state, [GOOD | change])[fact] == 1


@pytest.mark.parametrize("fact", sorted({fact for fact, _ in BREAKS}))
def test_a_fault_stops_the_publication(shop, fact):
    found = pa.Table.from_pylist([GOOD], schema=TABLES["search_recommendations"].schema)
    facts, own = dict.fromkeys(search_recommendations.FACTS, 0), search_recommendations.suite(shop.settings)
    audit(shop.settings, "search_recommendations", DAY, found.to_batches(), facts, own).raise_if_failed()
    with pytest.raises(AuditFailed):
        audit(shop.settings, "search_recommendations", DAY, found.to_batches(), facts | {fact: 1}, own).raise_if_failed()


def test_what_became_of_it(shop):
    """a bought what was offered first; b looked at it before the search, not after; c searched another text. By popularity, and
    by words, the first cup is the same as ours only where it is."""
    own = shop.settings.changed(horizon_days=1, metric_k=1)
    ask(Shop(own), "red cup", "pot")
    shop.deliver(
        "2026-03-03",
        events=(
            event("a", None, "search", "2026-03-03 10:00", query="RED cup"),
            event("a", "1", "purchase", "2026-03-03 11:00"),
            event("b", "1", "view", "2026-03-03 09:00"),
            event("b", None, "search", "2026-03-03 10:00", query="red cup"),
            event("b", None, "search", "2026-03-03 10:10", query="pot"),
            event("b", "4", "cart", "2026-03-03 10:20"),
            event("c", None, "search", "2026-03-03 10:00", query="soap"),
            event("c", "5", "view", "2026-03-03 10:01"),
        ),
    )
    rows = measure_task(own, SEARCHES, shop.lake.reader(), date(2026, 3, 3)).to_pylist()
    assert {row["metric"] for row in rows} == {"hit_rate@1"}
    value = {row["name"]: (row["value"], row["users"]) for row in rows}
    mine = next(name for name in value if name not in ("words", "popularity"))
    assert value[mine] == (0.75, 2)  # a hit of one, b of one in two
    assert value["words"] == (0.75, 2)
    assert value["popularity"] == (0.25, 2)  # among cups the blue one sells; there is one pot


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("cup", {0, 1}),
        ("red cup", {0, 1}),
        ("cup rack", {2}),  # no cup is a rack; what lies there is called a cup too
        ("cup rose", {0, 1}),  # what is a rose lies elsewhere, but is no cup
        ("becher", {0, 1}),
    ],
)
def test_words_of_a_category_may_belong_to_an_item_elsewhere(text, listed):
    paths = [("Home", "Mugs & Cups"), ("Home", "Mugs & Cups"), ("Kitchen", "Racks"), ("Garden", "Flowers")]
    titles = ["red cup", "blue mug", "rack for a cup", "rose"]
    goods = make_goods(
        np.array(list("abcd"), object), np.ones(4, bool), np.full(4, np.nan), paths, [""] * 4, titles, titles,
        np.ones((4, 1), np.float32), np.zeros(4), WORDS,
    )  # fmt: skip
    wish = read_wish(text, WORDS)
    (one,) = asked(goods, [wish], WORDS)
    assert set(np.flatnonzero(one.masks["category"])) == listed


def test_a_category_that_is_part_of_an_items_name_is_no_filter():
    """Nothing among the cups is a cup of gold leaf; a frame is."""
    paths, titles = [("Home", "Cups")] * 3 + [("Art", "Frames")], ["red cup", "cup", "blue cup", "gold leaf cup frame"]
    goods = make_goods(
        np.array(list("abcd"), object), np.ones(4, bool), np.full(4, np.nan), paths, [""] * 4, titles, titles,
        np.ones((4, 1), np.float32), np.zeros(4), WORDS,
    )  # fmt: skip
    gold, red = asked(goods, [read_wish("gold leaf cup", WORDS), read_wish("red cup", WORDS)], WORDS)
    assert gold.masks == {}
    assert red.named.paths == (("Home", "Cups"),)


def test_a_slip_of_the_keyboard_is_read_as_the_word_of_the_catalogue():
    goods = shelf(["Lavender soaps", "Rose soap"], np.ones((2, 1), np.float32))
    wish = wish_for(goods, "lavedner soap under 3", WORDS)
    assert (wish.text, wish.rest, wish.high) == ("lavedner soap under 3", "lavender soap", 3)
    assert matched_words(goods, wish, 0) == ["lavender", "soap"]
    assert wish_for(goods, "lavender velocipede", WORDS).rest == "lavender velocipede"
