"""Warnings: crossed floors become sentences, and sentences reach a real listener or at least the log."""

from __future__ import annotations

import json
import logging
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from pydantic import SecretStr

from recpipe.evaluation.day_outcomes import evaluate_day
from recpipe.evaluation.warnings import notify

DAY = date(2026, 3, 15)


@pytest.fixture
def listener():
    """A local server that keeps what is posted and answers with `server.answer`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            self.server.posted.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(self.server.answer)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    server.posted, server.answer = [], 200
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()


def with_webhook(settings, server):
    return settings.changed(webhook=SecretStr(f"http://127.0.0.1:{server.server_port}/secret-hook"))


def test_a_calm_day_warns_of_nothing(settings):
    calm = settings.changed(max_drift=100.0)
    assert evaluate_day(calm, DAY)["warnings"] == []


def test_each_crossed_floor_is_a_sentence_with_day_and_remedy(settings):
    strict = settings.changed(floor_ndcg=0.9, floor_coverage=0.99, max_drift=0.0001)
    quality, shown, drift = evaluate_day(strict, DAY)["warnings"]
    assert quality == (
        "nDCG@3 of the lists of 2026-03-08 (model version 3), measured up to 2026-03-15, is 0.5327, below the floor of 0.9000: "
        "compare with popularity in the report, look at the verdicts of these days, and take the version back with "
        "`recpipe withdraw` if need be."
    )
    assert shown.startswith("The lists of 2026-03-08 (model version 3) show 85.7% of the catalogue, below the floor of 99.0%")
    assert drift.startswith("Behaviour up to 2026-03-15 has drifted from what the lists of 2026-03-08 (model version 3)")


def test_warnings_are_posted_as_json(settings, listener, caplog):
    sentences = ["The floor was crossed: look."]
    with caplog.at_level(logging.WARNING):
        assert notify(with_webhook(settings, listener), sentences, "2026-03-15")
    expected = {"text": "recpipe, 2026-03-15:\n- The floor was crossed: look.", "day": "2026-03-15", "warnings": sentences}
    ((path, body),) = listener.posted
    assert path == "/secret-hook"
    assert expected.items() <= body.items()
    assert "The floor was crossed" in caplog.text


def test_a_floor_is_told_with_its_report(settings, listener):
    strict = with_webhook(settings, listener).changed(floor_ndcg=0.9, max_drift=0.0001)
    found = evaluate_day(strict, DAY)
    notify(strict, found["warnings"], found["day"])
    ((_, body),) = listener.posted
    report = "http://127.0.0.1:8080/recpipe/reports/outcomes-2026-03-15.html"
    assert [(one["kind"], one["day"], one["link"]) for one in body["notices"]] == [("floor", "2026-03-15", report)] * 2
    assert "take the version back" in body["notices"][0]["what"]
    assert "look at the deliveries of these days" in body["notices"][1]["what"]


def test_nothing_is_posted_without_warnings(settings, listener):
    assert not notify(with_webhook(settings, listener), [], "2026-03-15")
    assert listener.posted == []


def test_a_webhook_that_refuses_harms_nothing(settings, listener, caplog):
    listener.answer = 500
    assert not notify(with_webhook(settings, listener), ["A floor."], "2026-03-15")
    assert "The webhook did not take" in caplog.text
    assert "secret-hook" not in caplog.text


@pytest.mark.parametrize("address", ["http://127.0.0.1/secret-hook\x7f", "http://127.0.0.1:secret-port/", "ftp://secret-hook"])
def test_an_address_that_is_none_harms_nothing_and_stays_secret(settings, address, caplog):
    assert not notify(settings.changed(webhook=SecretStr(address)), ["A floor."], "2026-03-15")
    assert "did not take" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", "file:///etc/passwd", "no address"])
def test_a_webhook_that_is_not_there_harms_nothing(settings, address, caplog):
    assert not notify(settings.changed(webhook=SecretStr(address)), ["A floor."], "2026-03-15")
    assert "A floor." in caplog.text
    assert "did not take" in caplog.text
