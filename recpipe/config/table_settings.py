"""Settings of the further tables, a part for each family."""

from __future__ import annotations

from pydantic import Field

from recpipe.config.part import Part


class ItemClassSettings(Part):
    """Classes of items."""

    labels: str = Field(
        "",
        description="parquet or csv of item_id, class (path) and, if wanted, scheme and day: labels beside the items' categories",
    )
    least_confidence: float = Field(0.6, gt=0, le=1, description="a class less likely than this is not given to an item")


class ReviewSettings(Part):
    """What is read out of reviews."""

    review_aspects: str = Field(
        "", description="file of the aspects that reviews may speak of, with the words that name them; a shipped one if empty"
    )
    review_shots: int = Field(
        60, gt=0, le=100_000, description="rated reviews a star that teach what the others' texts are worth, at most"
    )


class AudienceSettings(Part):
    """Campaigns, and whom they address."""

    campaigns: str = Field(
        "", description="file of the shop's campaigns, JSON lines or YAML: see docs/tables.md, campaign_audiences"
    )
    campaign_responses: str = Field(
        "",
        description="csv of campaign_id, user_id, day: who answered; purchases of a campaign's items while it ran if empty",
    )
    suppression: str = Field(
        "", description="csv of user_id and, if wanted, day: users whom no campaign may address (from that day on)"
    )
    campaign_lead_days: int = Field(
        1, gt=0, le=366, description="days before its first day on which a campaign's audience is made"
    )
    campaign_window_days: int = Field(
        120, gt=0, le=36_500, description="days of purchases that say whether a user will answer a campaign"
    )
    campaign_cap: int = Field(
        0, ge=0, le=10_000, description="most campaigns that address a user in the days of the cap; 0: no cap"
    )
    campaign_cap_days: int = Field(
        30, gt=0, le=36_500, description="days in which the cap counts, the day of the audience among them"
    )
    campaign_min_responses: int = Field(
        20, gt=0, le=1_000_000_000, description="answers to earlier campaigns from which probabilities are learned"
    )
    campaign_prior_rate: float = Field(
        0.02, gt=0, lt=1, description="share of the addressed that answer, where nothing is known yet"
    )


class CartSettings(Part):
    """Carts that are completed."""

    cart_days: int = Field(
        7, gt=0, le=3_660, description="days in which a cart was filled and not bought, for it to be completed"
    )


class ProfileSettings(Part):
    """Profiles of users."""

    profile_tags: int = Field(30, gt=0, le=10_000, description="most tags of a user of one kind and family, the heaviest")


class SearchSettings(Part):
    """Searches that are answered."""

    search_words: str = Field(
        "",
        description="YAML file of the words that say what a search text asks for: limits, denials, synonyms; a shipped one if empty",
    )
