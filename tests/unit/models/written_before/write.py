"""Write one model folder a learner, and the scores it gives: what `written_before` holds was written at commit 50e9310.

``python write.py TESTS FOLDER`` with that commit's recpipe on the path, and its ``tests/learn``. Later code reads the folders
and must give the same lists (`test_written_before.py`); nothing in them is to be written again.
"""

import importlib.util
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


def module(tests, name):
    """A module of a folder that is no package."""
    spec = importlib.util.spec_from_file_location(name, tests / f"{name}.py")
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def main(tests, folder):
    from recpipe.learn.cut import supports_at
    from recpipe.learn.data import score_users

    from recpipe.learn import save

    shop, learners = module(tests, "conftest"), module(tests, "test_learners")
    evidence = shop._evidence()
    support = supports_at(evidence.history, evidence.until, 90.0, np.arange(12, dtype=np.int32))
    for name, build in learners.BUILT.items():
        learner = build()
        save(learner, folder / name, shop.FACTS)
        save_file({"scores": score_users(learner, learner.items(evidence), support)}, folder / name / "scores.safetensors")


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
