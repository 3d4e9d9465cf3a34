from __future__ import annotations

import asyncio
import os
import signal
import sys
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import grpc
import pytest
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address, until_serving
from pydantic import SecretStr

from rhythmiq.preference.v1 import preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq_preference.model import LIMIT
from rhythmiq_profile.bootstrap import bootstrap
from rhythmiq_profile.config import ProfileSettings

PROCESSES = 3
CREATES = 300
Preference = preference_pb2.Preference


@pytest.fixture
async def channels(mongo_uri: str, mongo_database_name: str, tmp_path: Path) -> AsyncIterator[list[grpc.aio.Channel]]:
    """Channels to a profile service in this process and to PROCESSES preference services in their own."""
    addresses = [socket_address() for _ in range(PROCESSES)]
    profile = ProfileSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongo_uri),
        mongo_database=f"{mongo_database_name}_profile",
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        children_addresses=addresses[:1],
    )
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(serving(bootstrap(profile)))]
        for number, address in enumerate(addresses):
            environment = {
                "RHYTHMIQ_PREFERENCE_LISTEN": address,
                "RHYTHMIQ_PREFERENCE_MONGO_URI": mongo_uri,
                "RHYTHMIQ_PREFERENCE_MONGO_DATABASE": mongo_database_name,
                "RHYTHMIQ_PREFERENCE_PAGE_TOKEN_KEY": PAGE_TOKEN_KEY,
                "RHYTHMIQ_PREFERENCE_PROFILE_ADDRESS": profile.listen,
            }
            with (tmp_path / f"preference-{number}.log").open("wb") as log:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, "-m", "rhythmiq_preference"), env=os.environ | environment, stdout=log, stderr=log
                )
            stack.push_async_callback(_end, process)
            channels.append(await stack.enter_async_context(grpc.aio.insecure_channel(address)))
        for channel in channels:
            await until_serving(channel)
        yield channels


async def _end(process: asyncio.subprocess.Process) -> None:
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 30) == 0


async def test_of_300_creates_at_once_in_three_processes_exactly_100_stay(channels: list[grpc.aio.Channel]) -> None:
    who = f"user-{uuid.uuid4()}"
    call: dict[str, Any] = {"metadata": metadata(who), "timeout": 60}
    parent = f"profiles/{profile_id(who)}"
    profile = profile_pb2.Profile(email=f"{uuid.uuid4()}@example.org")
    profiles = profile_pb2_grpc.ProfileServiceStub(channels[0])
    await profiles.CreateProfile(profile_pb2.CreateProfileRequest(profile=profile), **call)
    stubs = [preference_pb2_grpc.PreferenceServiceStub(channel) for channel in channels[1:]]

    async def create(number: int) -> Preference:
        preference = Preference(type=Preference.GENRE, value=f"genre {number}", weight=0.5)
        request = preference_pb2.CreatePreferenceRequest(parent=parent, preference=preference)
        return await stubs[number % PROCESSES].CreatePreference(request, **call)

    results = await asyncio.gather(*(create(number) for number in range(CREATES)), return_exceptions=True)

    created = {result.name for result in results if isinstance(result, Preference)}
    refusals = Counter((e.code(), reason(e)) for e in results if isinstance(e, grpc.aio.AioRpcError))
    limit = (grpc.StatusCode.RESOURCE_EXHAUSTED, "PREFERENCE_LIMIT_REACHED")
    assert refusals == {limit: CREATES - LIMIT}
    assert len(created) == LIMIT
    listed = await stubs[0].ListPreferences(preference_pb2.ListPreferencesRequest(parent=parent, page_size=200), **call)
    assert sorted(each.name for each in listed.preferences) == sorted(created)

    await stubs[1].DeletePreference(preference_pb2.DeletePreferenceRequest(name=created.pop()), **call)
    again = await asyncio.gather(*(create(CREATES + number) for number in range(PROCESSES)), return_exceptions=True)
    assert sum(isinstance(result, Preference) for result in again) == 1
