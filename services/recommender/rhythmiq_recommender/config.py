"""Settings from `RHYTHMIQ_RECOMMENDER_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rhythmiq_mesh.config import ServiceSettings


class RecommenderSettings(ServiceSettings):
    """Settings of the recommender service."""

    model_config = SettingsConfigDict(env_prefix="RHYTHMIQ_RECOMMENDER_")

    mongo_database: str = Field(
        default="rhythmiq_recommender", description="Database of this service.", pattern=r"^[A-Za-z0-9_-]{1,63}$"
    )
    profile_address: str = Field(description="Address of the profile service.", min_length=1)
    preference_address: str = Field(description="Address of the preference service.", min_length=1)
    variable_address: str = Field(description="Address of the variable service.", min_length=1)
    copied_profiles: int = Field(
        default=10_000,
        ge=0,
        le=1_000_000,
        description=(
            "Profiles of which copies are kept of what the other services say, as long as those vouch for them; "
            "0: every answer asks them."
        ),
    )
    interaction_retention_days: int = Field(
        default=400,
        ge=1,
        le=3650,
        description="Days after its event that an interaction is kept; older ones are refused.",
    )
    exploration: float = Field(
        default=0.05,
        ge=0,
        le=0.3,
        description="Share of places from the third on that show an item to learn from it; 0: none.",
    )
    upkeep_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Time between rounds that check what interrupted creates have left."
    )
