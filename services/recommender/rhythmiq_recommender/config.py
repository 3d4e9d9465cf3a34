"""Settings from `RHYTHMIQ_RECOMMENDER_*`."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from rhythmiq_mesh.config import ServiceSettings
from rhythmiq_recommender.models.store import Store


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
    model_store: str = Field(
        default="",
        description=(
            "Where trained models are kept, as fsspec names it: `file:///var/lib/rhythmiq/models`, "
            "`s3://bucket/models` (with `rhythmiq-recommender[s3]`). Empty: the prior ranks."
        ),
    )
    model_poll_seconds: float = Field(
        default=2.0, gt=0, le=8, description="Time between looks at which models are promoted."
    )
    models_loaded: int = Field(default=4, ge=1, le=100, description="Models in memory at most.")
    shadow_sample: float = Field(
        default=0.1, ge=0, le=1, description="Share of answers that a shadow model, where one is set, scores too."
    )
    upkeep_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Time between rounds that check what interrupted creates have left."
    )

    @field_validator("model_store")
    @classmethod
    def _is_a_store(cls, address: str) -> str:
        if address:
            Store(address)
        return address
