"""A profile and its children over the real servers of both."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address
from pydantic import SecretStr

import rhythmiq_preference.bootstrap
import rhythmiq_profile.bootstrap
from rhythmiq.preference.v1 import preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_preference.model import Origin, Type
from rhythmiq_preference.model import Preference as Stored
from rhythmiq_preference.mongo import MongoPreferences
from rhythmiq_profile.config import ProfileSettings

if TYPE_CHECKING:
    Stubs = tuple[profile_pb2_grpc.ProfileServiceAsyncStub, preference_pb2_grpc.PreferenceServiceAsyncStub]

ROUNDS = 200
AT_ONCE = 10
CREATES = 3
Preference = preference_pb2.Preference
REFUSALS_OF_CREATE = {"PROFILE_NOT_FOUND", "PROFILE_NOT_ACTIVE"}
REFUSALS_OF_DELETE = {"PROFILE_HAS_CHILDREN"}


@pytest.fixture
async def stubs(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Stubs]:
    common: dict[str, Any] = {"mongo_uri": SecretStr(mongo_uri), "page_token_key": SecretStr(PAGE_TOKEN_KEY)}
    profile_address, preference_address = socket_address(), socket_address()
    profile = ProfileSettings(
        listen=profile_address,
        mongo_database=f"{mongo_database_name}_profile",
        children_addresses=[preference_address],
        **common,
    )
    preference = PreferenceSettings(
        listen=preference_address,
        mongo_database=f"{mongo_database_name}_preference",
        profile_address=profile_address,
        upkeep_seconds=0.05,
        **common,
    )
    async with (
        serving(rhythmiq_profile.bootstrap.bootstrap(profile)) as profiles,
        serving(rhythmiq_preference.bootstrap.bootstrap(preference)) as preferences,
    ):
        yield (
            profile_pb2_grpc.ProfileServiceStub(profiles),
            preference_pb2_grpc.PreferenceServiceStub(preferences),
        )


class Listener:
    """One user of both services."""

    def __init__(self, stubs: Stubs) -> None:
        self._profiles, self._preferences = stubs
        who = f"user-{uuid.uuid4()}"
        self.profile_id = profile_id(who)
        self._name = f"profiles/{self.profile_id}"
        self._call: dict[str, Any] = {"metadata": metadata(who), "timeout": 30}

    async def create_profile(self) -> None:
        profile = profile_pb2.Profile(email=f"{uuid.uuid4()}@example.org")
        await self._profiles.CreateProfile(profile_pb2.CreateProfileRequest(profile=profile), **self._call)

    async def delete_profile(self) -> str:
        """The reason of the refusal, or nothing."""
        request = profile_pb2.DeleteProfileRequest(name=self._name)
        return await _refusal(self._profiles.DeleteProfile(request, **self._call))

    async def has_profile(self) -> bool:
        request = profile_pb2.GetProfileRequest(name=self._name)
        return not await _refusal(self._profiles.GetProfile(request, **self._call))

    async def create_preference(self, value: str) -> str:
        """The reason of the refusal, or nothing."""
        preference = Preference(type=Preference.GENRE, value=value, weight=0.5)
        request = preference_pb2.CreatePreferenceRequest(parent=self._name, preference=preference)
        return await _refusal(self._preferences.CreatePreference(request, **self._call))

    async def preferences(self) -> list[Preference]:
        request = preference_pb2.ListPreferencesRequest(parent=self._name)
        return list((await self._preferences.ListPreferences(request, **self._call)).preferences)

    async def delete_preferences(self) -> None:
        for preference in await self.preferences():
            request = preference_pb2.DeletePreferenceRequest(name=preference.name)
            await self._preferences.DeletePreference(request, **self._call)


async def _refusal(call: Any) -> str:
    try:
        await call
    except grpc.aio.AioRpcError as error:
        return reason(error) or str(error.code())
    return ""


async def _race(stubs: Stubs, lead: int) -> str:
    """Deletes a profile while preferences are created below it, `lead` of them a moment earlier; who won."""
    listener = Listener(stubs)
    await listener.create_profile()
    early = [asyncio.create_task(listener.create_preference(f"genre {n}")) for n in range(lead)]
    # Lets the early ones get under way, more or less far from round to round.
    for _ in range(lead * 20):
        await asyncio.sleep(0)
    deletion = asyncio.create_task(listener.delete_profile())
    late = [asyncio.create_task(listener.create_preference(f"genre {n}")) for n in range(lead, CREATES)]
    creations = await asyncio.gather(*early, *late)
    refused = await deletion

    stored = await listener.preferences()
    assert await listener.has_profile() == bool(refused)
    assert set(creations) <= {"", *REFUSALS_OF_CREATE}
    assert len(stored) == creations.count("")
    if not refused:
        assert not stored
        return "deleted"
    assert refused in REFUSALS_OF_DELETE
    return "kept" if stored else "neither"


async def test_profile_and_preference_race_leaves_no_orphan_and_loses_no_profile(stubs: Stubs) -> None:
    free = asyncio.Semaphore(AT_ONCE)

    async def one(number: int) -> str:
        async with free:
            return await _race(stubs, lead=number % CREATES)

    outcomes = await asyncio.gather(*(one(number) for number in range(ROUNDS)))
    # Both must have won some, or it was no race.
    assert {"deleted", "kept"} <= set(outcomes)


async def test_profile_can_be_deleted_once_its_preferences_are_and_begins_anew(stubs: Stubs) -> None:
    listener = Listener(stubs)
    assert await listener.create_preference("rock") == "PROFILE_NOT_FOUND"
    await listener.create_profile()
    for value in ("rock", "pop"):
        assert await listener.create_preference(value) == ""
    assert await listener.delete_profile() == "PROFILE_HAS_CHILDREN"
    await listener.delete_preferences()
    assert await listener.delete_profile() == ""
    assert await listener.create_preference("rock") == "PROFILE_NOT_FOUND"
    await listener.create_profile()
    assert await listener.preferences() == []


async def test_what_a_killed_process_left_without_a_profile_is_removed(
    stubs: Stubs, mongo_uri: str, mongo_database_name: str
) -> None:
    orphaned, kept = Listener(stubs), Listener(stubs)
    await kept.create_profile()
    client = connect(mongo_uri, app="test")
    repository = MongoPreferences(database(client, f"{mongo_database_name}_preference"))
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    for listener in (kept, orphaned):
        preference = Stored(
            *(str(uuid.uuid4()), listener.profile_id, Type.GENRE, "rock", 0.5, Origin.SET, long_ago, long_ago, "etag")
        )
        await repository.create(preference, None)
    async with asyncio.timeout(20):
        while True:
            if not await repository.unconfirmed(long_ago + timedelta(seconds=1), 2):
                break
            await asyncio.sleep(0.02)
    await client.close()
    assert await orphaned.preferences() == []
    assert len(await kept.preferences()) == 1
