"""Settings from `RHYTHMIQ_PROFILE_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rhythmiq_mesh.config import ServiceSettings


class ProfileSettings(ServiceSettings):
    """Settings of the profile service."""

    model_config = SettingsConfigDict(env_prefix="RHYTHMIQ_PROFILE_")

    mongo_database: str = Field(
        default="rhythmiq_profile", description="Database of this service.", pattern=r"^[A-Za-z0-9_-]{1,63}$"
    )
    children_addresses: list[str] = Field(
        description="Addresses (a JSON list) of the services that keep resources below profiles."
    )
