"""The tasks: one module each, which says what its table is made of; `recpipe.rails` does the rest."""

from typing import Any, Final

from recpipe.errors import BadSetting
from recpipe.rails import Task
from recpipe.tasks.campaign_audiences import AUDIENCES
from recpipe.tasks.cart_recommendations import CARTS
from recpipe.tasks.complements import ITEM_COMPLEMENTS
from recpipe.tasks.item_classes import CLASSES
from recpipe.tasks.item_digests import DIGESTS
from recpipe.tasks.review_insights import INSIGHTS
from recpipe.tasks.search_recommendations import SEARCHES
from recpipe.tasks.user_profiles import PROFILES

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
