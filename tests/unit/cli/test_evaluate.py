"""What `recpipe evaluate` is told not to send goes nowhere, by no channel."""

from __future__ import annotations

import logging
from typing import Any

import pytest

from recpipe.cli.evaluate import without_channels
from recpipe.config.settings import load_settings
from recpipe.evaluation.warnings import notify


def test_no_send_tells_the_log_alone(webhook: Any, caplog: pytest.LogCaptureFixture) -> None:
    told = load_settings(home="unused", webhook=webhook.url, smtp="smtp://127.0.0.1:9", mail_to=["a@shop.example"])
    with caplog.at_level(logging.WARNING):
        assert notify(without_channels(told), ["The lists fell under a floor."], "2011-09-03") is False
    assert webhook.bodies == []
    assert "The lists fell under a floor." in caplog.text
    assert "did not take" not in caplog.text
