"""The former names that a registered model imports: versions of 0.1 bring a model file that asks for them.

`mlflow.pyfunc.load_model` runs that file beside the recpipe that is installed. Nothing else imports this module.
"""

from __future__ import annotations

import sys
from types import ModuleType

from recpipe.dataset.support import Support
from recpipe.evidence.item_features import Pairs
from recpipe.models.base import ItemSpace, score_users
from recpipe.models.io import load as load


def _former(name: str, **held: object) -> None:
    """Register a module under the name that it had."""
    module = ModuleType(f"{__name__}.{name}", "A former name.")
    vars(module).update(held)
    sys.modules[module.__name__] = module


_former("data", ItemSpace=ItemSpace, Support=Support, score_users=score_users)
_former("pairs", Pairs=Pairs)
