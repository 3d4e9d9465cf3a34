"""Settings from `RHYTHMIQ_LEANINGS_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rhythmiq_mesh.config import ProcessSettings


class LeaningsSettings(ProcessSettings):
    """Settings of the worker that learns preferences."""

    model_config = SettingsConfigDict(env_prefix="RHYTHMIQ_LEANINGS_")

    mongo_database: str = Field(
        default="rhythmiq_recommender",
        description="Database of the recommender, whose interactions are learned from.",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
    )
    preference_address: str = Field(description="Address of the preference service.", min_length=1)
    debounce_seconds: float = Field(
        default=2.0, ge=0, le=3600, description="Seconds from a recording until its profile's preferences are derived."
    )
    refresh_hours: float = Field(
        default=24.0, gt=0, le=24 * 30, description="Hours after which they are derived again without a recording."
    )
    lease_seconds: float = Field(
        default=10.0,
        ge=0.5,
        le=600,
        description="Seconds after which another worker takes over from one that has died.",
    )
