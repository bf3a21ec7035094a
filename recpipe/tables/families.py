"""The tasks: one module each, which says what its table is made of; `recpipe.pipeline` does the rest."""

from typing import Any, Final

from recpipe.errors import BadSetting
from recpipe.pipeline.table import Task
from recpipe.tables.baskets.cart_recommendations import CARTS
from recpipe.tables.baskets.complements import ITEM_COMPLEMENTS
from recpipe.tables.campaigns.campaign_audiences import AUDIENCES
from recpipe.tables.item_classes.item_classes import CLASSES
from recpipe.tables.profiles.user_profiles import PROFILES
from recpipe.tables.reviews.item_digests import DIGESTS
from recpipe.tables.reviews.review_insights import INSIGHTS
from recpipe.tables.search.search_recommendations import SEARCHES

TASKS: Final[dict[str, Task[Any]]] = {
    task.name: task for task in (CLASSES, AUDIENCES, INSIGHTS, DIGESTS, ITEM_COMPLEMENTS, CARTS, SEARCHES, PROFILES)
}
"""Every task by its name, beside the lists of the night, which have commands of their own."""


def task_of(name: str) -> Task[Any]:
    """Return a task by its name.

    Raises
    ------
    BadSetting
        If there is none of that name.
    """
    if name not in TASKS:
        raise BadSetting(f"There is no task '{name}'; there are: {', '.join(TASKS)}.")
    return TASKS[name]
