"""The channels of notices: the log always, a webhook and a mailbox where the settings name them.

A channel that fails is logged by the kind of its error alone, since addresses may hold a secret; it stops nothing.
"""

from __future__ import annotations

import http.client
import json
import logging
import smtplib
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import asdict
from email.message import EmailMessage
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from recpipe.config.settings import Settings
from recpipe.notices.notice import Notice, in_words, subject

log = logging.getLogger(__name__)

TIMEOUT_SECONDS: Final = 10.0


def send(settings: Settings, notices: Sequence[Notice]) -> list[str]:
    """Log some notices of one day and pass them on.

    Parameters
    ----------
    settings
        ``webhook`` takes a POST of JSON: ``text`` (all of it, as chat services show it), ``day``, ``warnings`` (a sentence a
        notice) and ``notices`` (the fields of `Notice`). ``smtp`` and ``mail_to`` name the mail server and who gets the mail.
    notices
        What to tell; nothing is sent if there is none.

    Returns
    -------
    list of str
        The channels that took them, for everybody who is named: ``webhook``, ``mail``.
    """
    for notice in notices:
        log.warning("%s", in_words(notice))
    if not notices:
        return []
    channels: dict[str, tuple[bool, Callable[[Settings, Sequence[Notice]], None]]] = {
        "webhook": (bool(settings.notices.webhook.get_secret_value()), _post),
        "mail": (bool(settings.notices.smtp.get_secret_value() and settings.notices.mail_to), _mail),
    }
    return [name for name, (wanted, carry) in channels.items() if wanted and _carried(name, carry, settings, notices)]


def _carried(
    name: str, carry: Callable[[Settings, Sequence[Notice]], None], settings: Settings, notices: Sequence[Notice]
) -> bool:
    try:
        carry(settings, notices)
    except (OSError, ValueError, http.client.HTTPException, smtplib.SMTPException) as error:
        log.warning("The %s did not take %d notices (%s); they stand above.", name, len(notices), type(error).__name__)
        return False
    return True


def _post(settings: Settings, notices: Sequence[Notice]) -> None:
    address = settings.notices.webhook.get_secret_value()
    if not address.startswith(("http://", "https://")):
        raise ValueError("RECPIPE_WEBHOOK is no http or https address")
    words = [in_words(notice) for notice in notices]
    about = f"recpipe, {notices[0].day}" if notices[0].day else "recpipe"
    text = f"{about}:\n" + "\n".join(f"- {sentence}" for sentence in words)
    body: dict[str, Any] = {"text": text, "day": notices[0].day, "warnings": words, "notices": [asdict(one) for one in notices]}
    request = urllib.request.Request(  # noqa: S310  # checked above
        address, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with _OPENER.open(request, timeout=TIMEOUT_SECONDS):
        pass


class _NoOtherPlace(urllib.request.HTTPRedirectHandler):
    """Takes an answer that points elsewhere for a refusal: followed, the notice would become a GET without its body."""

    def redirect_request(self, *_: Any) -> None:
        return None


_OPENER: Final = urllib.request.build_opener(_NoOtherPlace)


def _mail(settings: Settings, notices: Sequence[Notice]) -> None:
    where = urlsplit(settings.notices.smtp.get_secret_value())
    if where.scheme not in ("smtp", "smtps") or not where.hostname:
        raise ValueError("RECPIPE_SMTP is no smtp:// or smtps:// address")
    message = EmailMessage()
    message["Subject"] = subject(notices)
    message["From"] = settings.notices.mail_from
    message["To"] = ", ".join(settings.notices.mail_to)
    message.set_content("\n\n".join(in_words(notice) for notice in notices))
    connect = smtplib.SMTP_SSL if where.scheme == "smtps" else smtplib.SMTP
    with connect(where.hostname, where.port or (465 if where.scheme == "smtps" else 25), timeout=TIMEOUT_SECONDS) as server:
        if where.username:
            if where.scheme == "smtp":
                server.starttls()  # a password never goes over an open line
            server.login(unquote(where.username), unquote(where.password or ""))
        refused = server.send_message(message)  # raises where nobody is left
    if refused:
        raise smtplib.SMTPRecipientsRefused(refused)
