"""Learners that share their items and differ in their head."""

from __future__ import annotations
