"""A newcomer's own data: what its files are, which settings take them in, what would stay out; and a log, cut into days."""
