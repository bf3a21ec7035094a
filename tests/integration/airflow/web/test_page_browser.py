"""The page in a real Chromium: through Airflow's own login, to a user's list."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest
from websockets.sync.client import ClientConnection, connect

from recpipe.config.settings import Settings
from recpipe.lake.lake import Lake
from recpipe.local.home import login

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--remote-debugging-port=0", "--window-size=1200,900",
]  # fmt: skip

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("services"),
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"),
]


class Browser:
    """One page of a Chromium, told what to do over its DevTools protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._asked = socket, 0

    def do(self, method: str, **about: Any) -> dict[str, Any]:
        self._asked += 1
        self._socket.send(json.dumps({"id": self._asked, "method": method, "params": about}))
        while True:
            answer = json.loads(self._socket.recv(timeout=60))
            if answer.get("id") == self._asked:
                assert "error" not in answer, answer
                return dict(answer["result"])

    def say(self, expression: str) -> Any:
        answer = self.do("Runtime.evaluate", expression=expression, returnByValue=True)
        assert answer.get("exceptionDetails", {}).get("exception", {}).get("className") != "SyntaxError", expression
        return answer["result"].get("value")

    def wait_for(self, expression: str, seconds: float = 60) -> None:
        until = time.monotonic() + seconds
        while not self.say(f"!!({expression})"):
            assert time.monotonic() < until, f"{expression} on {self.say('location.href')}: {self.say('document.body.innerText')}"
            time.sleep(0.1)

    def open(self, address: str) -> None:
        self.do("Page.navigate", url=address)
        self.wait_for("document.readyState == 'complete' && location.href != 'about:blank'")

    def fill_in(self, field: str, text: str) -> None:
        self.wait_for(f"document.querySelector({json.dumps(field)})")
        self.say(f"document.querySelector({json.dumps(field)}).focus()")
        self.do("Input.insertText", text=text)

    def click(self, button: str) -> None:
        self.say(f"document.querySelector({json.dumps(button)}).click()")


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Browser]:
    """A new Chromium without any login."""
    assert CHROMIUM is not None
    process = subprocess.Popen(
        [CHROMIUM, *FLAGS, f"--user-data-dir={tmp_path}/profile", "about:blank"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with connect(_page_of(tmp_path / "profile" / "DevToolsActivePort"), max_size=None) as socket:
            yield Browser(socket)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _page_of(file: Path) -> str:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        if file.exists() and (lines := file.read_text().split()):
            with urllib.request.urlopen(f"http://127.0.0.1:{lines[0]}/json") as answer:
                if pages := [page for page in json.load(answer) if page["type"] == "page"]:
                    return str(pages[0]["webSocketDebuggerUrl"])
        time.sleep(0.1)
    raise AssertionError("Chromium did not start")


@pytest.fixture
def listed(services: Settings, open_shop: Callable[[Settings], None]) -> tuple[str, int]:
    """A user of the running home, and the length of the newest list; other tests may have filled the home before."""
    reader = Lake.from_settings(services).reader()
    if not reader.days("recommendations"):
        open_shop(services)
        reader = Lake.from_settings(services).reader()
    newest = reader.days("recommendations")[-1]
    lists = reader.read("recommendations", newest, newest, ["user_id"])
    user = pc.min(lists["user_id"]).as_py()
    return user, pc.sum(pc.equal(lists["user_id"], user)).as_py()


def test_a_person_logs_in_and_looks_up_a_user(services: Settings, browser: Browser, listed: tuple[str, int]) -> None:
    user, places = listed
    name, password = login(services)
    address = f"http://127.0.0.1:{services.local.airflow_port}"

    browser.open(f"{address}/recpipe/")
    assert browser.say("location.pathname") == "/auth/login"
    assert "User id" not in browser.say("document.body.innerText")
    browser.fill_in("input[name=username]", name)
    browser.fill_in("input[name=password]", password)
    browser.click("button[type=submit]")
    browser.wait_for("location.pathname == '/recpipe/' && document.querySelector('#user')")

    browser.fill_in("#user", user)
    browser.click(".ask button")
    browser.wait_for("location.pathname == '/recpipe/user' && document.querySelector('ol.list')")
    assert browser.say("document.querySelector('ol.list').children.length") == places
    browser.wait_for("getComputedStyle(document.querySelector('.facts')).display == 'flex'")  # the style was let in, too
    assert browser.say("location.search") == ""

    browser.open(f"{address}/plugin/recpipe")  # the same page within Airflow's own frame and navigation
    framed = "document.querySelector('iframe')?.contentDocument"
    # Airflow notes the frame's address in its own, and may load the frame anew for it
    browser.wait_for(f"location.pathname == '/plugin/recpipe/recpipe/' && {framed}?.querySelector('#user')")
    browser.wait_for("document.querySelector('a[href$=\"/plugin/recpipe\"]')")
    browser.say(f"{framed.replace('?', '')}.querySelector('#user').value = {json.dumps(user)}")
    browser.say(f"{framed}.querySelector('.ask button').click()")
    browser.wait_for(f"{framed}?.querySelector('ol.list')?.children.length == {places}")
    assert browser.say(f"{framed}.querySelectorAll('[target=_blank]').length") == 0

    logged = "\n".join(file.read_text(errors="replace") for file in (services.places.home / "logs").glob("api-server*"))
    assert "/recpipe/user" in logged
    assert f"user={user}" not in logged
