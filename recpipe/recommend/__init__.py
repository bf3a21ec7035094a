"""Which items, in which order, for which reason: the lists of a night."""

from recpipe.recommend.plan import plan_night
from recpipe.recommend.publish import publish_episodes, publish_night, recommend_day
from recpipe.recommend.shards import rank_shard

__all__ = ["plan_night", "publish_episodes", "publish_night", "rank_shard", "recommend_day"]
