"""Landing files become clean events, items and users; what is not taken in goes to quarantine with its reason."""

from recpipe.ingest.delivery import Delivery, find_delivery
from recpipe.ingest.history import ingest_day, ingest_history
from recpipe.ingest.publish import publish_day
from recpipe.ingest.stage import stage_day

__all__ = ["Delivery", "find_delivery", "ingest_day", "ingest_history", "publish_day", "stage_day"]
