"""The persons behind user ids, and the erasure of one who asks to be forgotten."""
