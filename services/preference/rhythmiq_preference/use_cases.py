"""What can be done with preferences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from uuid import uuid4

from rhythmiq_mesh.children import Guard
from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import child_name
from rhythmiq_mesh.paging import PageTokens, Place
from rhythmiq_mesh.parents import Profiles, ProfileState
from rhythmiq_mesh.rounds import rounds
from rhythmiq_preference.model import (
    COLLECTION,
    NO_EVIDENCE,
    Origin,
    Preference,
    PreferenceNotFound,
    check_evidence,
    check_value,
)
from rhythmiq_preference.ports import LearnedWritten, PreferenceRepository

_ATTEMPTS = 5
_UPKEEP_BATCH = 500


@dataclass(frozen=True)
class CreatePreference:
    """Creates a preference that the listener sets. Where the limit is reached, the weakest learned one makes room.

    Raises PreferenceExists, PreferenceLimitReached, NotFound (PROFILE_NOT_FOUND),
    FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable; nothing is stored then.
    """

    preferences: PreferenceRepository
    guard: Guard
    clock: Clock

    async def __call__(self, draft: Preference, key: RequestKey | None) -> Preference:
        check_value(draft)
        new = _stamped(draft, Origin.SET, self.clock.now())
        return await self.guard.create(new, partial(self.preferences.create, new, key))


@dataclass(frozen=True)
class GetPreference:
    """Gets a preference. Raises PreferenceNotFound."""

    preferences: PreferenceRepository

    async def __call__(self, profile_id: str, preference_id: str) -> Preference:
        preference = await self.preferences.get(profile_id, preference_id)
        if preference is None:
            raise PreferenceNotFound(child_name(profile_id, COLLECTION, preference_id))
        return preference


@dataclass(frozen=True)
class ListPreferences:
    """Lists a profile's preferences, oldest first: one page and the token of the next, empty on the last.

    Raises InvalidArgument (PAGE_TOKEN_INVALID).
    """

    preferences: PreferenceRepository
    tokens: PageTokens

    async def __call__(self, profile_id: str, requested_size: int, token: str) -> tuple[list[Preference], str]:
        query, fetch = ("ListPreferences", profile_id), partial(self.preferences.page, profile_id)
        return await self.tokens.page(query, requested_size, token, fetch, _place)


@dataclass(frozen=True)
class UpdatePreference:
    """Applies a change to the stored preference, which is its listener's own (origin SET) from then on.

    Without an etag a lost race is run again.
    Raises PreferenceNotFound, PreferenceExists, EtagMismatch, InvalidArgument.
    """

    preferences: PreferenceRepository
    clock: Clock

    async def __call__(
        self, profile_id: str, preference_id: str, etag: str, change: Callable[[Preference], Preference]
    ) -> Preference:
        for _ in range(_ATTEMPTS):
            stored = await GetPreference(self.preferences)(profile_id, preference_id)
            check_etag(etag, stored.etag, stored.name)
            changed = replace(
                change(stored),
                origin=Origin.SET,
                update_time=self.clock.now(),
                etag=new_etag(),
                evidence=NO_EVIDENCE,
            )
            check_value(changed)
            if await self.preferences.replace(changed, expected_etag=stored.etag):
                return changed
        raise _contended(profile_id, preference_id)


@dataclass(frozen=True)
class DeletePreference:
    """Deletes a preference; a learned one is not learned again. Raises PreferenceNotFound, EtagMismatch."""

    preferences: PreferenceRepository

    async def __call__(self, profile_id: str, preference_id: str, etag: str) -> None:
        for _ in range(_ATTEMPTS):
            stored = await GetPreference(self.preferences)(profile_id, preference_id)
            check_etag(etag, stored.etag, stored.name)
            if await self.preferences.delete(stored):
                return
        raise _contended(profile_id, preference_id)


@dataclass(frozen=True)
class WriteLearnedPreferences:
    """Writes a batch of learned preferences as `plan_learned` decides.

    Raises NotFound (PROFILE_NOT_FOUND), FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable;
    nothing new is stored then.
    """

    preferences: PreferenceRepository
    guard: Guard
    clock: Clock

    async def __call__(
        self, profile_id: str, drafts: Sequence[Preference], key: RequestKey | None, *, replace: bool = False
    ) -> LearnedWritten:
        for index, draft in enumerate(drafts):
            check_value(draft, field=f"preferences[{index}]")
            check_evidence(draft.evidence, field=f"preferences[{index}]")
        # Asked before as well: what had to give way to the batch does not come back with taking it back.
        await self.guard.refuse_unless_active(profile_id)
        now = self.clock.now()
        batch = [_stamped(draft, Origin.LEARNED, now) for draft in drafts]
        write = partial(self.preferences.write_learned, profile_id, batch, key, replace=replace)
        written, _ = await self.guard.insert(profile_id, [preference.id for preference in batch], write)
        return written


@dataclass(frozen=True)
class CountPreferences:
    """How many preferences a profile that is being deleted still has.

    With none left the profile may be gone soon: what its listener dismissed must then go too. It must stay where the
    deletion is refused for another reason, so that is looked at later (DismissalUpkeep). Counted first: a delete that
    leaves a dismissal is over by the time that nothing is left.
    """

    preferences: PreferenceRepository

    async def __call__(self, profile_id: str) -> int:
        count = await self.preferences.count(profile_id)
        if count == 0:
            await self.preferences.doubt(profile_id)
        return count


@dataclass(frozen=True)
class DismissalUpkeep:
    """Erases the dismissals of profiles that are gone, in rounds `seconds` apart. Any number may run at once."""

    preferences: PreferenceRepository
    profiles: Profiles
    seconds: float

    async def __call__(self) -> None:
        """Rounds without end."""
        await rounds(self.once, self.seconds)

    async def once(self) -> None:
        """One round. A profile that is still being deleted is looked at again."""
        for profile_id in await self.preferences.doubted(_UPKEEP_BATCH):
            state = await self.profiles.state(profile_id)
            if state is not ProfileState.DELETING:
                await self.preferences.settle(profile_id, gone=state is ProfileState.ABSENT)


def _stamped(draft: Preference, origin: Origin, now: datetime) -> Preference:
    return replace(draft, id=str(uuid4()), origin=origin, create_time=now, update_time=now, etag=new_etag())


def _place(preference: Preference) -> Place:
    return preference.create_time, preference.id


def _contended(profile_id: str, preference_id: str) -> Aborted:
    name = child_name(profile_id, COLLECTION, preference_id)
    return Aborted(f"{name} is being changed by other calls: try again")
