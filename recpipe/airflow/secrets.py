"""Secrets of recpipe that stand in connections of Airflow, and so in whatever secrets backend Airflow has."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import quote

from airflow.sdk import Connection
from airflow.sdk.exceptions import (
    AirflowException,
    AirflowNotFoundException,
    AirflowRuntimeError,
    AirflowSecretsBackendAccessDenied,
    ErrorType,
)
from pydantic import SecretStr

from recpipe.config.settings import Settings
from recpipe.errors import BadSetting, RecpipeError
from recpipe.notices import channels
from recpipe.notices.notice import Notice

log = logging.getLogger(__name__)


def with_secrets(settings: Settings, *names: str) -> Settings:
    """Return the settings with the secrets that connections hold, where the settings themselves have none.

    The setting ``webhook`` is looked for in the connection ``recpipe_webhook``, and so on. ``user_key`` and ``webhook`` stand in the
    password of the connection, whole; ``smtp`` is made of its host, port, login and password, and its type (smtp or smtps).

    Parameters
    ----------
    settings
        What the environment says; it goes first.
    *names
        Of ``user_key``, ``webhook`` and ``smtp``: a look-up asks Airflow's API, so name what the task needs alone.

    Raises
    ------
    BadSetting
        If a connection is there and lacks what is needed; the text holds nothing of it.
    RecpipeError
        If nobody can tell whether there is a key of user ids: without it a new lake would be begun with raw ids.
    """
    missing = [name for name in names if not settings.flat()[name].get_secret_value()]
    found = {name: SecretStr(READ[name](connection)) for name in missing if (connection := _connection(f"recpipe_{name}"))}
    if "user_key" in missing and "user_key" not in found:
        _require_absent("recpipe_user_key")
    return settings.changed(**found) if found else settings


def send(settings: Settings, notices: Sequence[Notice]) -> list[str]:
    """Tell people as `recpipe.notices.channels.send` does; where the channels are may stand in connections. Without them it is logged alone."""
    try:
        known = with_secrets(settings, "webhook", "smtp") if notices else settings
    except (BadSetting, AirflowException, AirflowRuntimeError, AirflowSecretsBackendAccessDenied) as error:
        log.warning("Where notices go could not be read from Airflow's connections (%s).", type(error).__name__)
        known = settings
    return channels.send(known, notices)


def _connection(conn_id: str) -> Any:
    """Return a connection; None if no backend has it. Airflow masks its password in logs from here on."""
    try:
        return Connection.get(conn_id)
    except AirflowNotFoundException:
        return None


def _require_absent(conn_id: str) -> None:
    """Refuse to go on unless every backend says that it has no such connection: `Connection.get` takes a failure for a no, too."""
    # Airflow offers no other way to tell the two apart
    from airflow.sdk.execution_time import task_runner
    from airflow.sdk.execution_time.comms import GetConnection
    from airflow.sdk.execution_time.secrets import ExecutionAPISecretsBackend
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    for backend in ensure_secrets_backend_loaded():
        name = type(backend).__name__
        try:
            if isinstance(backend, ExecutionAPISecretsBackend):  # this one itself makes nothing of every error
                answer = task_runner.SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
                absent = getattr(answer, "error", None) == ErrorType.CONNECTION_NOT_FOUND
            else:
                absent = not backend.get_connection(conn_id=conn_id)
        except AirflowRuntimeError as error:
            absent = error.error.error == ErrorType.CONNECTION_NOT_FOUND
        except Exception as error:  # whatever a backend of the shop's raises; its text may hold an address with a password
            absent, name = False, f"{name}, {type(error).__name__}"
        if not absent:
            raise RecpipeError(
                f"Airflow cannot say whether there is a connection {conn_id} ({name}): nothing is done without knowing whether user ids "
                f"have a key. Look at Airflow's API server and its secrets backend; the task is tried again."
            )


def _password(connection: Any) -> str:
    if not connection.password:
        raise BadSetting(f"Airflow's connection {connection.conn_id} has no password: put the whole value there.")
    return str(connection.password)


def _mail_server(connection: Any) -> str:
    if not connection.host:
        raise BadSetting(f"Airflow's connection {connection.conn_id} has no host: name the mail server there.")
    scheme = "smtps" if connection.conn_type == "smtps" else "smtp"
    who = f"{quote(connection.login, safe='')}:{quote(connection.password or '', safe='')}@" if connection.login else ""
    return f"{scheme}://{who}{connection.host}" + (f":{connection.port}" if connection.port else "")


READ: dict[str, Callable[[Any], str]] = {"user_key": _password, "webhook": _password, "smtp": _mail_server}
