"""The vectors of a fine-tuned encoder: taken where they pay on later weeks, left out where they do not."""

from dataclasses import replace

import numpy as np
import pytest

from recpipe.dataset.folder import write_episodes_folder
from recpipe.models.io import read_config
from recpipe.training.closed_forms.kind_choice import pays
from recpipe.training.config import Config
from recpipe.training.loop import train

CONFIG = Config(steps=10, warmup_steps=2, batch_users=32, cutoffs=4, evaluate_every=5, device="cpu")


def unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def told(items):
    """Vectors that say of each item which kind of user likes it."""
    return unit(np.eye(5)[np.arange(items) % 5] + 0.01 * np.random.default_rng(0).standard_normal((items, 5)))


def noise(items):
    return unit(np.random.default_rng(1).standard_normal((items, 5)))


@pytest.mark.parametrize(("vectors", "kept"), [(told, True), (noise, False)])
def test_tuned_vectors_are_kept_where_they_pay(make_evidence, facts, tmp_path, capsys, vectors, kept):
    evidence = make_evidence(users=120, items=300, seed=3)
    # the plain vectors say nothing, so that only the fine-tuned ones can
    catalogue = replace(evidence.catalogue, vectors=noise(300), tuned=vectors(300))
    write_episodes_folder(tmp_path / "in", replace(evidence, catalogue=catalogue), {**facts, "tuned_encoder": "f" * 64})
    train(tmp_path / "in", tmp_path / "out", CONFIG)
    config = read_config(tmp_path / "out")
    assert ("tuned" in config["parameters"]["settings"]["kinds"]) is kept
    assert config.get("tuned_encoder", "") == ("f" * 64 if kept else "")
    assert f"they are {'kept' if kept else 'left out'}" in capsys.readouterr().out


def test_less_than_a_standard_error_is_no_gain():
    assert pays(np.array([0.1, 0.3, 0.2]))
    assert not pays(np.array([0.1, -0.3, 0.3]))
    assert not pays(np.zeros(5))
    assert not pays(np.array([0.5]))
