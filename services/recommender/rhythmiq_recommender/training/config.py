"""Settings of training from `RHYTHMIQ_RECOMMENDER_*`: where the data are, and where models go."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class TrainingSettings(BaseSettings):
    """What `python -m rhythmiq_recommender.training` needs; `rhythmiq train` sets all of it for the local mesh."""

    model_config = SettingsConfigDict(env_prefix="RHYTHMIQ_RECOMMENDER_")

    mongo_uri: SecretStr = Field(description="MongoDB connection string of a replica set.")
    mongo_database: str = Field(
        default="rhythmiq_recommender",
        description="Database of the recommender service.",
        pattern=r"^[A-Za-z0-9_-]{1,63}$",
    )
    model_store: str = Field(
        description="Where models are published: an fsspec URL such as `file:///var/models`.", min_length=1
    )
    training_folder: Path = Field(
        default=Path("training"),
        description="Where runs keep the outputs of their steps, to go on after an interruption.",
    )
    training_attempts: int = Field(
        default=5,
        ge=1,
        le=100,
        description="How often a step is tried while the database, the store or the scheduler is away.",
    )
