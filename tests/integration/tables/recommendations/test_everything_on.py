"""A night with every rule at once: knowledge, least exposure, exploration, linked accounts, few of a category."""

from __future__ import annotations

import math
from datetime import date

import pyarrow as pa
import pytest
from coloured_night import TEXT, published
from small_shop import Shop, event, item, open_shop, user

from recpipe.contract import LEAST_EXPOSURE, NEW_ITEM
from recpipe.evaluation.outcomes import measure_day
from recpipe.pipeline.plan import plan_day
from recpipe.readers.lists import read_list
from recpipe.tables.recommendations.night import open_night, rank_blocks
from recpipe.tables.recommendations.night_publish import recommend_day
from recpipe.tables.recommendations.night_shards import LISTS

DAY = date(2026, 3, 3)
KINDS = ("red", "blue", "green")
SHELF = {f"{colour}{n}": (colour, n % 2) for colour in KINDS for n in range(6)}
"""Old items by id: their path is the colour, and its even or odd half."""
NEW = {f"new{n}": (KINDS[n % 3], n % 2) for n in range(7)}
GONE = "red5"
BLOCKED, SPANISH, GROWN = "blue0", "green1", {"red0", "new0", "new3"}
PEOPLE = [f"u{n:02}" for n in range(24)]
COUNTRY = {name: ("France", "Spain", None)[n % 3] for n, name in enumerate(PEOPLE)}
BORN = {name: "1980" for n, name in enumerate(PEOPLE) if n % 4}
PERSON = {"u01": "p", "u05": "p", "u13": "p", "u02": "q", "u20": "q"}
"""Of u01, u05 and u13 the first account with a country is Spanish; of u02 and u20 one age is known."""
BOUGHT = {name: [f"{KINDS[n % 3]}{n % 5}", f"{KINDS[n % 2]}{n % 4}"] for n, name in enumerate(PEOPLE) if n < 18}
PLACES, DRAWN, MOST, SHARE = 6, 2, 3, 0.5
FILES = {
    "blocked": f"items: [{BLOCKED}, {{id: {SPANISH}, countries: [Spain]}}]",
    "age_limits": f"age_from: {{attribute: born, as: birth_year}}\nlimits: [{{age: 18, items: [{', '.join(sorted(GROWN))}]}}]",
    "substitutes": "groups: [{items: [red1, red2]}]",
}


@pytest.fixture
def shop(tmp_path, monkeypatch) -> Shop:
    monkeypatch.setattr("recpipe.pipeline.blocks.MOST_USERS", 4)
    monkeypatch.setattr("recpipe.pipeline.blocks.FEWEST_USERS", 1)
    folder = tmp_path / "shop"
    folder.mkdir()
    for name, text in FILES.items():
        (folder / f"{name}.yaml").write_text(text)
    rules = {"max_per_category": MOST, "category_level": 0, "least_exposure": {"category:0=green": SHARE}}
    draw = {"explore_places": DRAWN, "explore_days": 1, "explore_events": 0}
    shop = open_shop(tmp_path / "home", top_k=PLACES, min_users=1, knowledge=str(folder), **rules, **draw)
    shop.deliver(
        "2026-03-01",
        items=tuple(item(name, colour, [colour, str(half)], name != GONE) for name, (colour, half) in SHELF.items()),
        users=tuple(
            user(name, "2026-02-01", COUNTRY[name]) | {"attributes": [("born", BORN[name])] if name in BORN else None}
            for name in PEOPLE
        ),
        events=tuple(event(name, None, "search", "2026-03-01 09:00", query="green") for name in ("u19", "u20")),
    )
    shop.deliver(
        "2026-03-02", events=tuple(event(name, one, "purchase", "2026-03-02 10:00") for name in BOUGHT for one in BOUGHT[name])
    )
    linked = tuple(
        user(name, "2026-02-01", COUNTRY[name])
        | {"person_id": person, "attributes": [("born", BORN[name])] if name in BORN else None}
        for name, person in PERSON.items()
    )
    new = tuple(item(name, colour, [colour, str(half)]) for name, (colour, half) in NEW.items())
    shop.deliver(DAY.isoformat(), items=new, users=linked)
    shop.model(TEXT)
    return shop


def later(shop: Shop) -> None:
    """Deliver, on the next day, what would change all lists if it were seen."""
    names = [*SHELF, *NEW]
    shop.deliver(
        "2026-03-04",
        items=tuple(item(name, "blue", ["blue"], name in ("blue1", "blue2")) for name in names),
        users=tuple(user(name, "2026-02-01", "Spain") | {"person_id": "one"} for name in PEOPLE),
        events=tuple(event(name, one, "purchase", "2026-03-04 10:00") for name in PEOPLE for one in names),
    )


