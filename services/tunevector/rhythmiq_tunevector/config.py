"""Settings from `RHYTHMIQ_TUNEVECTOR_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rhythmiq_mesh.config import ServiceSettings


class TuneVectorSettings(ServiceSettings):
    """Settings of the tune vector service."""

    model_config = SettingsConfigDict(env_prefix="RHYTHMIQ_TUNEVECTOR_")

    mongo_database: str = Field(
        default="rhythmiq_tunevector", description="Database of this service.", pattern=r"^[A-Za-z0-9_-]{1,63}$"
    )
    profile_address: str = Field(description="Address of the profile service.", min_length=1)
    recommender_address: str = Field(description="Address of the recommender service.", min_length=1)
    upkeep_seconds: float = Field(
        default=5.0, gt=0, le=3600, description="Time between rounds that check what interrupted creates have left."
    )
