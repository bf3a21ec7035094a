"""Secrets may stand in connections of Airflow, from whatever backend, and stand in no log where they fail."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.cache import SecretCache
from airflow.sdk.execution_time.comms import CommsDecoder, ErrorResponse, _ResponseFrame

from recpipe.airflow.secrets import send, with_secrets
from recpipe.config.settings import Settings, load_settings
from recpipe.errors import BadSetting, RecpipeError
from recpipe.notices.notice import LATE, Notice

PASSWORD = "pa55/w0rd@x"
NOTICE = Notice(LATE, "2011-09-03", "The lists are late.")


@pytest.fixture
def settings() -> Settings:
    return load_settings(mail_to=["people@example.org"])


@pytest.fixture
def connection(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Write a connection where Airflow's own backend of environment variables reads it."""
    SecretCache.reset()

    def write(name: str, **parts: Any) -> None:
        monkeypatch.setenv(f"AIRFLOW_CONN_{name.upper()}", json.dumps(parts))

    return write


def test_a_notice_goes_to_the_webhook_of_the_connection(settings: Settings, connection: Any, webhook: Any) -> None:
    address, paths = webhook.url, webhook.paths
    connection("recpipe_webhook", conn_type="generic", password=f"{address}/services/secret")
    assert send(settings, [NOTICE]) == ["webhook"]
    assert paths == ["/services/secret"]


def test_the_environment_goes_before_the_connection(connection: Any, webhook: Any) -> None:
    address, paths = webhook.url, webhook.paths
    connection("recpipe_webhook", conn_type="generic", password=f"{address}/connection")
    assert send(load_settings(webhook=f"{address}/environment"), [NOTICE]) == ["webhook"]
    assert paths == ["/environment"]


def test_a_mail_server_is_made_of_its_parts(settings: Settings, connection: Any) -> None:
    connection("recpipe_smtp", conn_type="smtps", host="mail.example.org", port=465, login="me@shop", password=PASSWORD)
    known = with_secrets(settings, "smtp")
    assert known.notices.smtp.get_secret_value() == "smtps://me%40shop:pa55%2Fw0rd%40x@mail.example.org:465"
    connection("recpipe_smtp", conn_type="smtp", host="mail.example.org")
    SecretCache.reset()
    assert with_secrets(settings, "smtp").notices.smtp.get_secret_value() == "smtp://mail.example.org"


def test_a_key_of_user_ids_is_taken_whole(settings: Settings, connection: Any) -> None:
    connection("recpipe_user_key", conn_type="generic", password="ab" * 32)
    assert with_secrets(settings, "user_key").privacy.user_key.get_secret_value() == "ab" * 32
    assert with_secrets(settings, "webhook") == settings  # nothing is looked for that was not named


def test_without_connections_nothing_changes(settings: Settings, connection: Any) -> None:
    assert with_secrets(settings, "user_key", "webhook", "smtp") == settings
    assert send(settings, [NOTICE]) == []


@pytest.fixture
def supervisor(connection: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ErrorType, bool], None]]:
    """Stand at the other end of a task's line to its supervisor, and answer everything with one error."""
    ours, theirs = socket.socketpair()

    def answer(error: ErrorType, in_body: bool) -> None:
        said = ErrorResponse(error=error).model_dump(mode="json")

        def serve() -> None:
            number = 0
            while length := theirs.recv(4, socket.MSG_WAITALL):
                theirs.recv(int.from_bytes(length, "big"), socket.MSG_WAITALL)
                theirs.sendall(_ResponseFrame(number, *((said, None) if in_body else (None, said))).as_bytes())
                number += 1

        threading.Thread(target=serve, daemon=True).start()

    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", CommsDecoder(socket=ours), raising=False)
    yield answer
    ours.close()  # which ends the thread
    theirs.close()


def test_a_task_goes_on_without_a_key_where_airflow_says_that_there_is_none(settings: Settings, supervisor: Any) -> None:
    supervisor(ErrorType.CONNECTION_NOT_FOUND, True)
    assert with_secrets(settings, "user_key") == settings


@pytest.mark.parametrize("in_body", [True, False])
def test_a_task_does_not_go_on_without_a_key_where_airflow_cannot_tell(
    settings: Settings, supervisor: Any, in_body: bool
) -> None:
    supervisor(ErrorType.API_SERVER_ERROR, in_body)
    with pytest.raises(RecpipeError, match="cannot say whether there is a connection recpipe_user_key") as caught:
        with_secrets(settings, "user_key")
    assert not isinstance(caught.value, BadSetting)  # the task is tried again
    assert with_secrets(settings, "webhook") == settings  # a notice is no reason to fail


def test_a_connection_without_what_is_needed_is_named(settings: Settings, connection: Any) -> None:
    connection("recpipe_webhook", conn_type="http", host="https://example.org")
    connection("recpipe_smtp", conn_type="smtp", password=PASSWORD)
    with pytest.raises(BadSetting, match="recpipe_webhook has no password"):
        with_secrets(settings, "webhook")
    with pytest.raises(BadSetting, match="recpipe_smtp has no host") as caught:
        with_secrets(settings, "smtp")
    assert PASSWORD not in str(caught.value)


def test_no_secret_is_in_a_log_or_an_error_when_sending_fails(
    settings: Settings, connection: Any, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    connection("recpipe_webhook", conn_type="generic", password=f"http://127.0.0.1:1/{PASSWORD}")
    connection("recpipe_smtp", conn_type="smtp", host="127.0.0.1", port=1, login="me", password=PASSWORD)
    assert send(settings, [NOTICE]) == []
    said = caplog.text + "".join(capfd.readouterr())
    assert "The webhook did not take" in said
    assert "The mail did not take" in said
    assert PASSWORD not in said
    assert "pa55%2Fw0rd" not in said
