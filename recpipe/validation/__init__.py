"""The validation of staged days: Great Expectations decides; verdicts and pages hold counts, never values."""
