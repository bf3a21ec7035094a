"""The evidence of a tag, as a sentence that speaks of its user alone."""

from __future__ import annotations

from datetime import date
from typing import Final

SENTENCES: Final = {
    "category": "Met {pieces} of {whole} times in it",
    "brand": "Met {pieces} of {whole} times of this brand",
    "topic": "Met or searched for {pieces} of {whole} times",
    "price": "{pieces} of {whole} times the price was in the {name} third of those of its like",
    "weekday": "{pieces} of {whole} days on which the user came were {name}s",
    "hour": "Came in the {name} {pieces} of {whole} times",
    "gap": "Came back {pieces} of {whole} times {name}",
    "search": "Searched for it on {pieces} days",
    "rating": "{pieces} of {whole} ratings were {name}",
    "aspect": "{pieces} of {whole} reviews with aspects: {name}",
}
NAMES: Final = {
    "weekday": "weekday",
    "weekend": "weekend day",
    "every few days": "after two days at most",
    "weekly": "after 3 to 10 days",
    "monthly": "after 11 to 45 days",
    "seldom": "after more than 45 days",
    "picky": "at least half a star below those of others for the same item",
    "generous": "at least half a star above those of others for the same item",
    "as others": "within half a star of those of others for the same item",
}
LONGEST_TITLE: Final = 60


def sentence(says: str, tag: str, pieces: int, whole: int, first: int, last: int, titles: list[str]) -> str:
    """Say what a tag rests on.

    Parameters
    ----------
    says
        The family (`recpipe.tables.profiles.preferences.Family.says`).
    tag
        The tag; what stands behind its kind is named.
    pieces, whole
        Pieces of evidence under the tag, and in its family.
    first, last
        Days of the oldest and newest, as ordinals.
    titles
        Of the items that tell the most.

    Examples
    --------
    >>> sentence("hour", "rhythm:evening", 3, 4, 736330, 736339, [])
    'Came in the evening 3 of 4 times, from 2017-01-01 to 2017-01-10.'
    >>> sentence("category", "category:home>lights", 1, 9, 736330, 736330, ["RED LAMP"])
    'Met 1 of 9 times in it, on 2017-01-01; most of all RED LAMP.'
    """
    name = tag.split(":", 1)[1]
    begin, end = date.fromordinal(first), date.fromordinal(last)
    text = SENTENCES[says].format(pieces=pieces, whole=whole, name=NAMES.get(name, name))
    when = f"on {begin}" if first == last else f"from {begin} to {end}"
    named = ", ".join(dict.fromkeys(title[:LONGEST_TITLE] for title in titles if title))
    return f"{text}, {when}" + (f"; most of all {named}." if named else ".")
