"""Settings of outcomes and of the replay of new users."""

from __future__ import annotations

from pydantic import Field

from recpipe.config.part import Part


class EvaluationSettings(Part):
    """How outcomes are measured, and when to warn of them."""

    horizon_days: int = Field(7, gt=0, le=366, description="days after the lists' day in which behaviour counts as outcome")
    metric_k: int = Field(10, gt=0, le=10_000, description="cut-off of the ranking metrics")
    bootstrap_draws: int = Field(2000, gt=0, le=1_000_000, description="draws of the user bootstrap behind every interval")
    min_users: int = Field(20, gt=0, le=1_000_000_000, description="fewer users than this are reported as too few")
    floor_ndcg: float = Field(0.0, ge=0, le=1, description="warn when nDCG over all users falls below this")
    floor_coverage: float = Field(0.0, ge=0, le=1, description="warn when catalogue coverage falls below this")
    drift_days: int = Field(28, gt=0, le=3_660, description="days before the lists that the newest behaviour is compared with")
    max_drift: float = Field(
        0.5, gt=0, le=1_000_000, description="warn when the drift signal (population stability index) is above this"
    )


class ReplaySettings(Part):
    """The weekly replay of new users."""

    replay_days: int = Field(
        91,
        gt=0,
        le=3_660,
        description="days before its last one at which the weekly replay cuts: who registered since is served as if new",
    )
    replay_horizon_days: int = Field(
        90, gt=0, le=366, description="days after a replayed list in which what is met counts, at most"
    )
    replay_options: list[str] = Field(
        default_factory=list, description="further options of `recpipe train` in replay_newcomers, such as --steps and 100"
    )
    floor_replay_ndcg: float = Field(
        0.0, ge=0, le=1, description="warn when nDCG of the replay of new users with 1 to 10 items falls below this"
    )
    floor_replay_ratio: float = Field(
        0.0, ge=0, le=1_000_000, description="warn when that nDCG falls below so many times that of popularity"
    )
