"""Recommend from copies, over real services: nothing that a listener did or changed is ever overlooked."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import grpc
import pytest
from eventually import eventually
from google.protobuf.field_mask_pb2 import FieldMask
from harness import reason, serving, socket_address
from recommend_mesh import AS_WHO, PARENT, Mesh, Preference, Request, Variable, degraded

from rhythmiq.mesh.v1 import changes_pb2
from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2, profile_pb2_grpc
from rhythmiq.recommender.v1 import block_pb2, block_pb2_grpc, recommender_pb2_grpc
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2, variable_pb2_grpc
from rhythmiq_mesh.mongo import connect, database

QUESTIONS = {"GetProfile": "profile", "ListPreferences": "preference", "GetEnvironment": "variable"}
CODE = grpc.StatusCode
Handlers: TypeAlias = "dict[str, grpc.RpcMethodHandler[bytes, bytes]]"


@pytest.fixture
def asked(caplog: pytest.LogCaptureFixture) -> Callable[[], Counter[str]]:
    """Which services have been asked, and how often, since the last time."""
    caplog.set_level(logging.DEBUG, logger="rhythmiq.call")

    def count() -> Counter[str]:
        methods = [getattr(record, "method", "").rpartition("/")[2] for record in caplog.records]
        caplog.clear()
        return Counter(QUESTIONS[method] for method in methods if method in QUESTIONS)

    return count


@pytest.fixture
async def warm(ready: Mesh, asked: Callable[[], Counter[str]]) -> Mesh:
    """A mesh that answers the listener from copies."""
    await ready.like(Preference.GENRE, "jazz", 0.5)
    await ready.observe(Variable.AMBIENT_NOISE, age=timedelta(0), number=40.0)
    await until_copied(ready, asked)
    return ready


async def until_copied(mesh: Mesh, asked: Callable[[], Counter[str]], *services: str) -> None:
    """Until an answer asks none of the services, by default of all."""

    async def copied() -> bool:
        asked()
        await mesh.recommend()
        return not set(asked()) & set(services or QUESTIONS.values())

    await eventually(copied)


async def weights(mesh: Mesh) -> dict[str, float]:
    return {use.value: use.weight for use in (await mesh.recommend()).preferences}


async def noise(mesh: Mesh) -> float | None:
    uses = (await mesh.recommend()).environment
    return next((use.value.ambient_noise_dba for use in uses if use.kind == Variable.AMBIENT_NOISE), None)


def preferences(mesh: Mesh, service: str = "preference") -> Any:
    return preference_pb2_grpc.PreferenceServiceStub(mesh.channels[service])


def variables(mesh: Mesh) -> Any:
    return variable_pb2_grpc.VariableServiceStub(mesh.channels["variable"])


async def stored_preference(mesh: Mesh) -> Preference:
    listed = await preferences(mesh).ListPreferences(
        preference_pb2.ListPreferencesRequest(parent=PARENT), metadata=AS_WHO
    )
    found: Preference = listed.preferences[0]
    return found


async def weigh(mesh: Mesh, name: str, weight: float, service: str = "preference") -> None:
    changed = preference_pb2.UpdatePreferenceRequest(preference=Preference(name=name, weight=weight))
    await preferences(mesh, service).UpdatePreference(changed, metadata=AS_WHO)


async def test_an_answer_from_copies_is_the_same_answer(warm: Mesh, asked: Callable[[], Counter[str]]) -> None:
    asked()
    copied = await warm.recommend(seed=1)
    assert not asked()
    async with serving(warm.server("recommender", listen=socket_address(), copied_profiles=0)) as channel:
        stub = recommender_pb2_grpc.RecommenderServiceStub(channel)
        plain = await stub.Recommend(Request(parent=PARENT, seed=1), metadata=AS_WHO, timeout=20)
    assert asked() == {"profile": 1, "preference": 1, "variable": 1}
    for answer in (copied, plain):
        # The time of day moves on between the two.
        del answer.environment[:]
        del answer.recommendations[:]
    assert copied == plain


async def test_every_change_of_a_preference_counts_at_once(warm: Mesh) -> None:
    name = (await stored_preference(warm)).name
    for step in range(50):
        await weigh(warm, name, step / 100 + 0.01)
        assert await weights(warm) == {"jazz": pytest.approx(step / 100 + 0.01)}
    await preferences(warm).DeletePreference(preference_pb2.DeletePreferenceRequest(name=name), metadata=AS_WHO)
    assert await weights(warm) == {}
    await warm.like(Preference.GENRE, "folk", 0.3)
    assert await weights(warm) == {"folk": pytest.approx(0.3)}
    learned = internal_pb2.BatchWriteLearnedPreferencesRequest(
        parent=PARENT, preferences=[Preference(type=Preference.ARTIST, value="folk artist 1", weight=0.8)]
    )
    await internal_pb2_grpc.PreferenceInternalServiceStub(warm.channels["preference"]).BatchWriteLearnedPreferences(
        learned, metadata=AS_WHO
    )
    assert set(await weights(warm)) == {"folk", "folk artist 1"}


async def test_a_change_to_an_answer_that_was_copied_counts_at_once(
    warm: Mesh, asked: Callable[[], Counter[str]]
) -> None:
    name = (await stored_preference(warm)).name
    for weight in (0.9, 0.1):
        await until_copied(warm, asked)
        await weigh(warm, name, weight)
        assert await weights(warm) == {"jazz": pytest.approx(weight)}


async def test_a_reading_an_opt_out_and_a_profile_count_at_once(warm: Mesh) -> None:
    for number in range(20):
        reading = variable_pb2.Reading(kind=Variable.AMBIENT_NOISE, source="test", number=50.0 + number)
        reading.observe_time.FromDatetime(datetime.now(UTC))
        await variables(warm).RecordReading(
            variable_pb2.RecordReadingRequest(parent=PARENT, reading=reading), metadata=AS_WHO
        )
        assert await noise(warm) == 50.0 + number
    listed = await variables(warm).ListVariables(variable_pb2.ListVariablesRequest(parent=PARENT), metadata=AS_WHO)
    gone = variable_pb2.DeleteVariableRequest(name=listed.variables[0].name)
    await variables(warm).DeleteVariable(gone, metadata=AS_WHO)
    assert await noise(warm) is None
    assert [use.kind for use in (await warm.recommend()).environment] == [Variable.LOCAL_TIME]
    nowhere = profile_pb2.UpdateProfileRequest(
        profile=profile_pb2.Profile(name=PARENT), update_mask=FieldMask(paths=["time_zone"])
    )
    await profile_pb2_grpc.ProfileServiceStub(warm.channels["profile"]).UpdateProfile(nowhere, metadata=AS_WHO)
    assert list((await warm.recommend()).environment) == []


async def test_a_block_counts_at_once_and_so_does_its_end(warm: Mesh) -> None:
    stub: Any = block_pb2_grpc.BlockServiceStub(warm.channels["recommender"])

    async def first() -> str:
        return (await warm.recommend(count=1)).recommendations[0].item.name

    favourite = await first()
    for _ in range(5):
        blocked = block_pb2.CreateBlockRequest(parent=PARENT, block=block_pb2.Block(item=favourite))
        block = await stub.CreateBlock(blocked, metadata=AS_WHO)
        assert await first() != favourite
        await stub.DeleteBlock(block_pb2.DeleteBlockRequest(name=block.name), metadata=AS_WHO)
        assert await first() == favourite


async def test_a_shorter_retention_counts_at_once(warm: Mesh, asked: Callable[[], Counter[str]]) -> None:
    await warm.observe(Variable.PLACE_TYPE, age=timedelta(minutes=59), place_type=environment_pb2.Environment.HOME)
    await until_copied(warm, asked)
    listed = await variables(warm).ListVariables(variable_pb2.ListVariablesRequest(parent=PARENT), metadata=AS_WHO)
    (variable,) = (found for found in listed.variables if found.kind == Variable.PLACE_TYPE)
    assert Variable.PLACE_TYPE in [use.kind for use in (await warm.recommend()).environment]
    # One hour is the shortest there is, and the reading reaches it within the minute; it is stale by then anyway.
    variable.retention.FromSeconds(3600)
    await variables(warm).UpdateVariable(variable_pb2.UpdateVariableRequest(variable=variable), metadata=AS_WHO)
    asked()
    await warm.recommend()
    assert asked()["variable"] == 1


async def test_a_reading_expires_although_it_is_copied(ready: Mesh, asked: Callable[[], Counter[str]]) -> None:
    hour = timedelta(hours=1)
    variable = Variable(kind=Variable.WEATHER, consent_version="1")
    variable.retention.FromTimedelta(hour)
    await variables(ready).CreateVariable(
        variable_pb2.CreateVariableRequest(parent=PARENT, variable=variable), metadata=AS_WHO
    )
    reading = variable_pb2.Reading(kind=Variable.WEATHER, source="test", weather=environment_pb2.Environment.RAIN)
    observed = datetime.now(UTC) - hour + timedelta(seconds=6)
    reading.observe_time.FromDatetime(observed)
    await variables(ready).RecordReading(
        variable_pb2.RecordReadingRequest(parent=PARENT, reading=reading), metadata=AS_WHO
    )

    async def kinds() -> list[int]:
        return [use.kind for use in (await ready.recommend()).environment]

    await until_copied(ready, asked)
    seen = await kinds()
    # Unless this machine was too slow to see it as a copy at all.
    assert Variable.WEATHER in seen or datetime.now(UTC) > observed + hour

    async def expired() -> bool:
        return Variable.WEATHER not in await kinds()

    await eventually(expired)
    assert datetime.now(UTC) >= observed + hour


async def test_a_copied_reading_grows_older(warm: Mesh, asked: Callable[[], Counter[str]]) -> None:
    async def age() -> float:
        (use,) = (use for use in (await warm.recommend()).environment if use.kind == Variable.AMBIENT_NOISE)
        return float(use.age.seconds + use.age.nanos / 1e9)

    asked()
    first = await age()

    async def older() -> bool:
        return await age() > first + 0.2

    await eventually(older)
    assert not asked()


async def test_a_deleted_profile_is_gone_at_once(warm: Mesh, asked: Callable[[], Counter[str]]) -> None:
    await preferences(warm).DeletePreference(
        preference_pb2.DeletePreferenceRequest(name=(await stored_preference(warm)).name), metadata=AS_WHO
    )
    listed = await variables(warm).ListVariables(variable_pb2.ListVariablesRequest(parent=PARENT), metadata=AS_WHO)
    for variable in listed.variables:
        await variables(warm).DeleteVariable(variable_pb2.DeleteVariableRequest(name=variable.name), metadata=AS_WHO)
    await until_copied(warm, asked)
    await profile_pb2_grpc.ProfileServiceStub(warm.channels["profile"]).DeleteProfile(
        profile_pb2.DeleteProfileRequest(name=PARENT), metadata=AS_WHO
    )
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await warm.recommend()
    assert (refused.value.code(), reason(refused.value)) == (CODE.NOT_FOUND, "PROFILE_NOT_FOUND")


async def test_a_change_by_another_replica_counts_within_moments(warm: Mesh, asked: Callable[[], Counter[str]]) -> None:
    name = (await stored_preference(warm)).name
    async with serving(warm.server("preference", listen=socket_address())) as other:
        warm.channels["other"] = other
        for weight in (0.9, 0.1, 0.7):
            await until_copied(warm, asked)
            await weigh(warm, name, weight, "other")

            async def counts(expected: float = weight) -> bool:
                return await weights(warm) == {"jazz": pytest.approx(expected)}

            # Far less than a copy lives.
            await eventually(counts, seconds=10)


async def test_what_storage_removes_by_itself_counts_within_moments(warm: Mesh, mongo_uri: str) -> None:
    """As upkeep and expiry do, in whatever process."""
    async with connect(mongo_uri, app="test") as client:
        store = database(client, f"{warm.database}_variable")
        await store["variables"].update_many({}, {"$unset": {"latest": ""}})

        async def forgotten() -> bool:
            return await noise(warm) is None

        await eventually(forgotten, seconds=10)


@pytest.mark.parametrize(
    ("service", "subject"), [("profile", "profile"), ("preference", "preferences"), ("variable", "environment")]
)
async def test_a_stopped_service_degrades_answers_that_were_copied_and_comes_back(
    warm: Mesh, asked: Callable[[], Counter[str]], service: str, subject: str
) -> None:
    await warm.stop(service)

    async def lacks() -> bool:
        return degraded(await warm.recommend()) == {subject: "SERVICE_UNAVAILABLE"}

    await eventually(lacks, seconds=5)
    assert await lacks()
    await warm.start(service)
    await until_copied(warm, asked)
    assert degraded(await warm.recommend()) == {}


class Quiet:
    """A preference service that vouches for copies once, and then never says anything again."""

    def __init__(self) -> None:
        self.asked = 0

    async def list_preferences(self, request: bytes, context: object) -> bytes:
        self.asked += 1
        return preference_pb2.ListPreferencesResponse().SerializeToString()

    async def watch_changes(self, requests: AsyncIterator[bytes], context: object) -> AsyncIterator[bytes]:
        yield changes_pb2.WatchChangesResponse().SerializeToString()
        await asyncio.Event().wait()

    def serve(self, server: grpc.aio.Server, *, tells: bool) -> None:
        listing: Handlers = {"ListPreferences": grpc.unary_unary_rpc_method_handler(self.list_preferences)}
        telling: Handlers = {"WatchChanges": grpc.stream_stream_rpc_method_handler(self.watch_changes)} if tells else {}
        server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler("rhythmiq.preference.v1.PreferenceService", listing),
                grpc.method_handlers_generic_handler("rhythmiq.mesh.v1.ChangeFeedService", telling),
            ]
        )


@pytest.mark.parametrize("tells", [True, False])
async def test_without_a_feed_that_works_every_answer_asks(ready: Mesh, tells: bool) -> None:
    quiet, address, server = Quiet(), socket_address(), grpc.aio.server()
    quiet.serve(server, tells=tells)
    server.add_insecure_port(address)
    await server.start()
    try:
        beside = ready.server("recommender", listen=socket_address(), preference_address=address)
        async with serving(beside) as channel:
            ready.channels["recommender"] = channel

            async def all_ask() -> bool:
                before = quiet.asked
                for _ in range(3):
                    assert degraded(await ready.recommend()) == {}
                return quiet.asked == before + 3

            await eventually(all_ask)
            # With a feed that only began, copies were used until it had been silent for too long.
            assert await all_ask()
    finally:
        await server.stop(None)
