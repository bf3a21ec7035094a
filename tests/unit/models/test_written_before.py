"""Model folders that earlier versions wrote: they load, and the learners in them give the same lists."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from recpipe.dataset.support import build_support
from recpipe.models.base import score_users
from recpipe.models.io import LEARNERS, load
from recpipe.ranking.order import rank

WRITTEN = Path(__file__).with_name("written_before")
FOLDERS = sorted(path.name for path in WRITTEN.iterdir() if path.is_dir())


def lists(scores):
    """The night's lists of 20, without rules."""
    nothing = np.zeros(scores.shape, bool)
    return rank(scores, nothing, 20, np.full(scores.shape[1], -1), 0)[0]


def test_every_learner_of_the_first_format_is_here():
    assert set(FOLDERS) <= set(LEARNERS)
    assert len(FOLDERS) == 15


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_an_earlier_version_gives_the_same_lists(name, evidence):
    learner = load(WRITTEN / name)
    assert learner.name == name
    support = build_support(evidence.history, evidence.until, 90.0, np.arange(12, dtype=np.int32))[0]
    wanted = load_file(WRITTEN / name / "scores.safetensors")["scores"]
    found = score_users(learner, learner.items(evidence), support)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)  # another processor may round otherwise
    np.testing.assert_array_equal(lists(found), lists(wanted))
