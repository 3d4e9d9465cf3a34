"""Settings from `RHYTHMIQ_VARIABLE_*`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from rhythmiq_mesh.config import ServiceSettings


class VariableSettings(ServiceSettings):
    """Settings of the variable service."""

    model_config = SettingsConfigDict(env_prefix="RHYTHMIQ_VARIABLE_")

    mongo_database: str = Field(
        default="rhythmiq_variable", description="Database of this service.", pattern=r"^[A-Za-z0-9_-]{1,63}$"
    )
    profile_address: str = Field(description="Address of the profile service.", min_length=1)
    erasure_addresses: list[str] = Field(
        default=[],
        description="Addresses (a JSON list) of the services that keep copies of readings, which opt-outs erase too.",
    )
    upkeep_seconds: float = Field(
        default=5.0,
        gt=0,
        le=60,
        description="Time between rounds of background work: interrupted erasures, changed retentions, expired values.",
    )
