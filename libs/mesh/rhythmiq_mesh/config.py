"""Settings that every process has, from `RHYTHMIQ_<SERVICE>_*` (twelve-factor III), checked at start."""

from __future__ import annotations

import sys
from typing import Literal, TypeVar

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings

S = TypeVar("S", bound=BaseSettings)


class ProcessSettings(BaseSettings):
    """Base of the settings of a service or a worker. A subclass sets `env_prefix` and `mongo_database`."""

    listen: str = Field(description="Where to serve gRPC: `unix:/path/to.sock` or `host:port`.", min_length=1)
    mongo_uri: SecretStr = Field(description="MongoDB connection string of a replica set.")
    mongo_database: str = Field(description="Database of this service.", pattern=r"^[A-Za-z0-9_-]{1,63}$")
    drain_seconds: float = Field(
        default=0.0,
        ge=0,
        le=300,
        description="Seconds between health turning NOT_SERVING and the end of new calls: what a load balancer needs.",
    )
    grace_seconds: float = Field(default=5.0, ge=0, le=300, description="Seconds that calls in flight get to finish.")
    reflection: bool = Field(default=True, description="Whether gRPC server reflection answers.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="Lowest level that is logged; DEBUG logs every call."
    )


class ServiceSettings(ProcessSettings):
    """Base of the settings of a service that others call."""

    page_token_key: SecretStr = Field(
        description="Secret that page tokens are signed with, the same in all replicas.", min_length=32
    )


def load(settings: type[S]) -> S:
    """Reads the settings, or stops the process naming every variable that is missing or invalid."""
    try:
        return settings()
    except ValidationError as error:
        prefix = str(settings.model_config.get("env_prefix", ""))
        for problem in error.errors(include_url=False, include_input=False):
            variable = prefix + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"{variable}: {problem['msg']}", file=sys.stderr)
        sys.exit(2)
