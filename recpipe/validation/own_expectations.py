"""Rules from the shop's own expectations, beside recpipe's: Great Expectations decides on both alike."""

from __future__ import annotations

from dataclasses import replace

from recpipe.config.shop_settings import IntakeSettings
from recpipe.errors import BadSetting
from recpipe.printable import printable
from recpipe.validation.expectations import Expected, expected_of
from recpipe.validation.gx import great_expectations
from recpipe.validation.rule import Rule
from recpipe.validation.suites import Suite


def with_own(suite: Suite, table: str, intake: IntakeSettings) -> Suite:
    """Return a table's suite with the shop's own expectations in it.

    Raises
    ------
    BadSetting
        If one of them cannot be held; the text names file and expectation.
    """
    expected = expected_of(intake, table)
    rows = tuple(_rule(one) for one in expected if one.span == "row")
    whole = tuple(_rule(one) for one in expected if one.span == "day")
    return replace(suite, rows=(*suite.rows, *rows), whole=(*suite.whole, *whole)) if expected else suite


def _rule(expected: Expected) -> Rule:
    name = f"own_{expected.number}_{expected.kind}"
    severity = "critical" if expected.severity == "error" else "warning"
    made = getattr(great_expectations().expectations, "".join(part.title() for part in expected.kind.split("_")))
    wanted = set(made.__fields__) - {"id", "meta", "notes", "description", "severity", "rendered_content", "batch_id", "windows"}
    if strange := set(expected.kwargs) - wanted:
        raise BadSetting(
            f"RECPIPE_EXPECTATIONS: {expected.where} has {min(strange)}, which it does not take. It takes: {', '.join(sorted(wanted))}."
        )
    try:
        expectation = made(**{**expected.kwargs, "severity": severity, "meta": {"name": name}})
    except Exception as error:  # of pydantic, and of Great Expectations' own checks: both say what is amiss in words
        why = " ".join(printable(str(error)).split())
        raise BadSetting(
            f"RECPIPE_EXPECTATIONS: {expected.where} cannot be made with these kwargs ({why[:200]}). Mend them in the file."
        ) from None
    remedy = f"The shop itself expects this ({expected.where}): mend the delivery, or the suite."
    column = ", ".join(expected.columns) or "rows"
    return Rule(name, column, expected.severity, expected.says, remedy, expectation, expected.columns)
