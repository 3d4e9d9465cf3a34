"""The shared server, interceptors and channels over a real socket, with servicers that do what the test needs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address, until_serving
from mongod import Mongod
from pydantic import SecretStr

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc
from rhythmiq_mesh.channels import invoke, open_channel
from rhythmiq_mesh.config import ServiceSettings
from rhythmiq_mesh.deadline import remaining, set_deadline
from rhythmiq_mesh.errors import DeadlineExceeded, MeshError, NotFound, Unavailable
from rhythmiq_mesh.interceptors.errors import RemoteError
from rhythmiq_mesh.mongo import connect, database, operation, ping, read
from rhythmiq_mesh.principal import Principal, current_principal, set_principal
from rhythmiq_mesh.server import MAX_MESSAGE_BYTES, Server, Service

Code = grpc.StatusCode
NAME = "profiles/00000000-0000-5000-8000-000000000000"
REQUEST = internal_pb2.GetProfileStateRequest(name=NAME)
Handle = Callable[[], Awaitable[int]]


class Servicer(internal_pb2_grpc.ProfileInternalServiceServicer):
    """Answers with what `handle` returns, as a state number."""

    def __init__(self, handle: Handle) -> None:
        self._handle = handle

    async def GetProfileState(
        self, request: internal_pb2.GetProfileStateRequest, context: object
    ) -> internal_pb2.GetProfileStateResponse:
        return internal_pb2.GetProfileStateResponse(state=await self._handle())  # type: ignore[arg-type]


def server(handle: Handle, **parts: Any) -> Server:
    settings = ServiceSettings(
        listen=socket_address(),
        mongo_uri=SecretStr("mongodb://unused"),
        mongo_database="unused",
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        **parts.pop("settings", {}),
    )
    descriptor = internal_pb2.DESCRIPTOR.services_by_name["ProfileInternalService"]
    add = partial(internal_pb2_grpc.add_ProfileInternalServiceServicer_to_server, Servicer(handle))
    return Server(settings, [Service(descriptor, add)], **parts)


async def call(channel: grpc.aio.Channel, **options: Any) -> internal_pb2.GetProfileStateResponse:
    stub = internal_pb2_grpc.ProfileInternalServiceStub(channel)
    answer: internal_pb2.GetProfileStateResponse = await stub.GetProfileState(REQUEST, **{"timeout": 10} | options)
    return answer


async def test_unexpected_failure_is_internal_and_tells_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> int:
        raise ValueError("mongodb://secret-host/ leaked")

    async with serving(server(broken)) as channel:
        with caplog.at_level(logging.ERROR), pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    assert caught.value.code() == Code.INTERNAL
    assert "secret-host" not in str(caught.value.details())
    assert "secret-host" in caplog.text


async def test_handler_sees_the_callers_deadline_and_identity() -> None:
    seen: list[tuple[float, str]] = []

    async def look() -> int:
        seen.append((remaining(60), current_principal().profile_id))
        return 1

    async with serving(server(look)) as channel:
        await call(channel, timeout=7, metadata=metadata("ada"))
    left, who = seen[0]
    assert 0 < left < 8
    assert who == profile_id("ada")


async def test_identity_of_one_call_never_shows_in_another() -> None:
    async def look() -> int:
        await asyncio.sleep(0)
        return 1 if current_principal().subject == "ada" else 2

    async with serving(server(look)) as channel:
        subjects = ["ada", "bob"] * 50
        answers = await asyncio.gather(*(call(channel, metadata=metadata(subject)) for subject in subjects))
        assert [answer.state for answer in answers] == [1, 2] * 50
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    assert caught.value.code() == Code.UNAUTHENTICATED


async def test_peer_gets_what_remains_of_the_deadline_and_the_same_caller() -> None:
    seen: list[tuple[float, str]] = []

    async def inner() -> int:
        seen.append((remaining(60), current_principal().subject))
        return 1

    inner_server = server(inner)
    async with serving(inner_server):
        peer = open_channel(inner_server.settings.listen)
        stub = internal_pb2_grpc.ProfileInternalServiceStub(peer)

        async def outer() -> int:
            return (await invoke(stub.GetProfileState, REQUEST, timeout=30, peer="inner")).state

        async with serving(server(outer)) as channel:
            await call(channel, timeout=4, metadata=metadata("ada"))
        await peer.close()
    left, subject = seen[0]
    assert 0 < left < 5
    assert subject == "ada"


async def test_refusal_of_a_peer_is_handed_on_unchanged() -> None:
    async def refuse() -> int:
        raise NotFound("gone", resource_type="t", resource_name="n", reason="SEED_NOT_FOUND")

    inner_server = server(refuse)
    async with serving(inner_server):
        peer = open_channel(inner_server.settings.listen)
        stub = internal_pb2_grpc.ProfileInternalServiceStub(peer)

        async def outer() -> int:
            with pytest.raises(RemoteError):
                await invoke(stub.GetProfileState, REQUEST, timeout=5, peer="inner")
            return (await invoke(stub.GetProfileState, REQUEST, timeout=5, peer="inner")).state

        async with serving(server(outer)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(channel)
        await peer.close()
    assert (caught.value.code(), reason(caught.value)) == (Code.NOT_FOUND, "SEED_NOT_FOUND")


async def test_peer_that_is_away_is_unavailable_with_its_name_and_no_address() -> None:
    address = socket_address()
    peer = open_channel(address)
    set_principal(Principal("i", "s", frozenset(), "e30"))
    with pytest.raises(Unavailable) as caught:
        await invoke(
            internal_pb2_grpc.ProfileInternalServiceStub(peer).GetProfileState, REQUEST, timeout=2, peer="profile"
        )
    assert "profile" in caught.value.message
    assert address not in caught.value.message
    set_deadline(-1)
    with pytest.raises(DeadlineExceeded):
        await invoke(
            internal_pb2_grpc.ProfileInternalServiceStub(peer).GetProfileState, REQUEST, timeout=2, peer="profile"
        )
    await peer.close()


async def test_bad_request_never_reaches_the_handler() -> None:
    called: list[int] = []

    async def handle() -> int:
        called.append(1)
        return 1

    async with serving(server(handle)) as channel:
        stub = internal_pb2_grpc.ProfileInternalServiceStub(channel)
        for bad in ("", "profiles/X", NAME.upper(), NAME + "/", "profiles/" + "a" * 10_000):
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await stub.GetProfileState(internal_pb2.GetProfileStateRequest(name=bad))
            assert caught.value.code() == Code.INVALID_ARGUMENT
            assert len(caught.value.details() or "") < 300
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.GetProfileState(internal_pb2.GetProfileStateRequest(name="a" * MAX_MESSAGE_BYTES))
        assert caught.value.code() == Code.RESOURCE_EXHAUSTED
    assert not called


async def test_stop_finishes_what_is_in_flight() -> None:
    entered, release = asyncio.Event(), asyncio.Event()

    async def slow() -> int:
        entered.set()
        await release.wait()
        return 1

    running = server(slow)
    async with serving(running) as channel:
        answer = asyncio.create_task(call(channel))
        await entered.wait()
        running.stop()
        release.set()
        assert (await answer).state == 1


async def test_health_turns_not_serving_when_draining_begins() -> None:
    async def answer() -> int:
        return 1

    running = server(answer, settings={"drain_seconds": 0.3})
    async with serving(running) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
        running.stop()
        assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
        # Still answered: a load balancer needs a moment to notice.
        assert (await call(channel)).state == 1


async def test_start_step_is_repeated_until_the_dependency_is_there() -> None:
    attempts: list[int] = []

    async def step() -> None:
        attempts.append(1)
        if len(attempts) < 2:
            raise Unavailable("not yet")

    async def answer() -> int:
        return 1

    async with serving(server(answer, start=[step])):
        assert len(attempts) == 2


async def test_background_work_that_fails_starts_again() -> None:
    runs: asyncio.Queue[int] = asyncio.Queue()

    async def work() -> None:
        runs.put_nowait(1)
        raise RuntimeError("once more")

    async def answer() -> int:
        return 1

    async with serving(server(answer, background=[work])), asyncio.timeout(10):
        await runs.get()
        await runs.get()


async def test_broken_start_ends_the_process_with_its_error() -> None:
    async def step() -> None:
        raise RuntimeError("an index cannot be made")

    async def answer() -> int:
        return 1

    with pytest.raises(RuntimeError, match="index"):
        await asyncio.wait_for(server(answer, start=[step]).run(), 10)


async def test_health_follows_the_database(mongod: Mongod) -> None:
    client = connect(mongod.uri, app="test")

    async def answer() -> int:
        return 1

    async with serving(server(answer, checks=[partial(ping, client)], close=[client.close])) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        mongod.kill()
        async with asyncio.timeout(20):
            watch = stub.Watch(health_pb2.HealthCheckRequest())
            while (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING:
                pass
        await asyncio.to_thread(mongod.start)
        await until_serving(channel)


async def test_reflection_lists_the_services_only_where_it_is_on() -> None:
    async def answer() -> int:
        return 1

    async def ask() -> AsyncIterator[reflection_pb2.ServerReflectionRequest]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with serving(server(answer)) as channel:
        found = [r async for r in reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(ask())]
        names = {service.name for service in found[0].list_services_response.service}
        assert "rhythmiq.profile.v1.ProfileInternalService" in names
    async with serving(server(answer, settings={"reflection": False})) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(ask()).read()
        assert caught.value.code() == Code.UNIMPLEMENTED


async def test_mesh_error_without_a_class_of_its_own_is_internal() -> None:
    async def fail() -> int:
        raise MeshError("said to a person")

    async with serving(server(fail)) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(channel)
    assert (caught.value.code(), caught.value.details()) == (Code.INTERNAL, "said to a person")


async def test_callers_short_deadline_is_not_told_as_an_outage(mongo_uri: str) -> None:
    client = connect(mongo_uri, app="test")
    collection = database(client, "deadlines")["things"]
    await collection.insert_one({"slow": True})
    reasons = set()
    for milliseconds in range(1, 40):
        set_deadline(milliseconds / 1000)
        try:
            async with operation():
                # Takes the server some 50 ms.
                await collection.find_one({"$where": "sleep(50) || true"})
        except MeshError as error:
            reasons.add(error.reason)
    set_deadline(None)
    await client.close()
    assert reasons == {"DEADLINE_EXCEEDED"}


@pytest.mark.parametrize(("lost", "answered"), [(1, True), (2, False)])
async def test_read_whose_connection_is_lost_is_asked_again_once(mongod: Mongod, lost: int, answered: bool) -> None:
    client = connect(mongod.uri, app="test")
    collection = database(client, "reads")["things"]
    await collection.insert_one({"_id": "kept"})
    losing = {"failCommands": ["find"], "closeConnection": True}
    await client.admin.command({"configureFailPoint": "failCommand", "mode": {"times": lost}, "data": losing})
    if answered:
        assert await read(collection, {"_id": "kept"}, limit=1) == [{"_id": "kept"}]
    else:
        with pytest.raises(Unavailable):
            await read(collection, {"_id": "kept"}, limit=1)
    await client.close()
