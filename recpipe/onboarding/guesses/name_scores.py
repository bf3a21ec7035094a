"""The names that shops use: general synonyms of columns and of kinds of events, nothing of any one shop."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

COLUMNS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "events": {
        "user_id": ("user", "uid", "visitor", "customer", "client", "account", "member", "buyer", "shopper", "household", "reviewer"),
        "item_id": ("item", "product", "sku", "article", "asin", "stockcode", "goods", "offer", "content", "movie", "upc", "ean"),
        "event_type": ("event", "type", "action", "eventname", "behavior", "behaviour", "activity", "interaction", "kind"),
        "ts": ("timestamp", "time", "datetime", "date", "eventtime", "createdat", "occurredat", "invoicedate", "orderdate",
               "purchasedate", "transactiondate", "unixtime", "eventdate", "purchasetime", "reviewtime"),
        "event_id": ("event_uuid", "eventuuid", "uuid", "eventkey"),
        "session_id": ("session", "visit", "usersession"),
        "order_id": ("order", "basket", "invoice", "invoiceno", "transaction", "receipt"),
        "query": ("searchquery", "searchterm", "searchtext", "keyword", "keywords", "searchphrase"),
        "text": ("reviewtext", "review", "comment", "body", "reviewbody"),
        "rating": ("stars", "score", "overall", "reviewscore", "starrating", "rate"),
        "price": ("unitprice", "itemprice", "productprice", "priceperunit"),
        "quantity": ("qty", "units", "pieces"),
        "platform": ("device", "channel", "devicetype"),
    },
    "items": {
        "item_id": ("item", "product", "sku", "article", "asin", "stockcode", "goods", "offer", "content", "movie", "upc", "ean"),
        "title": ("name", "productname", "itemname", "producttitle", "itemtitle", "displayname"),
        "description": ("longdescription", "productdescription", "details"),
        "category": ("categorypath", "categories", "categoryname", "categorycode", "productcategory", "genres", "department"),
        "brand": ("brandname", "manufacturer", "maker", "vendor", "producer"),
        "price": ("listprice", "unitprice", "itemprice", "productprice", "retailprice"),
        "available": ("isavailable", "instock", "active", "isactive", "enabled"),
    },
    "users": {
        "user_id": ("user", "uid", "visitor", "customer", "client", "account", "member", "buyer", "shopper", "household"),
        "registered_at": ("registered", "registrationdate", "registration", "signup", "signupdate", "createdat", "joined", "joindate",
                          "membersince", "registeredon", "signupat"),
        "country": ("countrycode", "countryname"),
        "platform": ("signupplatform", "device", "channel"),
        "person_id": ("person",),
    },
}  # fmt: skip
"""Contract column -> other names, without separators; ``_id``, ``id``, ``no``, ``key`` and ``code`` behind them are understood."""

EVENT_TYPES: Final[Mapping[str, tuple[str, ...]]] = {
    "view": ("view", "click", "pageview", "detail", "productview", "viewitem", "itemview", "pv", "browse", "look", "detailview"),
    "cart": ("cart", "addtocart", "basket", "addtobasket", "cartadd", "addcart", "atc"),
    "favourite": ("favourite", "favorite", "fav", "wishlist", "addtowishlist", "like", "bookmark", "addtofavorites", "collect"),
    "purchase": (
        "purchase",
        "buy",
        "transaction",
        "order",
        "sale",
        "sold",
        "bought",
        "paid",
        "ordered",
        "purchased",
        "conversion",
    ),
    "return": ("return", "refund", "cancel", "cancelled", "canceled", "cancellation", "returned", "refunded", "creditnote"),
    "search": ("search", "query", "sitesearch", "viewsearchresults"),
    "review": ("review", "rate", "rating", "comment", "rated", "reviewed"),
}
"""Contract event type -> what shops call it, without separators."""
SOURCES: Final[Mapping[str, tuple[str, ...]]] = {
    "events": ("event", "log", "click", "interaction", "transaction", "order", "behavior", "behaviour", "rating", "review", "sales", "purchase"),
    "items": ("item", "product", "catalog", "article", "movie", "sku", "goods", "meta"),
    "users": ("user", "customer", "member", "account", "visitor", "household", "client"),
}  # fmt: skip
"""Table -> what its files are called."""
_ID: Final = re.compile(r"(id|no|nr|number|key|code|num)$")


def bare(name: str) -> str:
    """Return a name in small letters, without separators: ``eventTime`` and ``event_time`` are one."""
    return re.sub(r"[^a-z0-9]", "", name.rpartition(".")[2].lower()) or re.sub(r"[^a-z0-9]", "", name.lower())


def name_score(table: str, column: str, delivered: str) -> float:
    """Return how well a delivered name fits a contract column: 1 the same, 0.9 a synonym, 0.5 a part of one, 0 not at all."""
    name, path = bare(delivered), re.sub(r"[^a-z0-9]", "", delivered.lower())
    own = bare(column)
    if own in (name, path):
        return 1.0
    synonyms = COLUMNS[table].get(column, ())
    stem = _ID.sub("", name)
    if name in synonyms or (column.endswith("_id") and (stem in synonyms or _ID.sub("", path) in synonyms)):
        return 0.9
    parts = set(re.split(r"[^a-z0-9]+", re.sub(r"([a-z])([A-Z])", r"\1_\2", delivered).lower())) - {""}
    known = (*synonyms, own.removesuffix("id") if column.endswith("_id") else own)
    if any(synonym in parts for synonym in known) and (not column.endswith("_id") or _ID.search(name)):
        return 0.5
    return 0.0


def event_type_of(value: str) -> str | None:
    """Return the contract's event type for a delivered one; None if the word is not known."""
    word = re.sub(r"[^a-z]", "", value.lower())
    return next((kind for kind, words in EVENT_TYPES.items() if word in words), None)


def source_score(table: str, name: str) -> float:
    """Return whether a file's or folder's name speaks of a table."""
    words = re.sub(r"[^a-z]", " ", name.lower())
    return 1.0 if any(word in words for word in SOURCES[table]) else 0.0
