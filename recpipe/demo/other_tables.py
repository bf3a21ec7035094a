"""A look at what the tasks beside the lists made of a day: complements, classes, profiles, an audience."""

from __future__ import annotations

from datetime import date

import pyarrow as pa
import pyarrow.compute as pc
from rich.console import Console

from recpipe.lake.reader import Reader
from recpipe.printable import cell

SHOWN = 3


def show_other_tables(reader: Reader, console: Console, day: date) -> None:
    """Print some rows of `complements`, `item_classes`, `user_profiles` and `campaign_audiences` of a day, items by their titles."""
    items = reader.as_of("items", day)
    titles = dict(zip(items["item_id"].to_pylist(), items["title"].to_pylist(), strict=True))
    shown = (
        ("complements", complements),
        ("item_classes", classes),
        ("user_profiles", profiles),
        ("campaign_audiences", audience),
    )
    for name, lines in shown:
        rows = reader.read(name, day, day)
        console.print(f"[bold]{name}[/] of {day}: {rows.num_rows:,} rows", highlight=False)
        for line in lines(rows, titles):
            console.print(cell("  " + line), highlight=False, soft_wrap=True)
    console.print()


def complements(rows: pa.Table, titles: dict[str, str]) -> list[str]:
    """Say what completes the item that is most often bought together with another."""
    if not rows.num_rows:
        return []
    item = rows.sort_by([("orders_together", "descending"), ("item_id", "ascending")])["item_id"][0].as_py()
    own = rows.filter(pc.field("item_id") == item).sort_by("rank")
    return [f"{titles[item]} is completed by " + ", ".join(titles[one] for one in own["complement_id"].to_pylist()[:SHOWN])]


def classes(rows: pa.Table, titles: dict[str, str]) -> list[str]:
    """Say how many items have a class, and name some of those that are neither sure nor doubtful."""
    given = rows.filter(~pc.field("abstained")).sort_by([("confidence", "descending"), ("item_id", "ascending")])
    middle = given.slice(given.num_rows // 2, SHOWN).to_pylist()
    return [
        f"{given.num_rows:,} items have a class, {rows.num_rows - given.num_rows:,} are left for a person to look at",
        *(f"{titles[row['item_id']]} -> {' > '.join(row['class_path'])} ({row['confidence']:.2f})" for row in middle),
    ]


def profiles(rows: pa.Table, titles: dict[str, str]) -> list[str]:
    """Say what the heaviest tag of each kind rests on, without naming the user."""
    said = []
    for kind in sorted(set(rows["kind"].to_pylist())):
        order = [("weight", "descending"), ("user_id", "ascending"), ("tag", "ascending")]
        row = rows.filter(pc.field("kind") == kind).sort_by(order).slice(0, 1).to_pylist()[0]
        said.append(f"{row['tag']} ({row['weight']:.2f}): {row['evidence']}")
    return said


def audience(rows: pa.Table, titles: dict[str, str]) -> list[str]:
    """Say whom the likeliest users of each campaign are taken for, without naming them."""
    best = rows.filter(pc.field("rank") == 1).sort_by("campaign_id").to_pylist()
    said = []
    for row in best:
        because = ", ".join(titles[one] for one in row["reason"]["because_item_ids"])
        said.append(
            f"{row['campaign_id']}: the likeliest answers with probability {row['probability']:.2f}; bought {because or 'often'}"
        )
    return said
