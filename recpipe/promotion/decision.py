"""The gate's decision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

DECISION: Final = "decision"


PROPOSAL: Final = "proposal"


FILE: Final = "decision.json"


@dataclass(frozen=True)
class Decision:
    """What the gate decided about a version, and on what grounds; every value is one of JSON.

    Attributes
    ----------
    version, champion
        The candidate, and the version it was compared with; empty for the first champion.
    day
        Day of the promotion, as text; the last day of the comparison.
    first_day
        First day of the comparison, as text.
    promoted
        Whether the candidate may serve.
    reason
        One sentence for a person.
    metric
        What was compared, over users with a support who newly met an item in these days.
    candidate_value, champion_value
        The two means; None for the first champion.
    relative_gain, low, high
        (candidate − champion) / champion and its 95 % interval; None where it is not defined.
    margin
        The candidate is promoted when ``low`` is above this.
    users
        Users compared.
    closed_form
        Name of the best closed form of the candidate's training; empty where there is none, or where it is the champion.
    closed_form_value, closed_form_gain, closed_form_low, closed_form_high
        The same for it as for the champion; None where it was not compared.
    """

    version: str
    champion: str
    day: str
    first_day: str
    promoted: bool
    reason: str
    metric: str
    candidate_value: float | None
    champion_value: float | None
    relative_gain: float | None
    low: float | None
    high: float | None
    margin: float
    users: int
    closed_form: str = ""
    closed_form_value: float | None = None
    closed_form_gain: float | None = None
    closed_form_low: float | None = None
    closed_form_high: float | None = None
