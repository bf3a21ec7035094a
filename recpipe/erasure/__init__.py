"""Who stands behind a user id, and what becomes of one who asks to be forgotten."""
