"""How would the shop have served newcomers? Who registered after a cut, served as if new, by a model of the days before it."""

from recpipe.evaluate.replay.run import export_replay, model_folder, plan_replay, publish_replay, replay_day

__all__ = ["export_replay", "model_folder", "plan_replay", "publish_replay", "replay_day"]
