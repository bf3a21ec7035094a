"""The page: nobody without a login gets a byte of it; who has one is answered, whatever the lake has."""

from __future__ import annotations

import re
from collections.abc import Iterator

from pathlib import Path
from typing import Any

import pytest

from recpipe.config import Settings


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
    monkeypatch.setenv("RECPIPE_HOME", str(settings.home))
    return client(server, token())


def addresses(page: Any) -> list[tuple[str, str]]:
    """Return a method and an address for each route of the page, and some that do not exist."""
    found = [("GET", "/recpipe/no/such/page"), ("GET", "/recpipe/docs"), ("GET", "/recpipe/openapi.json")]
    for route in page.routes:
        assert hasattr(route, "methods"), f"{route.path} is mounted, and is not asked of by the application's dependencies"
        there = {"{name}": "page.css", "{path:path}": "outcomes-2011-09-08.html"}  # a file that exists may not tell that it does
        path = re.sub(r"\{[^}]*\}", lambda part: there.get(part[0], "1"), route.path)
        found += [(method, f"/recpipe{path}") for method in route.methods]
    return found


def test_an_anonymous_request_gets_nothing_from_any_route(server: Any, page: Any) -> None:
    asked = addresses(page)
    assert len(asked) > 10
    for method, address in asked:
        for accept in ("*/*", "text/html"):
            answer = client(server).request(method, address, headers={"Accept": accept})
            assert answer.status_code in (401, 303), (method, address)
            assert answer.content == b"", (method, address)
            if answer.status_code == 303:
                assert answer.headers["location"].startswith("/auth/login?next=%2Frecpipe"), address
