"""A user's list, printed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from recpipe.printable import cell

if TYPE_CHECKING:
    from recpipe.readers.lists import UserList


def print_list(shown: UserList, most: int | None = None) -> None:
    """Print a user's list for a person, or the first so many places of it."""
    from rich.console import Console
    from rich.table import Table

    from recpipe.contract import WARM

    console = Console()
    console.print(cell(f"User {shown.user_id} on {shown.day}: cohort {shown.cohort}, model version {shown.model_version}"))
    for what, values in (("Met before, newest first", shown.support), ("Searched for", shown.query_texts)):
        if values:
            console.print(cell(f"{what}: {', '.join(values)}"))
    if not (shown.support or shown.query_texts):
        lapsed = f"Nothing within the last {shown.lookback_days} days."
        console.print(cell(lapsed if shown.cohort == WARM else "Nothing is known of this user yet."))
    table = Table("", "item", "title", "score", "why")
    for entry in shown.entries[:most]:
        cells = (str(entry.rank), entry.item_id, entry.title, f"{entry.score:.3f}", entry.reason)
        table.add_row(*map(cell, cells))
    console.print(table)
