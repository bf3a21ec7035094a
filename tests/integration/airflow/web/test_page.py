"""The page: nobody without a login gets a byte of it; who has one is answered, whatever the lake has."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from recpipe.config.settings import Settings
from recpipe.contract import TABLES
from recpipe.lake.lake import Lake


@pytest.fixture(scope="module")
def server(airflow_db: None) -> Iterator[Any]:
    """Airflow's own API application with the plugins folder of the project, as the API server makes it."""
    from airflow.api_fastapi.app import create_app, purge_cached_app

    yield create_app(apps="core")
    purge_cached_app()


@pytest.fixture(scope="module")
def page(server: Any) -> Any:
    """The page's application, where Airflow has mounted it."""
    return next(route.app for route in server.routes if getattr(route, "path", "") == "/recpipe")


def token(role: str = "viewer", **claims: Any) -> str:
    """Return what a login would have put into the cookie."""
    from airflow.api_fastapi.app import get_auth_manager
    from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser

    user = SimpleAuthManagerUser(username="support", role=role)
    return get_auth_manager().generate_jwt(user, **claims)


def client(server: Any, cookie: str = "") -> Any:
    from fastapi.testclient import TestClient

    return TestClient(
        server, cookies={"_token": cookie} if cookie else {}, follow_redirects=False, base_url="http://localhost:8080"
    )


