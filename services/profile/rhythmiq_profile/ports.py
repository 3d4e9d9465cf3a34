"""What the use cases need."""

from __future__ import annotations

from typing import Protocol

from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_profile.model import ChildCount, Profile, State


class ProfileRepository(Protocol):
    """Profiles in storage."""

    async def create(self, profile: Profile, key: RequestKey | None) -> Profile:
        """Stores a new profile, or returns the first answer of a replay. Raises ProfileExists, EmailTaken."""
        ...

    async def get(self, profile_id: str) -> Profile | None:
        """The profile, whatever its state."""
        ...

    async def state(self, profile_id: str) -> State | None:
        """The state alone; an abandoned deletion counts as ACTIVE."""
        ...

    async def replace(self, profile: Profile, *, expected_etag: str) -> bool:
        """Stores a new version unless the stored etag is another one."""
        ...

    async def begin_delete(self, profile_id: str, *, expected_etag: str, token: str) -> bool:
        """Turns an ACTIVE profile DELETING on behalf of `token`, for DELETE_LEASE_SECONDS at most."""
        ...

    async def cancel_delete(self, profile_id: str, *, token: str) -> None:
        """Turns it ACTIVE again."""
        ...

    async def finish_delete(self, profile_id: str, *, token: str) -> bool:
        """Removes it, if `token` still holds the deletion."""
        ...


class Children(Protocol):
    """What other services keep below profiles."""

    async def count(self, profile_id: str) -> list[ChildCount]:
        """Kinds that have some. Raises Unavailable unless every service has answered."""
        ...
