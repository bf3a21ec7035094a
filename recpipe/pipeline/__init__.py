"""The rails that a task runs on: plan, shards, audit, one commit, and what became of it later.

A task says what one day of its table is made of (`Task`); that it is made as of the day, whole or not at all, by one
version, and the same however it is cut into shards, is said here once.
"""