@pytest.fixture
def viewer(server: Any, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A browser with a login, and a home of its own."""
    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    return client(server, token())


def addresses(page: Any) -> list[tuple[str, str]]:
    """Return a method and an address for each route of the page, and some that do not exist."""
    there = {
        "{name}": "page.css", "{path:path}": "outcomes-2011-09-08.html", "{what}": "run", "{table}": "items", "{day}": "2011-09-02",
    }  # fmt: skip
    found = [("GET", "/recpipe/no/such/page"), ("GET", "/recpipe/docs"), ("GET", "/recpipe/openapi.json")]
    for route in page.routes:
        assert hasattr(route, "methods"), (
            f"{route.path} is mounted: the application does not ask for it, as it does for its routes"
        )
        path = re.sub(r"\{[^}]*\}", lambda part: there.get(part[0], "1"), route.path)
        found += [(method, f"/recpipe{path}") for method in route.methods]
    return found


@pytest.fixture
def shop(settings: Settings, open_shop: Callable[[Settings], None], monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A small shop with a report."""
    monkeypatch.setenv("RECPIPE_HOME", str(settings.places.home))
    open_shop(settings)
    (settings.places.reports / "verdicts").mkdir(parents=True)
    (settings.places.reports / "outcomes-2011-09-08.html").write_text("<h1>Outcomes</h1><script>steal()</script>")
    (settings.places.reports / "verdicts" / "items-2011-09-02.html").write_text("<h1>items</h1>")
    return settings


# --- the door


def expired() -> str:
    return token(expiration_time_in_seconds=-60)


def forged() -> str:
    import jwt

    claims = jwt.decode(token("admin"), options={"verify_signature": False})
    return jwt.encode(claims, "somebody else's key, which is long enough for HS512: " + "x" * 32, algorithm="HS512")


def unsigned() -> str:
    import jwt

    return jwt.encode(jwt.decode(token("admin"), options={"verify_signature": False}), None, algorithm="none")


def revoked() -> str:
    from airflow.api_fastapi.app import get_auth_manager

    known = token("admin")
    get_auth_manager().revoke_token(known)  # what a logout does
    return known


def without_role() -> str:
    return token("")


@pytest.mark.parametrize(
    "cookie",
    [None, expired, forged, unsigned, revoked, lambda: "nonsense"],
    ids=["none", "expired", "forged", "unsigned", "revoked", "nonsense"],
)
def test_without_a_valid_login_no_route_says_anything(
    server: Any, page: Any, shop: Settings, cookie: Callable[[], str] | None
) -> None:
    asked = addresses(page)
    assert len(asked) > 10
    for method, address in asked:
        for accept in ("*/*", "text/html"):
            browser = client(server, cookie() if cookie else "")
            answer = browser.request(
                method, address, headers={"Accept": accept}, data={"user": "few"} if method == "POST" else None
            )
            assert answer.status_code in (401, 403, 303), (method, address)
            assert answer.content == b"", (method, address)
            if accept == "text/html" and method == "GET":
                assert answer.headers["location"].startswith("/auth/login?next=%2Frecpipe"), address


def test_a_token_in_the_header_is_held_to_the_same(server: Any, page: Any, shop: Settings) -> None:
    for made in (expired, forged, unsigned):
        for method, address in addresses(page):
            answer = client(server).request(method, address, headers={"Authorization": f"Bearer {made()}"})
            assert (answer.status_code in (401, 403), answer.content) == (True, b""), (method, address)
    assert client(server).get("/recpipe/", headers={"Authorization": f"Bearer {token()}"}).status_code == 200


def test_who_is_logged_in_and_may_not_read_the_lists_sees_none(server: Any, page: Any, shop: Settings) -> None:
    for method, address in addresses(page):
        answer = client(server, without_role()).request(method, address, headers={"Accept": "text/html"})
        assert answer.status_code == 403
        assert (
            answer.text == "Your Airflow account may not read this page. Ask for a role that may read the DAG recommend_nightly."
        )


@pytest.mark.parametrize("role", ["viewer", "admin"])
def test_every_role_that_reads_dags_is_let_in(server: Any, page: Any, shop: Settings, role: str) -> None:
    browser = client(server, token(role))
    asked = [one for one in addresses(page) if one[1] != "/recpipe/versions/1/run"]  # that one asks MLflow: see test_links.py
    for method, address in asked:
        answer = browser.request(method, address, data={"user": "few"} if method == "POST" else None)
        missing = address in (
            "/recpipe/no/such/page", "/recpipe/docs", "/recpipe/openapi.json", "/recpipe/1",
        )  # fmt: skip
        assert answer.status_code == (404 if missing else 200), (method, address)
        assert answer.content
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"


def test_the_page_loads_nothing_from_elsewhere(viewer: Any, shop: Settings) -> None:
    for address in ("/", "/tables", "/quality", "/quarantine", "/reports"):
        text = viewer.get(f"/recpipe{address}").text
        assert set(re.findall(r'(?:src|href|action)="(/recpipe/|[^"])', text)) - {"#"} == {
            "/recpipe/"
        }  # "#": a chart's own marks
        assert "<script" not in text
        assert "style=" not in text  # the policy would refuse it


# --- a user


def look_up(viewer: Any, user: str) -> str:
    answer = viewer.post("/recpipe/user", data={"user": user})
    assert answer.status_code == 200
    return str(answer.text)


def words_of(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_a_new_users_list_is_told_with_reasons_support_and_the_day_before(viewer: Any, shop: Settings) -> None:
    said = words_of(look_up(viewer, " few "))
    assert "Cohort few new: few items met" in said
    assert "Country France" in said
    assert "1 PAPER &lt;b&gt;LANTERN&lt;/b&gt; because of WHITE HEART A" in said
    assert "2 RED TEAPOT new because of WHITE HEART D" in said
    assert "The day before 1 PAPER &lt;b&gt;LANTERN&lt;/b&gt; 2 CAKE STAND went" in said
    assert "WHITE HEART viewed, bought, 1 Sep 2011 B" in said
    assert "Searched for night light" in said


def test_a_users_list_leads_to_the_model_version(viewer: Any, shop: Settings) -> None:
    assert 'href="http://127.0.0.1:5000/#/models/recpipe/versions/3"' in look_up(viewer, "few")


def test_within_airflows_frame_no_link_is_offered_that_the_frame_would_swallow(viewer: Any, shop: Settings) -> None:
    answer = viewer.post("/recpipe/user", data={"user": "few"}, headers={"Sec-Fetch-Dest": "iframe"})
    assert "target=" not in answer.text
    assert "http://127.0.0.1:5000/#/models/recpipe/versions/3" in answer.text


def test_a_user_without_a_list_of_the_day_before(viewer: Any, shop: Settings) -> None:
    said = words_of(look_up(viewer, "warm"))
    assert "There is no list of this user for the day before" in said
    assert "WHITE HEART viewed, bought, 1 Sep 2011 B" in said


def test_an_unknown_user_gets_a_sentence_and_what_was_typed_is_no_markup(viewer: Any, shop: Settings) -> None:
    said = look_up(viewer, "<img src=x onerror=alert(1)>")
    assert "<img" not in said
    assert "has no list. Either the id is not the one that the shop delivers" in said


def test_a_known_user_without_a_list_is_told_why(viewer: Any, shop: Settings) -> None:
    from recpipe.contract import RECOMMENDATIONS
    from recpipe.lake.lake import Lake

    lake = Lake.from_settings(shop)
    lists = lake.reader().read("recommendations", date(2011, 9, 2), date(2011, 9, 2))
    rows = [row for row in lists.to_pylist() if row["user_id"] != "warm"]
    lake.publish("recommendations", [date(2011, 9, 2)], pa.Table.from_pylist(rows, schema=RECOMMENDATIONS.schema))
    assert "User warm is known, and has no list on 2011-09-02: of 4 items that were available, 1 had been met" in look_up(
        viewer, "warm"
    )


def test_a_title_turns_nothing_around_it(viewer: Any, shop: Settings) -> None:
    from recpipe.contract import ITEMS
    from recpipe.lake.lake import Lake

    rows = [{"day": date(2011, 9, 2), "item_id": "A", "title": "abc\u202edef\u2066<b>", "available": True}]
    Lake.from_settings(shop).publish("items", [date(2011, 9, 2)], pa.Table.from_pylist(rows, schema=ITEMS.schema))
    said = look_up(viewer, "few")
    assert "abc\\u202edef\\u2066&lt;b&gt;" in said
    assert not {"\u202e", "\u2066"} & set(said)


def test_a_raw_id_is_mapped_where_a_key_is_set_and_a_key_can_be_typed(
    viewer: Any, settings: Settings, open_shop: Any, monkeypatch: Any
) -> None:
    from recpipe.config.settings import load_settings
    from recpipe.user_ids.keys import user_key

    monkeypatch.setenv("RECPIPE_USER_KEY", "5f" * 32)
    keyed = load_settings(home=settings.places.home)
    mapped = user_key(keyed, "few")
    open_shop(keyed, {"few": mapped})
    for typed in ("few", mapped):
        assert "2 RED TEAPOT new" in words_of(look_up(viewer, typed))
    assert "type the shop&#39;s own id, or the 64 digits" in look_up(viewer, "nobody")


def test_the_key_may_stand_in_a_connection_of_airflow(viewer: Any, settings: Settings, open_shop: Any) -> None:
    from airflow.models import Connection
    from airflow.utils.session import create_session

    from recpipe.config.settings import load_settings
    from recpipe.user_ids.keys import user_key

    key = "5f" * 32
    open_shop(load_settings(home=settings.places.home, user_key=key), {"few": user_key(load_settings(user_key=key), "few")})
    with create_session() as session:
        session.add(Connection(conn_id="recpipe_user_key", conn_type="generic", password=key))
    try:
        assert "2 RED TEAPOT new" in words_of(look_up(viewer, "few"))
    finally:
        with create_session() as session:
            session.query(Connection).delete()
    assert "has no list" in look_up(viewer, "few")


def test_no_id_stands_in_an_address_or_in_a_log(
    viewer: Any, shop: Settings, capfd: pytest.CaptureFixture[str], caplog: Any
) -> None:
    looked = viewer.post("/recpipe/user", data={"user": "few"})
    viewer.post("/recpipe/user", data={"user": "nobody-4711"})
    assert looked.url.path == "/recpipe/user"
    assert looked.url.query == b""
    told = "".join(capfd.readouterr()) + caplog.text
    assert "nobody-4711" not in told
    assert viewer.get("/recpipe/user?user=few").text.count("few") == 0  # an id in an address is no way in


def test_what_is_published_next_is_seen_at_once(viewer: Any, shop: Settings, open_shop: Callable[..., None]) -> None:
    from recpipe.readers.session import open_reader

    assert "RED TEAPOT" in look_up(viewer, "few")
    kept = open_reader(shop)
    assert open_reader(shop) is kept  # nothing was published: the tables are not opened again
    open_shop(shop, {"few": "somebody else"})
    assert "has no list" in look_up(viewer, "few")
    assert "RED TEAPOT" in look_up(viewer, "somebody else")


# --- tables


def test_late_tables_are_marked_and_lead_to_their_verdict(viewer: Any, shop: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECPIPE_FIRST_DAY", "2011-01-01")
    monkeypatch.setenv("RECPIPE_LAST_DAY", "2011-09-02")
    fresh = words_of(viewer.get("/recpipe/tables").text)
    assert "late by" not in fresh
    monkeypatch.setenv("RECPIPE_LAST_DAY", "2011-09-05")
    text = viewer.get("/recpipe/tables").text
    assert words_of(text).count("late by 3 days") == 7
    assert 'href="/recpipe/reports/verdicts/items-2011-09-02.html"' in text
    assert text.count("/reports/verdicts/") == 1  # the others have no page
    assert "Not published yet: item_classes, campaign_audiences" in words_of(text)


def test_a_clock_that_stands_still_makes_nothing_late_and_a_running_one_does(
    viewer: Any, shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in the demo, whose data has ended: what is missing before that day is late all the same."""
    monkeypatch.setenv("RECPIPE_FIRST_DAY", "2011-01-01")
    monkeypatch.setenv("RECPIPE_LAST_DAY", "2011-09-17")
    assert "late by 15 days" in words_of(viewer.get("/recpipe/tables").text)
    monkeypatch.setenv("RECPIPE_CLOCK_DAY", "2011-09-02")
    said = words_of(viewer.get("/recpipe/tables").text)
    assert "late by" not in said
    assert "The data of this shop has ended, and its clock stands still: each should have Friday, 2 September 2011." in said
    monkeypatch.setenv("RECPIPE_CLOCK_DAY", "2011-09-03")
    assert words_of(viewer.get("/recpipe/tables").text).count("late by 1 day") == 7


DAY = date(2011, 9, 2)


def newcomers_of(shop: Settings) -> None:
    """Publish a replay, and outcomes that pool two nights."""
    lake = Lake.from_settings(shop)
    about = {"day": DAY, "trained_until": date(2011, 6, 3), "horizon_days": 90}
    found = [
        ("k=0", "stack", "ndcg@10", "", 0.125, 40), ("k>=1", "stack", "ndcg@10", "", 0.25, 30),
        ("k>=1", "popularity", "ndcg@10", "", 0.2, 30), ("k>=1", "stack", "ndcg_ratio@10", "popularity", 1.25, 30),
        ("k=3", "stack", "ndcg@10", "", None, 3), ("k=0", "<b>", "ndcg@10", "", 0.125, 40),
    ]  # fmt: skip
    rows = [
        about | {"group": group, "metric": metric, "name": name, "against": against, "value": value, "users": users,
                 "ci_low": value and value / 2, "ci_high": value and value * 2}
        for group, name, metric, against, value, users in found
    ]  # fmt: skip
    lake.publish("replays", [DAY], pa.Table.from_pylist(rows, schema=TABLES["replays"].schema))
    told = [("zero", "lists", 0.5, 25), ("few", "lists", None, 4), ("zero", "popularity", 0.25, 25)]
    pooled = [
        {"day": DAY, "horizon_days": 7, "cohort": cohort, "metric": "pooled_ndcg@10", "value": value, "ci_low": value and 0.125,
         "ci_high": value and 0.75, "users": users, "name": name, "table": "recommendations", "window_days": 28, "nights": 2}
        for cohort, name, value, users in told
    ]  # fmt: skip
    night = lake.reader().read("outcomes", DAY, DAY)
    lake.publish("outcomes", [DAY], pa.concat_tables([night, pa.Table.from_pylist(pooled, schema=TABLES["outcomes"].schema)]))


def test_newcomers_come_first_with_intervals_and_where_they_are_too_few(viewer: Any, shop: Settings) -> None:
    newcomers_of(shop)
    text = viewer.get("/recpipe/quality").text
    said = words_of(text)
    assert (
        text.index("Newcomers, as if they came anew")
        < text.index("Newcomers of the last weeks together")
        < text.index("nDCG@10</h2>")
    )
    assert "stack of closed forms, 1 to 10 items: 0.2500 (0.1250 to 0.5000), 30 persons" in text
    assert "stack of closed forms: 1.25 times popularity (95 % interval 0.62 to 2.50, the same 30 persons)." in said
    assert "Who registered after 3 Jun 2011" in said
    assert text.count("too few</text>") == 1
    assert "<b>" not in text
    assert "The last 28 days of lists: 2 nights" in said
    assert "0.5000 (0.1250 to 0.7500, 25 persons)" in said
    assert "too few (4 persons)" in said
    # the curves of nights are what they were
    assert "published lists, 2011-08-26: 0.250 (0.250 to 0.250), 40 users" in text
    assert text.count("too few users to say") == 3


def test_curves_are_of_the_lists_alone_and_say_where_users_are_too_few(viewer: Any, shop: Settings) -> None:
    text = viewer.get("/recpipe/quality").text
    assert "published lists, 2011-08-26: 0.250 (0.250 to 0.250), 40 users" in text
    assert "popularity, 2011-08-26: 0.125" in text
    assert "0.900" not in text
    assert text.count("too few users to say") == 3
    assert "nDCG@10" in text
    assert "Recall@10" not in text


def test_quarantine_is_told_as_counts_without_what_was_delivered(viewer: Any, shop: Settings) -> None:
    said = words_of(viewer.get("/recpipe/quarantine").text)
    assert "events price negative price bad 4 4 part-0.parquet row 4 part-0.parquet row 9 part-0.parquet row 11" in said
    assert "4711" not in said


def test_nights_of_a_version(viewer: Any, shop: Settings) -> None:
    assert "No published night was made by version 9." in words_of(viewer.get("/recpipe/versions/9").text)


@pytest.mark.parametrize("broken", [False, True])
def test_where_nothing_is_published_each_page_says_so(viewer: Any, settings: Settings, broken: bool) -> None:
    if broken:
        log = Path(settings.places.lake_root) / "days" / "_delta_log"
        log.mkdir(parents=True)
        (log / "00000000000000000000.json").write_text("{")
    for address in ("/", "/tables", "/quality", "/quarantine", "/reports", "/versions/1"):
        answer = viewer.get(f"/recpipe{address}")
        assert answer.status_code == 200
        assert re.search(r'class="(none|said)"', answer.text)
    said = look_up(viewer, "few")
    assert ("could not be read" if broken else "No lists are published") in said


# --- reports


def test_a_report_is_handed_out_and_runs_no_script(viewer: Any, shop: Settings) -> None:
    answer = viewer.get("/recpipe/reports/outcomes-2011-09-08.html")
    assert "<h1>Outcomes</h1>" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox ")
    assert "allow-scripts" not in policy
    assert "default-src 'none'" in policy
    assert "script-src" not in policy


@pytest.mark.parametrize(
    "path",
    [
        "../recpipe.env.html", "..%2Frecpipe.env.html", "%2e%2e/recpipe.env.html", "verdicts/../../recpipe.env.html", "..%5crecpipe.env.html",
        "//etc/passwd", "%2Fetc%2Fpasswd", "link.html", "folder/secret.html", ".hidden.html", "_verdicts/items/2011-09-02.json",
        "notes.txt", "verdicts", "x%00.html", "a" * 5000 + ".html",
    ],
)  # fmt: skip
def test_nothing_outside_the_reports_is_handed_out(viewer: Any, shop: Settings, path: str) -> None:
    secret = shop.places.home / "recpipe.env.html"
    secret.write_text("RECPIPE_SMTP=secret")
    (shop.places.home / "secret.html").write_text("secret")
    (shop.places.reports / "link.html").symlink_to(secret)
    (shop.places.reports / "folder").symlink_to(shop.places.home)
    (shop.places.reports / ".hidden.html").write_text("secret")
    (shop.places.reports / "notes.txt").write_text("secret")
    (shop.places.reports / "_verdicts" / "items").mkdir(parents=True)
    (shop.places.reports / "_verdicts" / "items" / "2011-09-02.json").write_text(json.dumps("secret"))
    answer = viewer.get(f"/recpipe/reports/{path}")
    assert answer.status_code == 404
    assert "secret" not in answer.text


# --- the plugin


def test_airflow_has_the_plugin_once_and_builds_no_page_for_it() -> None:
    """Both the installed package and the plugins folder hold it: no warning, no error of import."""
    import subprocess
    import sys

    code = (
        "import sys; from airflow.plugins_manager import _get_plugins; before = set(sys.modules); plugins, errors = _get_plugins(); "
        "print([p.name for p in plugins], errors, sorted(m for m in set(sys.modules) - before if m.split('.')[0] in "
        "('fastapi', 'jinja2', 'recpipe', 'deltalake', 'pyarrow')))"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "['recpipe'] {} ['recpipe.airflow.plugin']"
    assert "already registered" not in done.stdout + done.stderr


@pytest.mark.parametrize("entry_points", ["", "[console_scripts]\nrecpipe = recpipe.cli:main\n"])
def test_the_plugins_folder_brings_the_plugin_where_no_package_does(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry_points: str
) -> None:
    from recpipe.airflow.plugin import RecpipePlugin, unless_installed

    assert unless_installed() is None
    installed = tmp_path / "recpipe-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: recpipe\nVersion: 0.1.0\n")
    (installed / "entry_points.txt").write_text(entry_points)
    monkeypatch.setattr("sys.path", [str(tmp_path)])
    assert unless_installed() is RecpipePlugin
    monkeypatch.setattr("sys.path", [])
    assert unless_installed() is RecpipePlugin


def test_airflow_shows_the_page_in_its_navigation(server: Any) -> None:
    answer = client(server, token("admin")).get("/api/v2/plugins")
    views = [view for plugin in answer.json()["plugins"] for view in plugin["external_views"]]
    assert [(view["url_route"], view["href"], view["destination"]) for view in views] == [("recpipe", "/recpipe/", "nav")]


def test_what_is_due_waits_for_the_night_to_be_over(settings: Settings) -> None:
    from recpipe.readers.freshness import due_day

    noon = datetime(2026, 3, 5, 12, 0, tzinfo=UTC)
    assert due_day(settings.changed(last_day=None), noon).isoformat() == "2026-03-04"
    assert due_day(settings.changed(last_day=None, deadline_hours=12.5), noon).isoformat() == "2026-03-03"
    assert due_day(settings.changed(timezone="Asia/Tokyo"), noon).isoformat() == "2026-03-04"
