"""What can be done with preferences."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import uuid4

from rhythmiq_mesh.clocks import Clock
from rhythmiq_mesh.errors import Aborted
from rhythmiq_mesh.etag import check_etag, new_etag
from rhythmiq_mesh.idempotency import RequestKey
from rhythmiq_mesh.names import child_name, profile_name
from rhythmiq_mesh.paging import PageTokens, page_size
from rhythmiq_preference.guard import Guard
from rhythmiq_preference.model import COLLECTION, Origin, Preference, PreferenceNotFound, check_value
from rhythmiq_preference.ports import LearnedWritten, Position, PreferenceRepository

_ATTEMPTS = 5


@dataclass(frozen=True)
class CreatePreference:
    """Creates a preference that the listener sets.

    Raises PreferenceExists, PreferenceLimitReached, NotFound (PROFILE_NOT_FOUND),
    FailedPrecondition (PROFILE_NOT_ACTIVE), Unavailable; nothing is stored then.
    """

    preferences: PreferenceRepository
    guard: Guard
    clock: Clock

    async def __call__(self, draft: Preference, key: RequestKey | None) -> Preference:
        check_value(draft)
        new = _stamped(draft, Origin.SET, self.clock.now())
        replayed_id = ""
        for _ in range(_ATTEMPTS):
            stored, replayed = await self.preferences.create(new, key)
            # The record has outlived the preference, so its listener has deleted it: the first answer stands.
            if replayed and stored.id == replayed_id:
                return stored
            if await self._stands(stored, replayed=replayed):
                return stored
            replayed_id = stored.id
        raise Aborted(
            f"other calls with this request_id get in the way below {profile_name(draft.profile_id)}: try again"
        )

    async def _stands(self, stored: Preference, *, replayed: bool) -> bool:
        if not replayed:
            await self.guard.keep_or_take_back(stored.profile_id, [stored.id])
            return True
        if await self.preferences.get(stored.profile_id, stored.id) is None:
            return False
        # The first call may still be about to take its preference back: it must not after this answer.
        await self.guard.refuse_unless_active(stored.profile_id)
        return await self.preferences.confirm([stored.id])


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
        size = page_size(requested_size)
        query = ("ListPreferences", profile_id)
        found = await self.preferences.page(profile_id, _position(self.tokens.decode(query, token)), size + 1)
        if len(found) <= size:
            return found, ""
        last = found[size - 1]
        return found[:size], self.tokens.encode(query, (last.create_time.isoformat(), last.id))


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
            changed = replace(change(stored), origin=Origin.SET, update_time=self.clock.now(), etag=new_etag())
            check_value(changed)
            if await self.preferences.replace(changed, expected_etag=stored.etag):
                return changed
        raise _contended(profile_id, preference_id)


@dataclass(frozen=True)
class DeletePreference:
    """Deletes a preference. Raises PreferenceNotFound, EtagMismatch."""

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

    async def __call__(self, profile_id: str, drafts: Sequence[Preference], key: RequestKey | None) -> LearnedWritten:
        for index, draft in enumerate(drafts):
            check_value(draft, field=f"preferences[{index}]")
        # Asked before as well: what had to give way to the batch does not come back with taking it back.
        await self.guard.refuse_unless_active(profile_id)
        now = self.clock.now()
        batch = [_stamped(draft, Origin.LEARNED, now) for draft in drafts]
        written, replayed = await self.preferences.write_learned(profile_id, batch, key)
        if written.created_ids and not replayed:
            await self.guard.keep_or_take_back(profile_id, written.created_ids)
        return written


@dataclass(frozen=True)
class CountPreferences:
    """How many preferences a profile has, of either origin."""

    preferences: PreferenceRepository

    async def __call__(self, profile_id: str) -> int:
        return await self.preferences.count(profile_id)


def _stamped(draft: Preference, origin: Origin, now: datetime) -> Preference:
    return replace(draft, id=str(uuid4()), origin=origin, create_time=now, update_time=now, etag=new_etag())


def _position(decoded: Sequence[str | int | float] | None) -> Position | None:
    if decoded is None:
        return None
    create_time, preference_id = decoded
    return datetime.fromisoformat(str(create_time)), str(preference_id)


def _contended(profile_id: str, preference_id: str) -> Aborted:
    name = child_name(profile_id, COLLECTION, preference_id)
    return Aborted(f"{name} is being changed by other calls: try again")
