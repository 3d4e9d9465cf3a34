"""How a service with resources below a profile keeps their parent: the guard against orphans.

A child is inserted first and its profile read afterwards: unless that is ACTIVE, the child is taken back. Profile's
delete turns DELETING before it counts children, so one of the two always sees the other.
"""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from rhythmiq_mesh.errors import FailedPrecondition, NotFound
from rhythmiq_mesh.names import profile_name


class ProfileState(Enum):
    """What a parent's state means for its children."""

    ABSENT = 0
    ACTIVE = 1
    DELETING = 2


class Profiles(Protocol):
    """Tells a profile's state."""

    async def state(self, profile_id: str) -> ProfileState:
        """Raises Unavailable when it cannot be told."""
        ...


def refuse_unless_active(state: ProfileState, profile_id: str) -> None:
    """Raises NotFound (PROFILE_NOT_FOUND) or FailedPrecondition (PROFILE_NOT_ACTIVE)."""
    name = profile_name(profile_id)
    if state is ProfileState.ABSENT:
        raise NotFound(
            f"{name} does not exist: create the profile first",
            resource_type="rhythmiq.dev/Profile",
            resource_name=name,
            reason="PROFILE_NOT_FOUND",
        )
    if state is ProfileState.DELETING:
        raise FailedPrecondition(
            f"{name} is being deleted: nothing can be created below it", reason="PROFILE_NOT_ACTIVE"
        )
