"""Is a staged day good enough to publish? Great Expectations decides; verdicts and pages hold counts, never values."""

from recpipe.quality.audit import DayPart, audit, audit_days
from recpipe.quality.lists import recommendation_facts, sum_facts
from recpipe.quality.suites import Suite, whole_suite
from recpipe.quality.verdicts import Check, Verdict, load_verdict

__all__ = [
    "Check",
    "DayPart",
    "Suite",
    "Verdict",
    "audit",
    "audit_days",
    "load_verdict",
    "recommendation_facts",
    "sum_facts",
    "whole_suite",
]
