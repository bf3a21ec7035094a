"""Notices reach a real listener and a real mail server, and a channel that fails stops nothing."""

from __future__ import annotations

import logging
import socketserver
import threading
from collections.abc import Iterator
from email import message_from_string, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from recpipe.config.settings import Settings, load_settings
from recpipe.notices.channels import send
from recpipe.notices.notice import AUDIT, FLOOR, LATE, Notice, in_words, subject

NOTICE = Notice(AUDIT, "2011-09-03", "The audit of 2011-09-03 failed.", "Look at the page.", "http://127.0.0.1/verdict")


class MailServer(socketserver.ThreadingTCPServer):
    """As much of RFC 5321 as one mail needs; keeps what it was given."""

    daemon_threads = True

    def __init__(self) -> None:
        self.mails: list[str] = []
        self.recipients: list[str] = []
        super().__init__(("127.0.0.1", 0), MailHandler)

    @property
    def address(self) -> str:
        return f"smtp://127.0.0.1:{self.server_address[1]}"


class MailHandler(socketserver.StreamRequestHandler):
    server: MailServer

    def handle(self) -> None:
        self.say("220 ready")
        while line := self.rfile.readline().decode().strip():
            if line.upper() == "DATA":
                self.say("354 go on")
                self.server.mails.append("".join(iter(lambda: self.rfile.readline().decode(), ".\r\n")))
            if line.upper().startswith("RCPT TO:"):
                if "nobody@" in line:
                    self.say("550 no such mailbox")
                    continue
                self.server.recipients.append(line[8:])
            self.say("221 bye" if line.upper() == "QUIT" else "250 ok")

    def say(self, text: str) -> None:
        self.wfile.write(f"{text}\r\n".encode())


@pytest.fixture
def mail_server() -> Iterator[MailServer]:
    with MailServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def settings(**values: Any) -> Settings:
    return load_settings(home="unused", mail_to=["a@example.org", "b@example.org"], mail_from="recpipe@example.org", **values)


def test_a_notice_is_mailed_to_everybody_who_is_named(mail_server: MailServer) -> None:
    assert send(settings(smtp=mail_server.address), [NOTICE]) == ["mail"]
    mail = message_from_string(mail_server.mails[0], policy=policy.default)
    assert mail["Subject"] == "recpipe 2011-09-03: audit"
    assert mail["To"] == "a@example.org, b@example.org"
    assert mail.get_content().split() == in_words(NOTICE).split()
    assert [to.split(">")[0].lstrip("<") for to in mail_server.recipients] == ["a@example.org", "b@example.org"]


def test_both_channels_take_it(mail_server: MailServer, webhook: Any) -> None:
    address, bodies = webhook.url, webhook.bodies
    assert send(settings(smtp=mail_server.address, webhook=address), [NOTICE]) == ["webhook", "mail"]
    assert bodies[0]["warnings"] == [in_words(NOTICE)]
    assert bodies[0]["notices"][0]["kind"] == AUDIT
    assert bodies[0]["day"] == "2011-09-03"


def test_a_notice_of_no_day_is_posted_without_one(webhook: Any) -> None:
    address, bodies = webhook.url, webhook.bodies
    assert send(settings(webhook=address), [Notice(LATE, "", "It is late.")]) == ["webhook"]
    assert bodies[0]["text"] == "recpipe:\n- It is late."


def test_a_password_is_not_sent_where_the_line_cannot_be_closed(
    mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    address = mail_server.address.replace("smtp://", "smtp://user:planted-password@")
    with caplog.at_level(logging.WARNING):
        assert send(settings(smtp=address), [NOTICE]) == []  # this server knows no STARTTLS
    assert mail_server.mails == []
    assert "The mail did not take 1 notices (SMTPNotSupportedError)" in caplog.text
    assert "planted-password" not in caplog.text


@pytest.mark.parametrize("address", ["smtp://127.0.0.1:9", "http://127.0.0.1", "no address", "smtp://planted\x7f:port/"])
def test_a_mail_server_that_is_not_there_stops_nothing(address: str, webhook: Any, caplog: pytest.LogCaptureFixture) -> None:
    hook, bodies = webhook.url, webhook.bodies
    with caplog.at_level(logging.WARNING):
        assert send(settings(smtp=address, webhook=hook), [NOTICE]) == ["webhook"]
    assert len(bodies) == 1
    assert "The audit of 2011-09-03 failed." in caplog.text
    assert "planted" not in caplog.text


def test_a_mail_that_one_of_two_did_not_get_was_not_taken(mail_server: MailServer, caplog: pytest.LogCaptureFixture) -> None:
    told = load_settings(smtp=mail_server.address, mail_from="a@shop.example", mail_to=["b@shop.example", "nobody@shop.example"])
    assert send(told, [NOTICE]) == []
    assert len(mail_server.mails) == 1, "the other one has it"
    assert "The mail did not take 1 notices (SMTPRecipientsRefused)" in caplog.text


def test_a_webhook_that_sends_elsewhere_has_not_taken_the_notice(caplog: pytest.LogCaptureFixture) -> None:
    """As a login page before it does: followed, the notice becomes a GET without a body, and the page says 200."""
    asked: list[str] = []

    class Login(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked.append("POST")
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(302)
            self.send_header("Location", "/login")
            self.end_headers()

        def do_GET(self) -> None:
            asked.append("GET")
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Login) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert send(load_settings(webhook=f"http://127.0.0.1:{server.server_port}/hook"), [NOTICE]) == []
        server.shutdown()
    assert asked == ["POST"]
    assert "The webhook did not take 1 notices (HTTPError)" in caplog.text


def test_nothing_is_sent_of_nothing(mail_server: MailServer) -> None:
    assert send(settings(smtp=mail_server.address), []) == []
    assert mail_server.mails == []


def test_a_headline_counts_kinds() -> None:
    floor, late = Notice(FLOOR, "2011-09-03", "A floor."), Notice(LATE, "2011-09-03", "Late.")
    assert subject([floor, late, floor]) == "recpipe 2011-09-03: floor (2), late"
    assert subject([Notice(LATE, "", "Late.")]) == "recpipe: late"
