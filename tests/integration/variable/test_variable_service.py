from __future__ import annotations

import asyncio
import uuid
from collections.abc import Awaitable
from typing import Any

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from variable_calls import Kind, Listener, ProfileService, noise, refused

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2
from rhythmiq.variable.v1 import variable_pb2

Code = grpc.StatusCode
DAY = 86_400


async def test_opt_in_says_what_was_agreed_to_and_when_with_unit_range_and_retention(listener: Listener) -> None:
    created = await listener.opt_in(Kind.AMBIENT_NOISE, consent_version="v2")
    assert created.name == f"{listener.name}/variables/{created.uid}"
    assert uuid.UUID(created.uid).version == 4
    assert (created.kind, created.consent_version, created.unit) == (Kind.AMBIENT_NOISE, "v2", "dB[A]")
    assert (created.min_value, created.max_value, created.retention.seconds) == (0, 140, 30 * DAY)
    assert created.HasField("min_value")
    assert created.consent_time == created.create_time == created.update_time
    assert await listener.get(created.name) == created


async def test_kind_that_is_no_number_has_neither_unit_nor_range(listener: Listener) -> None:
    created = await listener.opt_in(Kind.WEATHER)
    assert created.unit == ""
    assert not created.HasField("min_value")
    assert not created.HasField("max_value")


async def test_second_opt_in_to_a_kind_already_exists_under_concurrency_too(listener: Listener) -> None:
    results = await asyncio.gather(*(listener.opt_in() for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, variable_pb2.Variable) for result in results) == 1
    assert await refused(listener.opt_in()) == (Code.ALREADY_EXISTS, "VARIABLE_EXISTS")


async def test_replayed_opt_in_returns_the_first_answer_and_a_conflicting_one_is_refused(listener: Listener) -> None:
    request_id = str(uuid.uuid4())
    first = await listener.opt_in(request_id=request_id)
    assert await listener.opt_in(request_id=request_id) == first
    other = listener.opt_in(Kind.SPEED, request_id=request_id)
    assert await refused(other) == (Code.ALREADY_EXISTS, "REQUEST_ID_CONFLICT")


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": Kind.KIND_UNSPECIFIED},
        {"kind": 99},
        {"consent_version": ""},
        {"consent_version": "a b"},
        {"retention": Duration(seconds=3599)},
        {"retention": Duration(seconds=400 * DAY + 1)},
        {"request_id": "NOT-A-UUID"},
    ],
)
async def test_bad_opt_in_is_refused(listener: Listener, fields: dict[str, Any]) -> None:
    assert (await refused(listener.opt_in(**fields)))[0] == Code.INVALID_ARGUMENT


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (profile_pb2.Profile.STATE_UNSPECIFIED, (Code.NOT_FOUND, "PROFILE_NOT_FOUND")),
        (profile_pb2.Profile.DELETING, (Code.FAILED_PRECONDITION, "PROFILE_NOT_ACTIVE")),
    ],
)
async def test_opt_in_needs_an_active_profile_and_leaves_nothing_without(
    listener: Listener,
    profiles: ProfileService,
    state: profile_pb2.Profile.State.ValueType,
    expected: tuple[grpc.StatusCode, str],
) -> None:
    profiles.answers.states[listener.name] = state
    assert await refused(listener.opt_in()) == expected
    profiles.answers.states.clear()
    await listener.opt_in()


async def test_opt_in_with_the_profile_service_away_is_unavailable_and_leaves_nothing(
    listener: Listener, channel: grpc.aio.Channel, profiles: ProfileService
) -> None:
    await profiles.server.stop(None)
    assert (await refused(listener.opt_in()))[0] == Code.UNAVAILABLE
    assert await children(channel, listener.name) == {}


async def test_opt_in_racing_the_deletion_of_its_profile_leaves_no_orphan_200_times(
    listener: Listener, channel: grpc.aio.Channel, profiles: ProfileService
) -> None:
    states = profiles.answers.states
    outcomes = set()

    async def delete_profile(name: str, turns: int) -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        states[name] = profile_pb2.Profile.DELETING
        left = await children(channel, name)
        states[name] = profile_pb2.Profile.ACTIVE if left else profile_pb2.Profile.STATE_UNSPECIFIED

    async def race(turns: int) -> None:
        each = Listener(listener.stub)
        created, _ = await asyncio.gather(each.opt_in(), delete_profile(each.name, turns), return_exceptions=True)
        kept = isinstance(created, variable_pb2.Variable)
        gone = states[each.name] == profile_pb2.Profile.STATE_UNSPECIFIED
        assert await children(channel, each.name) == ({"variables": 1} if kept else {})
        assert not (kept and gone)
        outcomes.add((kept, gone))

    for start in range(0, 200, 10):
        await asyncio.gather(*(race(7 * turns) for turns in range(start, start + 10)))
    assert len(outcomes) > 1


