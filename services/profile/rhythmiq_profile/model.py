"""A profile and its rules."""

from __future__ import annotations

import unicodedata
import zoneinfo
from dataclasses import dataclass
from datetime import datetime
from enum import Enum

from rhythmiq_mesh.errors import (
    AlreadyExists,
    FailedPrecondition,
    InvalidArgument,
    NotFound,
    PreconditionViolation,
)
from rhythmiq_mesh.names import profile_name

RESOURCE_TYPE = "rhythmiq.dev/Profile"


class State(Enum):
    """DELETING from before the children are counted until the profile is gone."""

    ACTIVE = "ACTIVE"
    DELETING = "DELETING"


@dataclass(frozen=True, slots=True)
class Profile:
    """A listener.

    `learned_weight` is how much learned preferences count against set ones, 0 to 1; None means the default.
    """

    id: str
    email: str
    display_name: str
    locale: str
    time_zone: str
    learned_weight: float | None
    state: State
    create_time: datetime
    update_time: datetime
    etag: str

    @property
    def name(self) -> str:
        """The resource name."""
        return profile_name(self.id)


@dataclass(frozen=True, slots=True)
class ChildCount:
    """How many resources of one kind (plural, as in resource names) remain below a profile."""

    kind: str
    count: int


def email_key(email: str) -> str:
    """What emails are compared by: Unicode NFC, case-folded."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", email).casefold())


def check_time_zone(time_zone: str) -> None:
    """Raises InvalidArgument unless it is empty or in the IANA database."""
    if not time_zone:
        return
    try:
        zoneinfo.ZoneInfo(time_zone)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidArgument.of(
            "profile.time_zone", "must be an IANA time zone such as Europe/Vienna", reason="UNKNOWN_TIME_ZONE"
        ) from None


class ProfileNotFound(NotFound):
    """No such profile."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} does not exist: create the profile first",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="PROFILE_NOT_FOUND",
        )


class ProfileExists(AlreadyExists):
    """The caller has a profile."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"you have a profile already: use {name}",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="PROFILE_EXISTS",
        )


class EmailTaken(AlreadyExists):
    """Another profile uses the email; which one is not told."""

    def __init__(self) -> None:
        super().__init__(
            "profile.email is used by another profile: use another address",
            resource_type=RESOURCE_TYPE,
            resource_name="",
            reason="EMAIL_TAKEN",
        )


class ProfileHasChildren(FailedPrecondition):
    """Resources remain below the profile."""

    def __init__(self, name: str, children: list[ChildCount]) -> None:
        what = ", ".join(f"{child.kind} ({child.count})" for child in children)
        super().__init__(
            f"{name} still has {what}: delete them first",
            reason="PROFILE_HAS_CHILDREN",
            violations=[
                PreconditionViolation(
                    type="CHILDREN_REMAIN",
                    subject=f"{name}/{child.kind}",
                    description=f"{child.kind} remain: {child.count}",
                )
                for child in children
            ],
        )
