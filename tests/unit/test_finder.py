"""What an engineer of the field types into a file finder is the name of a file."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
TERMS = [
    "ndcg",
    "recall_or_ranking",
    "beyond_accuracy",
    "off_policy",
    "calibration",
    "probability",
    "intervals",
    "maml",
    "prototypical",
    "attention",
    "lstm",
    "ridge",
    "pair_network",
    "ease",
    "popularity",
    "knn",
    "text_prototype",
    "support",
    "episodes",
    "history",
    "catalogue",
    "cohort",
    "as_of",
    "persons",
    "encoder",
    "tfidf",
    "bm25",
    "lexical",
    "lsa",
    "spelling",
    "classifier",
    "lora",
    "ema",
    "adversarial",
    "augmentation",
    "distil",
    "finetune",
    "prune",
    "checkpoint",
    "loop",
    "tuning",
    "transfer",
    "cold_start",
    "continual",
    "sensor",
    "auth",
    "dag_factory",
    "backfill",
    "secrets",
    "notifications",
    "plugin",
    "lake",
    "reader",
    "register_or_day_record",
    "retention",
    "tombstones",
]
"""A term, or several of which one will do."""
MISSES = 2


def test_a_newcomer_finds_the_file() -> None:
    paths = [str(path.relative_to(ROOT)) for folder in ("recpipe", "dags") for path in (ROOT / folder).rglob("*.py")]
    lost = [term for term in TERMS if not any(one in path for path in paths for one in term.split("_or_"))]
    assert len(TERMS) >= 52
    assert len(lost) <= MISSES, lost
