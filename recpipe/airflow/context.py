"""The context of a task: the day of its run, and its refusals."""

from __future__ import annotations

from datetime import date
from typing import Any

from airflow.sdk.exceptions import AirflowFailException

from recpipe.config.shop_settings import ShopSettings
from recpipe.days import day_of_run


class Refused(AirflowFailException):
    """What recpipe refused, as a failure that is not tried again.

    Attributes
    ----------
    why
        Name of recpipe's error.
    """

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.why = type(error).__name__


def day_of_context(context: Any, shop: ShopSettings) -> date:
    """Return the day that a task's run is for."""
    run_type = getattr(context["dag_run"].run_type, "value", context["dag_run"].run_type)
    return day_of_run(context["params"], str(run_type), context["dag_run"].data_interval_end, shop.zone)
