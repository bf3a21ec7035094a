"""Rows of delivered files: read, converted, judged and pseudonymised."""
