"""Great Expectations, kept small: no files, no telemetry, no values in its results."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

COUNTS_ONLY = {"result_format": "BASIC", "partial_unexpected_count": 0}
"""Result format that adds the number of unexpected rows and none of their values."""


def failing(expectations: Sequence[Any], frame: pd.DataFrame) -> list[str]:
    """Hold expectations against a frame; return the names of those that do not pass.

    Great Expectations decides; it is asked for booleans alone.
    """
    return [_name(result) for result in _validate(expectations, frame, "BOOLEAN_ONLY") if not result.success]


def unexpected_counts(expectations: Sequence[Any], frame: pd.DataFrame) -> dict[str, tuple[int, int] | None]:
    """Hold expectations against a frame; return what failed, with (unexpected rows, rows).

    Where none are counted the pair is (0, 0): the frame as a whole is otherwise. None if it could not be run.
    """
    failed = [result for result in _validate(expectations, frame, COUNTS_ONLY) if not result.success]
    return {_name(result): None if _raised(result) else _counts(result.result) for result in failed}


def _raised(result: Any) -> bool:
    said = result.exception_info or {}
    return any(one.get("raised_exception", False) for one in (said, *said.values()) if isinstance(one, dict))


def _counts(result: dict[str, Any]) -> tuple[int, int]:
    if not {"unexpected_count", "element_count"} <= set(result):
        return 0, 0
    return int(result["unexpected_count"]), int(result["element_count"])


def _name(result: Any) -> str:
    return str(result.expectation_config.meta["name"])


def _validate(expectations: Sequence[Any], frame: pd.DataFrame, result_format: Any) -> list[Any]:
    if not expectations:
        return []
    gx = great_expectations()
    batch = _batch_definition().get_batch({"dataframe": frame})
    suite = gx.ExpectationSuite(name="audit", expectations=list(expectations))
    return list(batch.validate(suite, result_format=result_format).results)


@cache
def great_expectations() -> Any:
    """Import Great Expectations (seconds of CPU time), with its telemetry and its chatter off."""
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    logging.getLogger("great_expectations").setLevel(logging.WARNING)  # it logs some hundred lines at INFO on import
    import great_expectations as gx

    return gx


@cache
def _batch_definition() -> Any:
    """Return the door through which frames go in; one a process, since making it costs more than using it."""
    gx = great_expectations()
    base = gx.data_context.types.base
    config = base.DataContextConfig(
        store_backend_defaults=base.InMemoryStoreBackendDefaults(init_temp_docs_sites=False),  # no files, no docs site
        progress_bars=base.ProgressBarsConfig(globally=False),
        analytics_enabled=False,
    )
    context = gx.get_context(mode="ephemeral", project_config=config)
    asset = context.data_sources.add_pandas("staged").add_dataframe_asset("rows")
    return asset.add_batch_definition_whole_dataframe("batch")
