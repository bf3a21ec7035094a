"""Learners as estimators: fitted on a data set, they recommend with reasons.

What serves a night is the same: the same training, the same learners, the same ranking and the same reasons.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from recpipe.dataset.from_frames import Dataset, Supports
from recpipe.errors import RecpipeError
from recpipe.models.base import ItemSpace, Learner, score_users
from recpipe.models.ease import EASE as EaseLearner  # noqa: N811
from recpipe.models.item_knn import ItemKNN as ItemKnnLearner
from recpipe.models.popularity import Popularity as PopularityLearner
from recpipe.models.text_prototype import TextPrototype as TextPrototypeLearner
from recpipe.ranking.order import rank
from recpipe.ranking.reasons import because, brought_by_any

USERS_AT_ONCE = 256


class Estimator(ABC):
    """A learner that is fitted on a data set."""

    learner: Learner
    space: ItemSpace
    data: Dataset

    @abstractmethod
    def _learn(self, data: Dataset) -> Learner:
        """Return the learner of a data set."""

    def fit(self, data: Dataset) -> Self:
        """Learn, and place the items as of the end of the data set."""
        self.data = data
        self.learner = self._learn(data)
        self.space = self.learner.items(data.evidence)
        return self

    def recommend(self, support: Supports, k: int = 10, seen: Sequence[NDArray[np.object_]] | None = None) -> pd.DataFrame:
        """Return the best items of each user.

        Parameters
        ----------
        support
            Whom lists are made for.
        k
            Longest list.
        seen
            For each user items that are not to be listed, beside those of the support.

        Returns
        -------
        pandas.DataFrame
            ``user_id``, ``item_id``, ``rank`` from 1, ``score``, and ``because``: up to two items of the support that brought it.

        Raises
        ------
        RecpipeError
            If it was not fitted.
        """
        if not hasattr(self, "space"):
            raise RecpipeError(f"{type(self).__name__} was not fitted: call fit(data) first.")
        alike = brought_by_any(self.learner, self.space)
        blocks = (np.arange(at, min(at + USERS_AT_ONCE, len(support))) for at in range(0, len(support), USERS_AT_ONCE))
        return pd.concat([self._block(support, rows, k, seen, alike) for rows in blocks], ignore_index=True)

    def _block(
        self,
        support: Supports,
        rows: NDArray[np.int64],
        k: int,
        seen: Sequence[NDArray[np.object_]] | None,
        alike: NDArray[np.float64],
    ) -> pd.DataFrame:
        from recpipe.dataset.support import take

        catalogue = self.data.evidence.catalogue
        ids, mine = catalogue.item_ids, take(support.entries, rows)
        barred = np.broadcast_to(~catalogue.available, (len(rows), len(ids))).copy()
        barred[np.repeat(np.arange(len(rows)), np.diff(mine.indptr)), mine.item] = True
        for at, row in enumerate(rows if seen is not None else ()):
            barred[at, np.searchsorted(ids, seen[row])] = True  # type: ignore[index]
        nothing = np.full(len(ids), -1, np.int64)
        lists, scores = rank(score_users(self.learner, self.space, mine), barred, k, nothing, 0)
        reasons = because(self.learner, self.space, mine, lists, alike)
        user, place = np.nonzero(lists >= 0)
        return pd.DataFrame(
            {
                "user_id": support.user_ids[rows][user],
                "item_id": ids[lists[user, place]],
                "rank": place + 1,
                "score": scores[user, place],
                "because": [tuple(ids[one[one >= 0]]) for one in reasons[user, place]],
            }
        )


class ClosedForm(Estimator):
    """A learner whose few numbers are set: nothing is trained."""

    kind: ClassVar[Callable[..., Any]]

    def __init__(self, **numbers: float) -> None:
        self.numbers = numbers

    def _learn(self, data: Dataset) -> Learner:
        learner: Learner = type(self).kind(**self.numbers)
        return learner


class Popularity(ClosedForm):
    """What many bought lately."""

    kind = PopularityLearner


class ItemKNN(ClosedForm):
    """Items that were met by the users who met those of the support."""

    kind = ItemKnnLearner


class EASE(ClosedForm):
    """A linear model of items by items (Steck 2019)."""

    kind = EaseLearner


class TextPrototype(ClosedForm):
    """Items closest to the mean of the support's texts."""

    kind = TextPrototypeLearner


class Trained(Estimator):
    """A learner that is taught on episodes; settings are those of `recpipe.training.config.Config`."""

    name: ClassVar[str]

    def __init__(self, **training: Any) -> None:
        self.training = training

    def _learn(self, data: Dataset) -> Learner:
        from recpipe.dataset.folder import write_episodes_folder
        from recpipe.models.io import load
        from recpipe.training.config import Config
        from recpipe.training.loop import train

        with TemporaryDirectory(prefix="recpipe-") as folder:
            episodes, model = Path(folder) / "episodes", Path(folder) / "model"
            write_episodes_folder(episodes, data.evidence, data.training_facts())
            train(episodes, model, Config(learner=type(self).name, **self.training))
            return load(model)


class PairNetwork(Trained):
    """The default learner: judges pairs of an item of the support and an item of the catalogue by their evidence."""

    name = "pair_network"


class Prototypical(Trained):
    """A prototypical network over the vectors of texts (Snell et al. 2017)."""

    name = "prototypical"


class MAML(Trained):
    """A start that a few gradient steps on a support adapt (Finn et al. 2017)."""

    name = "maml"


class ProtoMAML(Trained):
    """Prototypes as the start of gradient steps (Triantafillou et al. 2020)."""

    name = "proto_maml"
