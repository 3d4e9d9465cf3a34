"""What can be done with profiles."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import profile_name
from rhythmiq_profile.model import Profile, ProfileHasChildren, ProfileNotFound, State, check_time_zone
from rhythmiq_profile.ports import Children, ProfileRepository

_UPDATE_ATTEMPTS = 5


@dataclass(frozen=True)
class CreateProfile:
    """Creates a profile. Raises ProfileExists, EmailTaken, InvalidArgument."""

    profiles: ProfileRepository
    clock: Clock

    async def __call__(self, draft: Profile, key: RequestKey | None) -> Profile:
        check_time_zone(draft.time_zone)
        now = self.clock.now()
        profile = replace(draft, state=State.ACTIVE, create_time=now, update_time=now, etag=new_etag())
        return await self.profiles.create(profile, key)


@dataclass(frozen=True)
class GetProfile:
    """Gets a profile. Raises ProfileNotFound."""

    profiles: ProfileRepository

    async def __call__(self, profile_id: str) -> Profile:
        profile = await self.profiles.get(profile_id)
        if profile is None:
            raise ProfileNotFound(profile_name(profile_id))
        return profile


@dataclass(frozen=True)
class UpdateProfile:
    """Applies a change to the stored profile.

    Without an etag a lost race is run again. Raises ProfileNotFound, EtagMismatch, InvalidArgument.
    """

    profiles: ProfileRepository
    clock: Clock

    async def __call__(self, profile_id: str, etag: str, change: Callable[[Profile], Profile]) -> Profile:
        for _ in range(_UPDATE_ATTEMPTS):
            stored = await GetProfile(self.profiles)(profile_id)
            check_etag(etag, stored.etag, stored.name)
            changed = replace(change(stored), update_time=self.clock.now(), etag=new_etag())
            check_time_zone(changed.time_zone)
            if await self.profiles.replace(changed, expected_etag=stored.etag):
                return changed
        raise Aborted(f"{profile_name(profile_id)} is being changed by other calls: try again")


@dataclass(frozen=True)
class DeleteProfile:
    """Deletes a profile without children.

    It turns DELETING before the children are counted, so that a child created meanwhile sees it and is taken back.
    Raises ProfileNotFound, EtagMismatch, ProfileHasChildren, Unavailable, Aborted.
    """

    profiles: ProfileRepository
    children: Children

    async def __call__(self, profile_id: str, etag: str) -> None:
        stored = await GetProfile(self.profiles)(profile_id)
        check_etag(etag, stored.etag, stored.name)
        token = secrets.token_hex(16)
        if not await self.profiles.begin_delete(profile_id, expected_etag=stored.etag, token=token):
            raise Aborted(f"{stored.name} is being changed or deleted by another call: try again")
        try:
            children = await self.children.count(profile_id)
            if children:
                raise ProfileHasChildren(stored.name, children)
            deleted = await self.profiles.finish_delete(profile_id, token=token)
        except BaseException:
            await self.profiles.cancel_delete(profile_id, token=token)
            raise
        if not deleted:
            raise Aborted(f"deleting {stored.name} took too long: try again")


@dataclass(frozen=True)
class GetProfileState:
    """The state that children depend on; None when there is no profile."""

    profiles: ProfileRepository

    async def __call__(self, profile_id: str) -> State | None:
        return await self.profiles.state(profile_id)