def accounts(name: str) -> list[str]:
    return sorted(one for one in PEOPLE if one == name or (name in PERSON and PERSON.get(one) == PERSON[name]))


def allowed(name: str) -> set[str]:
    """Return what may stand in a list of an account, by the files, the catalogue and what the person has met."""
    mine = accounts(name)
    country = next((COUNTRY[one] for one in mine if COUNTRY[one]), None)
    of_age = any(one in BORN for one in mine)
    met = {one for account in mine for one in BOUGHT.get(account, [])}
    barred = {BLOCKED, *([SPANISH] if country in ("Spain", None) else []), *([] if of_age else GROWN)}
    return {*SHELF, *NEW} - {GONE} - barred - met


def colour(name: str) -> str:
    return (SHELF | NEW)[name][0]


def test_all_rules_at_once_hold_in_every_list(shop):
    later(shop)
    recommend_day(shop.settings, DAY, "1")
    rows = published(shop, day=DAY).to_pylist()
    assert sorted({row["user_id"] for row in rows}) == PEOPLE
    for name in PEOPLE:
        mine = [row for row in rows if row["user_id"] == name]
        own, items = allowed(name), [row["item_id"] for row in mine]
        drawn = [row for row in mine if row["reason"]["kind"] == NEW_ITEM]
        assert [row["rank"] for row in mine] == list(range(1, PLACES + 1))
        assert len(set(items)) == PLACES
        assert set(items) <= own
        assert all(sum(colour(one) == kind for one in items) <= MOST for kind in KINDS)
        assert [row["rank"] for row in drawn] == [5, 6]
        assert {row["item_id"] for row in drawn} <= set(NEW)
        assert all(0 < row["propensity"] <= 1 for row in drawn)
        assert all(row["propensity"] == 1 for row in mine if row not in drawn)
        # of what is drawn the rule on prefixes asks nothing
        for place in range(1, PLACES - DRAWN + 1):
            assert sum(colour(one) == "green" for one in items[:place]) >= int(place * SHARE)
        assert all(colour(row["item_id"]) == "green" for row in mine if row["reason"]["kind"] == LEAST_EXPOSURE)
        met = {one for account in accounts(name) for one in BOUGHT.get(account, [])}
        assert all(set(row["reason"]["because_item_ids"]) <= met for row in mine)
    kinds = {row["reason"]["kind"] for row in rows}
    assert {NEW_ITEM, LEAST_EXPOSURE, "support", "search"} <= kinds


def test_accounts_of_one_person_have_one_list_with_every_rule(shop):
    recommend_day(shop.settings, DAY, "1")
    lists: dict[str, list] = {}
    for row in published(shop, day=DAY).to_pylist():
        lists.setdefault(row["user_id"], []).append({**row, "user_id": ""})
    for name in PERSON:
        assert lists[name] == lists[accounts(name)[0]], name
    assert len({tuple(row["item_id"] for row in found) for found in lists.values()}) > 10


def test_the_rows_are_the_same_for_one_shard_and_three_and_after_a_later_delivery(shop):
    recommend_day(shop.settings, DAY, "1", shards=1)
    once = published(shop, day=DAY)
    later(shop)
    recommend_day(shop.settings, DAY, "1", shards=3)
    assert published(shop, day=DAY).equals(once)


def test_the_written_probabilities_are_those_of_the_draw(shop):
    """Over many seeds a user of each kind is drawn each item as often as is written where it was drawn."""
    times: dict[tuple[str, str], int] = {}
    written: dict[tuple[str, str], float] = {}
    seeds = 60
    reader = shop.lake.reader()
    plan = plan_day(shop.settings, LISTS, DAY, "1")
    for seed in range(seeds):
        settings = shop.settings.changed(seed=seed)
        rows: pa.Table = rank_blocks(open_night(settings, plan, reader), 0, 1)
        for row in rows.to_pylist():
            if row["reason"]["kind"] == NEW_ITEM:
                key = row["user_id"], row["item_id"]
                assert written.setdefault(key, row["propensity"]) == pytest.approx(row["propensity"], abs=1e-9)
                times[key] = times.get(key, 0) + 1
    for name in ("u00", "u07", "u20"):
        assert sum(chance for (user_id, _), chance in written.items() if user_id == name) <= DRAWN + 1e-9
    wrong = [
        key
        for key, chance in written.items()
        if abs(times[key] / seeds - chance) > 5 * (chance * (1 - chance) / seeds) ** 0.5 + 1e-9
    ]
    assert not wrong
    assert min(written.values()) < 0.5


