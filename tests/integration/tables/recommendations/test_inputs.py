"""What the shop delivers of its users and what it does to their lists: attributes nothing at all, the country what the shop allows."""

from __future__ import annotations

import json
import subprocess
from datetime import date
from pathlib import Path

import pytest
from coloured_night import DAY
from small_shop import Shop, event, item, open_shop, user

from recpipe.dataset.catalogue_reader import read_attributes
from recpipe.models.popularity import CountryPopularity
from recpipe.pipeline.publish import run_day
from recpipe.tables.families import TASKS
from recpipe.tables.recommendations.night_publish import recommend_day

PACKAGE = Path(__file__).parents[4] / "recpipe"
PEOPLE = [f"u{n}" for n in range(8)]
COUNTRY = dict.fromkeys(PEOPLE[:4], "France") | dict.fromkeys(PEOPLE[4:], "Spain")
CAMPAIGN = {"id": "reds", "first_day": "2026-03-03", "last_day": "2026-03-05", "item_ids": ["red0", "red1"]}


def fill(home: Path, attributes: dict[str, str], country: dict[str, str], **settings) -> Shop:
    """Eight users of two countries buy red or blue things in twos; u0 and u4 have done nothing yet."""
    shop = open_shop(home, top_k=3, min_users=1, min_country_users=1, bootstrap_draws=20, **settings)
    file = home / "campaigns.jsonl"
    file.write_text(json.dumps(CAMPAIGN) + "\n")
    shop = Shop(shop.settings.changed(campaigns=str(file)))
    shop.know("red", "blue", "green")
    shelf = tuple(item(f"{colour}{n}", colour, [colour], price=1.0 + n) for colour in ("red", "blue", "green") for n in range(4))
    accounts = tuple(user(name, "2026-03-01", country[name]) | {"attributes": [("sex", attributes[name])]} for name in PEOPLE)
    shop.deliver("2026-03-01", items=shelf, users=accounts)
    shop.deliver("2026-03-02", events=tuple(bought(name, n) for name in PEOPLE if name not in ("u0", "u4") for n in range(3)))
    return shop


def bought(name: str, n: int) -> dict:
    what = f"{'red' if COUNTRY[name] == 'France' else 'blue'}{n}"
    return event(name, what, "purchase" if n < 2 else "cart", "2026-03-02 10:00") | {"order_id": f"o-{name}"}


def everything(shop: Shop) -> dict[str, list]:
    """Make the lists and every table of a task, and return their rows."""
    shop.model(CountryPopularity(least_customers=1))
    recommend_day(shop.settings, DAY, "1")
    for task in sorted(TASKS.values(), key=lambda task: sum(name in TASKS for name in task.reads)):
        run_day(shop.settings, task, DAY, "1" if task.registered else "")
    reader = shop.lake.reader()
    return {name: reader.read(name, DAY, DAY).to_pylist() for name in ("episodes", "recommendations", *TASKS)}


def test_attributes_of_users_are_an_input_of_nothing(tmp_path):
    one = everything(fill(tmp_path / "one", dict.fromkeys(PEOPLE, "f"), COUNTRY))
    other = everything(fill(tmp_path / "other", {name: f"m{name}" for name in PEOPLE}, COUNTRY))
    assert one == other
    for name in ("recommendations", "campaign_audiences", "complements", "user_profiles"):
        assert one[name], name


def test_the_country_is_an_input_until_the_shop_says_no(tmp_path):
    moved = COUNTRY | {"u0": "Spain", "u1": "Spain"}
    sexes = dict.fromkeys(PEOPLE, "f")
    lists = {}
    for use in (True, False):
        for name, country in (("as is", COUNTRY), ("moved", moved)):
            shop = fill(tmp_path / f"{name}-{use}", sexes, country, use_country=use)
            shop.model(CountryPopularity(least_customers=1))
            recommend_day(shop.settings, DAY, "1")
            lists[use, name] = shop.lake.reader().read("recommendations", DAY, DAY).to_pylist()
    assert lists[False, "as is"] == lists[False, "moved"]
    assert lists[True, "as is"] != lists[True, "moved"]
    kinds = {use: {row["reason"]["kind"] for row in lists[use, "as is"] if row["user_id"] == "u0"} for use in (True, False)}
    assert "popular_in_country" in kinds[True] - kinds[False]


def test_a_task_sees_the_attributes_that_are_named_and_no_others(tmp_path):
    shop = fill(tmp_path, {name: name.upper() for name in PEOPLE}, COUNTRY, use_attributes=["sex", "age"])
    found = read_attributes(shop.lake.reader(), shop.settings, DAY).to_pylist()
    assert found[:1] == [{"user_id": "u0", "sex": "U0", "age": None}]
    assert len(found) == 8
    nothing = shop.settings.changed(use_attributes=[])
    reader = shop.lake.reader()
    assert read_attributes(reader, nothing, DAY).column_names == ["user_id"]
    assert reader.inputs == []
    assert read_attributes(shop.lake.reader(), shop.settings, date(2026, 2, 1)).num_rows == 0


def test_nobody_else_asks_for_attributes():
    """Who reads the column: taking in, the measure of how groups are served, the door above, and ages that the shop's files ask for."""
    may = (
        "contract.py",
        "config/",
        "tables/ingest/",
        "onboarding/",  # proposes no delivered column for it
        "cli/check.py",
        "evaluation/fairness.py",
        "dataset/catalogue_reader.py",
        "rules/",
    )
    found = subprocess.run(["grep", "-rlE", r"""["']attributes["']|read_attributes""", PACKAGE, "--include=*.py"],
                           capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    places = {Path(file).relative_to(PACKAGE) for file in found}
    assert {str(place) for place in places if not str(place).startswith(may)} == set()


@pytest.mark.parametrize("share", [0.34, 0.67])
def test_a_night_gives_a_group_its_places_and_says_so(tmp_path, share):
    shop = fill(tmp_path, dict.fromkeys(PEOPLE, "f"), COUNTRY, least_exposure={"category:0=green": share})
    shop.model(CountryPopularity(least_customers=1))
    recommend_day(shop.settings, DAY, "1")
    rows = shop.lake.reader().read("recommendations", DAY, DAY).to_pylist()
    wanted = int(3 * share)
    for name in PEOPLE:
        mine = sorted((row for row in rows if row["user_id"] == name), key=lambda row: row["rank"])
        green = [row for row in mine if row["item_id"].startswith("green")]
        assert len(mine) == 3
        assert len(green) >= wanted
        assert mine[2]["item_id"].startswith("green")
    kinds = {row["reason"]["kind"] for row in rows if row["item_id"].startswith("green")}
    assert kinds == {"least_exposure"}
