"""Is a staged day good enough to publish? Great Expectations decides; verdicts and pages hold counts, never values."""