@pytest.mark.parametrize("new_user_days", [1, 60], ids=["long known", "new"])
def test_what_a_list_was_made_from_is_what_all_accounts_of_the_person_bought(shop, new_user_days):
    """u20 bought nothing, u02 bought something green and something red."""
    settings = shop.settings.changed(new_user_days=new_user_days)
    recommend_day(settings, DAY, "1")
    for name in ("u02", "u20"):
        assert sorted(read_list(settings, name, DAY).support) == ["green", "red"]
    assert len(read_list(settings, "u03", DAY).support) == len(set(BOUGHT["u03"]))


def test_what_became_of_such_a_night(shop):
    """What is taken next day: each account's third and last place, and nothing that other accounts of its person take."""
    recommend_day(shop.settings, DAY, "1")
    lists: dict[str, list[dict]] = {}
    for row in published(shop, day=DAY).to_pylist():
        lists.setdefault(row["user_id"], []).append(row)
    takers = [name for name in PEOPLE if name != "u03"]
    taken = {name: {lists[name][2]["item_id"], lists[name][5]["item_id"]} for name in takers}
    events = tuple(event(name, one, "purchase", "2026-03-04 10:00") for name in takers for one in sorted(taken[name]))
    day = shop.deliver("2026-03-04", events=events)
    groups = {
        "item_groups": ["category:0"],
        "user_groups": ["country"],
        "horizon_days": 1,
        "bootstrap_draws": 20,
        "metric_k": PLACES,
    }
    found = measure_day(shop.settings.changed(**groups), day)
    rows = {(row["group"], row["metric"]): row["value"] for row in found.groups.to_pylist()}
    weight = [1 / math.log2(rank + 1) for rank in range(1, PLACES + 1)]
    for kind in KINDS:
        shown = sum(w for name in PEOPLE for w, row in zip(weight, lists[name], strict=True) if colour(row["item_id"]) == kind)
        assert rows[f"category:0={kind}", f"exposure@{PLACES}"] == pytest.approx(shown / sum(weight) / len(PEOPLE))
        met = [colour(one) == kind for some in taken.values() for one in some]
        assert rows[f"category:0={kind}", "met_share"] == pytest.approx(sum(met) / len(met))
    of_all = {(row["cohort"], row["metric"], row["name"]): row["value"] for row in found.rows.to_pylist()}
    drawn = [row for name in PEOPLE for row in lists[name] if row["reason"]["kind"] == NEW_ITEM]
    hit = [row["item_id"] in taken.get(row["user_id"], ()) for row in drawn]
    assert of_all["all", "explored_hit_rate", "1"] == pytest.approx(sum(hit) / len(hit))
    worth = sum(good / row["propensity"] for good, row in zip(hit, drawn, strict=True))
    assert of_all["all", "explored_hits_ips", "1"] == pytest.approx(worth / len(PEOPLE))
    assert of_all["all", f"recall@{PLACES}", "1"] == 1


@pytest.mark.parametrize("there", ["nothing", "items", "users", "nothing that may be shown"])
def test_a_shop_without_lists_has_a_night_and_outcomes_all_the_same(shop, tmp_path, there):
    bare = open_shop(tmp_path / "bare")
    rules = {"item_groups": ["category:0", "brand", "newness", "popularity", "price"], "user_groups": ["country", "platform"]}
    settings = shop.settings.changed(home=bare.settings.places.home, horizon_days=1, **rules)
    bare = Shop(settings)
    items = {"items": (item("red1", "red", ["red"]),), "nothing that may be shown": (item(BLOCKED, "blue", ["blue"]),)}
    users = () if there in ("nothing", "items") else (user("u", "2026-03-01") | {"person_id": "p"},)
    bare.deliver(DAY.isoformat(), items=items.get(there, ()), users=users)
    bare.model(TEXT)
    assert recommend_day(settings, DAY, "1", shards=3)["recommendations"] == 0
    assert published(bare, day=DAY).num_rows == 0
    found = measure_day(settings, bare.deliver("2026-03-04"))
    assert {row["value"] for row in found.groups.to_pylist()} <= {None}
    assert all(row["value"] is None for row in found.rows.to_pylist())