async def test_children_are_counted_for_the_profile(listener: Listener, channel: grpc.aio.Channel) -> None:
    assert await children(channel, listener.name) == {}
    first = await listener.opt_in()
    await listener.opt_in(Kind.SPEED)
    assert await children(channel, listener.name) == {"variables": 2}
    await listener.opt_out(first.name)
    assert await children(channel, listener.name) == {"variables": 1}


async def children(channel: grpc.aio.Channel, parent: str) -> dict[str, int]:
    stub = internal_pb2_grpc.ProfileChildrenServiceStub(channel)
    answer = await stub.CountProfileChildren(internal_pb2.CountProfileChildrenRequest(parent=parent))
    return {kind.kind: kind.count for kind in answer.kinds}


async def test_variables_are_listed_oldest_first_in_pages(listener: Listener) -> None:
    names = [(await listener.opt_in(kind)).name for kind in (Kind.SPEED, Kind.ACTIVITY, Kind.WEATHER)]
    request = variable_pb2.ListVariablesRequest(parent=listener.name, page_size=2)
    first = await listener.stub.ListVariables(request, metadata=listener.metadata)
    request.page_token = first.next_page_token
    second = await listener.stub.ListVariables(request, metadata=listener.metadata)
    assert [v.name for v in (*first.variables, *second.variables)] == names
    assert second.next_page_token == ""
    request.page_token += "x"
    listing = listener.stub.ListVariables(request, metadata=listener.metadata)
    assert await refused(listing) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")


async def test_update_changes_the_retention_alone_and_makes_a_new_etag(listener: Listener) -> None:
    created = await listener.opt_in()
    patch = variable_pb2.Variable(name=created.name, retention=Duration(seconds=DAY), etag=created.etag)
    updated = await listener.update(patch, "retention")
    assert updated.retention.seconds == DAY
    assert updated.etag != created.etag
    assert updated.consent_time == created.consent_time
    assert await listener.get(created.name) == updated
    patch.etag = created.etag
    assert await refused(listener.update(patch)) == (Code.ABORTED, "ETAG_MISMATCH")
    assert await refused(listener.opt_out(created.name, created.etag)) == (Code.ABORTED, "ETAG_MISMATCH")


async def test_retention_in_the_mask_without_a_value_is_the_default_again(listener: Listener) -> None:
    created = await listener.opt_in(retention=Duration(seconds=DAY))
    assert created.retention.seconds == DAY
    updated = await listener.update(variable_pb2.Variable(name=created.name), "retention")
    assert updated.retention.seconds == 30 * DAY


@pytest.mark.parametrize(
    ("patch", "paths", "expected"),
    [
        ({"kind": Kind.SPEED}, [], "IMMUTABLE_FIELD"),
        ({"consent_version": "other"}, ["consent_version"], "IMMUTABLE_FIELD"),
        ({"retention": Duration(seconds=1)}, [], "INVALID_ARGUMENT"),
        ({"retention": Duration(seconds=DAY)}, ["ttl"], "UNKNOWN_MASK_PATH"),
        ({"unit": "K"}, ["unit"], "NOTHING_TO_CHANGE"),
        ({}, [], "NOTHING_TO_CHANGE"),
    ],
)
async def test_bad_patch_is_refused(listener: Listener, patch: dict[str, Any], paths: list[str], expected: str) -> None:
    created = await listener.opt_in()
    call = listener.update(variable_pb2.Variable(name=created.name, **patch), *paths)
    assert await refused(call) == (Code.INVALID_ARGUMENT, expected)
    assert await listener.get(created.name) == created


async def test_unknown_variable_is_not_found(listener: Listener) -> None:
    name = f"{listener.name}/variables/{uuid.uuid4()}"
    patch = variable_pb2.Variable(name=name, retention=Duration(seconds=DAY))
    calls: list[Awaitable[object]] = [listener.get(name), listener.opt_out(name), listener.update(patch)]
    for call in (*calls, listener.page(name)):
        assert await refused(call) == (Code.NOT_FOUND, "VARIABLE_NOT_FOUND")


async def test_another_listeners_resources_are_denied_existing_or_not(listener: Listener) -> None:
    other = Listener(listener.stub)
    existing = (await other.opt_in()).name
    missing = f"{other.name}/variables/{uuid.uuid4()}"
    mine = listener.name
    listener.name = other.name
    calls: list[Awaitable[object]] = [
        listener.opt_in(),
        listener.record(noise(1)),
        listener.batch([noise(1)]),
        listener.stream([noise(1)]),
    ]
    calls += [listener.environment()]
    for name in (existing, missing):
        patch = variable_pb2.Variable(name=name, retention=Duration(seconds=DAY))
        calls += [listener.get(name), listener.opt_out(name), listener.page(name), listener.update(patch)]
    for call in calls:
        assert await refused(call) == (Code.PERMISSION_DENIED, "NOT_OWNER")
    assert mine != listener.name
    assert await other.readings(existing) == []


async def test_without_a_verified_token_nothing_is_answered(listener: Listener) -> None:
    listener.metadata = ()
    for call in (listener.opt_in(), listener.environment(), listener.record(noise(1)), listener.stream([noise(1)])):
        assert (await refused(call))[0] == Code.UNAUTHENTICATED
