from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any, TypeAlias

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address
from pydantic import SecretStr

from rhythmiq.profile.v1 import internal_pb2, internal_pb2_grpc, profile_pb2, profile_pb2_grpc
from rhythmiq_profile.bootstrap import bootstrap
from rhythmiq_profile.config import ProfileSettings

if TYPE_CHECKING:
    Stub = profile_pb2_grpc.ProfileServiceAsyncStub

Code = grpc.StatusCode
Children: TypeAlias = "tuple[str, Counts, grpc.aio.Server]"


class Counts(internal_pb2_grpc.ProfileChildrenServiceServicer):
    """A child service whose counts the test sets."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    async def CountProfileChildren(
        self, request: internal_pb2.CountProfileChildrenRequest, context: object
    ) -> internal_pb2.CountProfileChildrenResponse:
        kind = internal_pb2.CountProfileChildrenResponse.KindCount
        return internal_pb2.CountProfileChildrenResponse(kinds=[kind(kind=k, count=n) for k, n in self.counts.items()])


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    address, counts = socket_address(), Counts()
    server = grpc.aio.server()
    internal_pb2_grpc.add_ProfileChildrenServiceServicer_to_server(counts, server)
    server.add_insecure_port(address)
    await server.start()
    yield address, counts, server
    await server.stop(None)


@pytest.fixture
async def channel(mongo_uri: str, mongo_database_name: str, children: Children) -> AsyncIterator[grpc.aio.Channel]:
    settings = ProfileSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongo_uri),
        mongo_database=mongo_database_name,
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        children_addresses=[children[0]],
    )
    async with serving(bootstrap(settings)) as channel:
        yield channel


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return profile_pb2_grpc.ProfileServiceStub(channel)


def subject() -> str:
    return f"user-{uuid.uuid4()}"


def draft(**fields: Any) -> profile_pb2.Profile:
    return profile_pb2.Profile(**{"email": f"{uuid.uuid4()}@example.org", **fields})


async def create(stub: Stub, who: str, **fields: Any) -> profile_pb2.Profile:
    return await stub.CreateProfile(
        profile_pb2.CreateProfileRequest(profile=draft(**fields)), metadata=metadata(who), timeout=10
    )


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason(caught.value)


async def test_profile_has_the_id_that_follows_from_issuer_and_subject(stub: Stub) -> None:
    who = subject()
    created = await create(stub, who, display_name="Ada", time_zone="Europe/Vienna", locale="de-AT", learned_weight=0)
    assert created.name == f"profiles/{profile_id(who)}"
    assert created.uid == profile_id(who)
    assert created.state == profile_pb2.Profile.ACTIVE
    assert created.HasField("learned_weight")
    read = await stub.GetProfile(profile_pb2.GetProfileRequest(name=created.name), metadata=metadata(who))
    assert read == created


async def test_second_create_by_the_same_user_already_exists(stub: Stub) -> None:
    who = subject()
    await create(stub, who)
    request = profile_pb2.CreateProfileRequest(profile=draft())
    assert await refused(stub.CreateProfile(request, metadata=metadata(who))) == (
        Code.ALREADY_EXISTS,
        "PROFILE_EXISTS",
    )


@pytest.mark.parametrize(
    ("first", "second"),
    [("Straße{}@example.org", "STRASSE{}@example.org"), ("jose\u0301{}@example.org", "JOSÉ{}@EXAMPLE.org")],
)
async def test_email_is_unique_case_folded_and_normalised(stub: Stub, first: str, second: str) -> None:
    unique = uuid.uuid4().hex
    await create(stub, subject(), email=first.format(unique))
    request = profile_pb2.CreateProfileRequest(profile=draft(email=second.format(unique)))
    assert await refused(stub.CreateProfile(request, metadata=metadata(subject()))) == (
        Code.ALREADY_EXISTS,
        "EMAIL_TAKEN",
    )


async def test_concurrent_creates_with_one_email_make_one_profile(stub: Stub) -> None:
    email = f"{uuid.uuid4()}@example.org"
    results = await asyncio.gather(*(create(stub, subject(), email=email) for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, profile_pb2.Profile) for result in results) == 1
    codes = {error.code() for error in results if isinstance(error, grpc.aio.AioRpcError)}
    assert codes == {Code.ALREADY_EXISTS}


async def test_replayed_request_id_returns_the_first_answer_and_a_conflicting_one_is_refused(stub: Stub) -> None:
    who, request_id = subject(), str(uuid.uuid4())
    request = profile_pb2.CreateProfileRequest(profile=draft(display_name="a"), request_id=request_id)
    first = await stub.CreateProfile(request, metadata=metadata(who))
    assert await stub.CreateProfile(request, metadata=metadata(who)) == first
    request.profile.display_name = "b"
    assert await refused(stub.CreateProfile(request, metadata=metadata(who))) == (
        Code.ALREADY_EXISTS,
        "REQUEST_ID_CONFLICT",
    )


async def test_concurrent_replays_create_once_and_all_get_the_same_answer(stub: Stub) -> None:
    who = subject()
    request = profile_pb2.CreateProfileRequest(profile=draft(), request_id=str(uuid.uuid4()))
    answers = await asyncio.gather(*(stub.CreateProfile(request, metadata=metadata(who)) for _ in range(10)))
    assert len({answer.etag for answer in answers}) == 1


async def test_another_listeners_profile_is_denied_existing_or_not(stub: Stub) -> None:
    created = await create(stub, subject())
    for name in (created.name, f"profiles/{uuid.uuid4()}"):
        for call in (
            stub.GetProfile(profile_pb2.GetProfileRequest(name=name), metadata=metadata(subject())),
            stub.DeleteProfile(profile_pb2.DeleteProfileRequest(name=name), metadata=metadata(subject())),
            stub.UpdateProfile(
                profile_pb2.UpdateProfileRequest(profile=profile_pb2.Profile(name=name, display_name="x")),
                metadata=metadata(subject()),
            ),
        ):
            assert await refused(call) == (Code.PERMISSION_DENIED, "NOT_OWNER")


async def test_without_a_verified_token_nothing_is_answered(stub: Stub) -> None:
    name = f"profiles/{uuid.uuid4()}"
    assert (await refused(stub.GetProfile(profile_pb2.GetProfileRequest(name=name))))[0] == Code.UNAUTHENTICATED


async def test_update_changes_only_the_masked_fields_and_makes_a_new_etag(stub: Stub) -> None:
    who = subject()
    created = await create(stub, who, display_name="a", locale="de")
    patch = profile_pb2.Profile(name=created.name, display_name="b", locale="en")
    request = profile_pb2.UpdateProfileRequest(profile=patch, update_mask=FieldMask(paths=["display_name"]))
    updated = await stub.UpdateProfile(request, metadata=metadata(who))
    assert (updated.display_name, updated.locale, updated.email) == ("b", "de", created.email)
    assert updated.etag != created.etag
    assert updated.create_time == created.create_time


@pytest.mark.parametrize(
    ("patch", "paths", "expected"),
    [
        ({"email": "other@example.org"}, [], "IMMUTABLE_FIELD"),
        ({"email": "other@example.org"}, ["email"], "IMMUTABLE_FIELD"),
        ({"display_name": "x"}, ["nickname"], "UNKNOWN_MASK_PATH"),
        ({}, [], "NOTHING_TO_CHANGE"),
        ({"uid": "x"}, ["uid"], "NOTHING_TO_CHANGE"),
        ({"learned_weight": float("nan")}, [], "INVALID_ARGUMENT"),
        ({"learned_weight": 1.5}, [], "INVALID_ARGUMENT"),
        ({"time_zone": "Mars/Base"}, [], "UNKNOWN_TIME_ZONE"),
        ({"time_zone": "../etc/passwd"}, [], "INVALID_ARGUMENT"),
    ],
)
async def test_bad_patch_is_refused_and_changes_nothing(
    stub: Stub, patch: dict[str, Any], paths: list[str], expected: str
) -> None:
    who = subject()
    created = await create(stub, who)
    request = profile_pb2.UpdateProfileRequest(
        profile=profile_pb2.Profile(name=created.name, **patch), update_mask=FieldMask(paths=paths)
    )
    assert await refused(stub.UpdateProfile(request, metadata=metadata(who))) == (Code.INVALID_ARGUMENT, expected)
    assert await stub.GetProfile(profile_pb2.GetProfileRequest(name=created.name), metadata=metadata(who)) == created


async def test_stale_etag_is_aborted_on_update_and_delete(stub: Stub) -> None:
    who = subject()
    created = await create(stub, who)
    patch = profile_pb2.Profile(name=created.name, display_name="b", etag="stale")
    update = stub.UpdateProfile(profile_pb2.UpdateProfileRequest(profile=patch), metadata=metadata(who))
    assert await refused(update) == (Code.ABORTED, "ETAG_MISMATCH")
    delete = profile_pb2.DeleteProfileRequest(name=created.name, etag="stale")
    assert await refused(stub.DeleteProfile(delete, metadata=metadata(who))) == (Code.ABORTED, "ETAG_MISMATCH")


async def test_concurrent_updates_lose_nothing(stub: Stub) -> None:
    who = subject()
    name = (await create(stub, who)).name
    patches = [profile_pb2.Profile(name=name, display_name="x"), profile_pb2.Profile(name=name, locale="fr")]
    await asyncio.gather(
        *(
            stub.UpdateProfile(profile_pb2.UpdateProfileRequest(profile=patch), metadata=metadata(who))
            for patch in patches
        )
    )
    read = await stub.GetProfile(profile_pb2.GetProfileRequest(name=name), metadata=metadata(who))
    assert (read.display_name, read.locale) == ("x", "fr")


async def test_delete_is_refused_while_children_remain_naming_kinds_and_counts(stub: Stub, children: Children) -> None:
    who = subject()
    name = (await create(stub, who)).name
    children[1].counts = {"preferences": 3, "variables": 1}
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.DeleteProfile(profile_pb2.DeleteProfileRequest(name=name), metadata=metadata(who))
    assert caught.value.code() == Code.FAILED_PRECONDITION
    assert reason(caught.value) == "PROFILE_HAS_CHILDREN"
    assert "preferences (3)" in (caught.value.details() or "")
    read = await stub.GetProfile(profile_pb2.GetProfileRequest(name=name), metadata=metadata(who))
    assert read.state == profile_pb2.Profile.ACTIVE
    children[1].counts = {}
    await stub.DeleteProfile(profile_pb2.DeleteProfileRequest(name=name), metadata=metadata(who))
    gone = stub.GetProfile(profile_pb2.GetProfileRequest(name=name), metadata=metadata(who))
    assert await refused(gone) == (Code.NOT_FOUND, "PROFILE_NOT_FOUND")


async def test_delete_with_a_child_service_away_is_unavailable_and_keeps_the_profile(
    stub: Stub, children: Children
) -> None:
    who = subject()
    name = (await create(stub, who)).name
    await children[2].stop(None)
    delete = stub.DeleteProfile(profile_pb2.DeleteProfileRequest(name=name), metadata=metadata(who))
    assert (await refused(delete))[0] == Code.UNAVAILABLE
    read = await stub.GetProfile(profile_pb2.GetProfileRequest(name=name), metadata=metadata(who))
    assert read.state == profile_pb2.Profile.ACTIVE


async def test_etag_of_a_deleted_profile_does_not_match_its_successor(stub: Stub) -> None:
    who = subject()
    first = await create(stub, who)
    await stub.DeleteProfile(profile_pb2.DeleteProfileRequest(name=first.name), metadata=metadata(who))
    await create(stub, who)
    delete = profile_pb2.DeleteProfileRequest(name=first.name, etag=first.etag)
    assert await refused(stub.DeleteProfile(delete, metadata=metadata(who))) == (Code.ABORTED, "ETAG_MISMATCH")


async def test_state_tells_active_and_absent(stub: Stub, channel: grpc.aio.Channel) -> None:
    internal = internal_pb2_grpc.ProfileInternalServiceStub(channel)
    created = await create(stub, subject())
    known = await internal.GetProfileState(internal_pb2.GetProfileStateRequest(name=created.name))
    assert known.state == profile_pb2.Profile.ACTIVE
    unknown = internal_pb2.GetProfileStateRequest(name=f"profiles/{uuid.uuid4()}")
    assert (await internal.GetProfileState(unknown)).state == profile_pb2.Profile.STATE_UNSPECIFIED
