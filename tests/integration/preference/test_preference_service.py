from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from eventually import eventually
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp
from harness import PAGE_TOKEN_KEY, metadata, profile_id, reason, serving, socket_address
from pydantic import SecretStr

from rhythmiq.preference.v1 import internal_pb2, internal_pb2_grpc, preference_pb2, preference_pb2_grpc
from rhythmiq.profile.v1 import internal_pb2 as profile_internal_pb2
from rhythmiq.profile.v1 import internal_pb2_grpc as profile_internal_pb2_grpc
from rhythmiq.profile.v1 import profile_pb2
from rhythmiq_mesh.mongo import Collection, connect, database
from rhythmiq_preference.bootstrap import bootstrap
from rhythmiq_preference.config import PreferenceSettings
from rhythmiq_preference.model import LIMIT

if TYPE_CHECKING:
    Stub = preference_pb2_grpc.PreferenceServiceAsyncStub
    Internal = internal_pb2_grpc.PreferenceInternalServiceAsyncStub

Code = grpc.StatusCode
Preference = preference_pb2.Preference


class ProfileService(profile_internal_pb2_grpc.ProfileInternalServiceServicer):
    """A profile service that knows every profile, in the state that the test sets."""

    def __init__(self) -> None:
        self.address = socket_address()
        self.state: profile_pb2.Profile.State.ValueType = profile_pb2.Profile.ACTIVE
        self.server = grpc.aio.server()
        profile_internal_pb2_grpc.add_ProfileInternalServiceServicer_to_server(self, self.server)
        self.server.add_insecure_port(self.address)

    async def GetProfileState(
        self, request: profile_internal_pb2.GetProfileStateRequest, context: object
    ) -> profile_internal_pb2.GetProfileStateResponse:
        return profile_internal_pb2.GetProfileStateResponse(state=self.state)


@pytest.fixture
async def profiles() -> AsyncIterator[ProfileService]:
    service = ProfileService()
    await service.server.start()
    yield service
    await service.server.stop(None)


@pytest.fixture
async def channel(
    mongo_uri: str, mongo_database_name: str, profiles: ProfileService
) -> AsyncIterator[grpc.aio.Channel]:
    settings = PreferenceSettings(
        listen=socket_address(),
        mongo_uri=SecretStr(mongo_uri),
        mongo_database=mongo_database_name,
        page_token_key=SecretStr(PAGE_TOKEN_KEY),
        profile_address=profiles.address,
        upkeep_seconds=0.2,
    )
    async with serving(bootstrap(settings)) as channel:
        yield channel


@pytest.fixture
async def dismissals(mongo_uri: str, mongo_database_name: str) -> AsyncIterator[Collection]:
    client = connect(mongo_uri, app="test")
    yield database(client, mongo_database_name)["dismissals"]
    await client.close()


@pytest.fixture
def stub(channel: grpc.aio.Channel) -> Stub:
    return preference_pb2_grpc.PreferenceServiceStub(channel)


@pytest.fixture
def internal(channel: grpc.aio.Channel) -> Internal:
    return internal_pb2_grpc.PreferenceInternalServiceStub(channel)


@pytest.fixture
def who() -> str:
    return f"user-{uuid.uuid4()}"


def parent(who: str) -> str:
    return f"profiles/{profile_id(who)}"


def draft(value: str = "rock", weight: float = 0.5, **fields: Any) -> Preference:
    return Preference(**{"type": Preference.GENRE, "value": value, "weight": weight, **fields})


def creation(who: str, preference: Preference, request_id: str = "") -> preference_pb2.CreatePreferenceRequest:
    return preference_pb2.CreatePreferenceRequest(parent=parent(who), preference=preference, request_id=request_id)


async def create(stub: Stub, who: str, value: str = "rock", weight: float = 0.5, **fields: Any) -> Preference:
    return await stub.CreatePreference(
        creation(who, draft(value, weight, **fields)), metadata=metadata(who), timeout=30
    )


async def get(stub: Stub, who: str, name: str) -> Preference:
    return await stub.GetPreference(preference_pb2.GetPreferenceRequest(name=name), metadata=metadata(who))


async def update(stub: Stub, who: str, name: str, paths: list[str] | None = None, **fields: Any) -> Preference:
    request = preference_pb2.UpdatePreferenceRequest(
        preference=Preference(name=name, **fields), update_mask=FieldMask(paths=paths or [])
    )
    return await stub.UpdatePreference(request, metadata=metadata(who))


async def delete(stub: Stub, who: str, name: str, etag: str = "") -> None:
    request = preference_pb2.DeletePreferenceRequest(name=name, etag=etag)
    await stub.DeletePreference(request, metadata=metadata(who))


async def page(
    stub: Stub, who: str, size: int = 0, token: str = "", *, below: str = ""
) -> preference_pb2.ListPreferencesResponse:
    request = preference_pb2.ListPreferencesRequest(parent=below or parent(who), page_size=size, page_token=token)
    return await stub.ListPreferences(request, metadata=metadata(who))


def learned_draft(value: str, weight: float = 0.5, **fields: Any) -> Preference:
    evidence = {"confidence": 0.75, "evidence_count": 9, "evidence_time": Timestamp(seconds=1_700_000_000)}
    return draft(value, weight, **(evidence | fields))


async def learn(
    internal: Internal, who: str, *preferences: Preference, request_id: str = "", replace: bool = False
) -> internal_pb2.BatchWriteLearnedPreferencesResponse:
    return await internal.BatchWriteLearnedPreferences(
        internal_pb2.BatchWriteLearnedPreferencesRequest(
            parent=parent(who), preferences=preferences, request_id=request_id, replace=replace
        )
    )


def told(preference: Preference) -> tuple[float, int, bool]:
    return preference.confidence, preference.evidence_count, preference.HasField("evidence_time")


async def refused(call: Awaitable[Any]) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    return caught.value.code(), reason(caught.value)


async def test_created_preference_is_set_by_the_listener_whatever_it_claims(stub: Stub, who: str) -> None:
    created = await create(stub, who, "  Rock"[2:], -1, origin=Preference.LEARNED, uid="mine")
    assert created.origin == Preference.SET
    assert created.name == f"{parent(who)}/preferences/{created.uid}"
    assert uuid.UUID(created.uid).version == 4
    assert (created.value, created.weight) == ("Rock", -1)
    assert await get(stub, who, created.name) == created


@pytest.mark.parametrize(
    "bad",
    [
        draft(type=Preference.TYPE_UNSPECIFIED),
        draft(type=99),
        draft(value=""),
        draft(value=" rock"),
        draft(value="ro\nck"),
        draft(value="\u3000"),
        draft(value="x" * 201),
        draft(weight=1.01),
        draft(weight=float("nan")),
        draft(weight=float("-inf")),
        Preference(type=Preference.GENRE, value="no weight"),
        draft("fast", type=Preference.TEMPO),
        draft("120-90", type=Preference.TEMPO),
        draft("0-90", type=Preference.TEMPO),
        draft("90-301", type=Preference.TEMPO),
    ],
    ids=lambda bad: f"{bad.type} {bad.value[:10]!r} {bad.weight}",
)
async def test_preference_that_breaks_a_rule_is_refused_and_not_stored(stub: Stub, who: str, bad: Preference) -> None:
    call = stub.CreatePreference(creation(who, bad), metadata=metadata(who))
    assert (await refused(call))[0] == Code.INVALID_ARGUMENT
    assert not (await page(stub, who)).preferences


async def test_second_of_a_type_and_value_already_exists_however_it_is_spelt(stub: Stub, who: str) -> None:
    await create(stub, who, "Hip Hop")
    assert await refused(create(stub, who, "HIP  hop", -0.2)) == (Code.ALREADY_EXISTS, "PREFERENCE_EXISTS")
    await create(stub, who, "hip hop", type=Preference.ARTIST)
    await create(stub, who, "90-120", type=Preference.TEMPO)
    tempo = create(stub, who, "090-120", type=Preference.TEMPO)
    assert await refused(tempo) == (Code.ALREADY_EXISTS, "PREFERENCE_EXISTS")


async def test_concurrent_creates_of_one_value_make_one(stub: Stub, who: str) -> None:
    results = await asyncio.gather(*(create(stub, who, "Rock") for _ in range(20)), return_exceptions=True)
    assert sum(isinstance(result, Preference) for result in results) == 1
    refusals = {(e.code(), reason(e)) for e in results if isinstance(e, grpc.aio.AioRpcError)}
    assert refusals == {(Code.ALREADY_EXISTS, "PREFERENCE_EXISTS")}


async def test_update_to_the_value_of_another_already_exists(stub: Stub, who: str) -> None:
    await create(stub, who, "Rock")
    second = await create(stub, who, "Pop")
    call = update(stub, who, second.name, value="ROCK")
    assert await refused(call) == (Code.ALREADY_EXISTS, "PREFERENCE_EXISTS")
    assert (await update(stub, who, second.name, value="POP")).value == "POP"


async def test_update_changes_what_the_mask_names_also_to_zero(stub: Stub, who: str) -> None:
    created = await create(stub, who, "Rock", 0.5)
    updated = await update(stub, who, created.name, ["weight"], weight=0, value="ignored")
    assert (updated.value, updated.weight, updated.HasField("weight")) == ("Rock", 0, True)
    assert updated.etag != created.etag
    assert updated.create_time == created.create_time
    assert (await update(stub, who, created.name, weight=-0.5)).value == "Rock"
    everything = await update(stub, who, created.name, ["*"], value="Pop", weight=1)
    assert (everything.value, everything.weight, everything.type) == ("Pop", 1, Preference.GENRE)


@pytest.mark.parametrize(
    ("paths", "fields", "expected"),
    [
        (["type"], {"type": Preference.ARTIST}, "IMMUTABLE_FIELD"),
        ([], {"type": Preference.ARTIST, "weight": 0.1}, "IMMUTABLE_FIELD"),
        (["wieght"], {"weight": 0.1}, "UNKNOWN_MASK_PATH"),
        ([], {}, "NOTHING_TO_CHANGE"),
        (["origin"], {"origin": Preference.LEARNED}, "NOTHING_TO_CHANGE"),
        (["type"], {"type": Preference.GENRE}, "NOTHING_TO_CHANGE"),
        ([], {"weight": float("nan")}, "INVALID_ARGUMENT"),
        (["weight"], {}, "INVALID_ARGUMENT"),
        (["*"], {"weight": 0.5}, "INVALID_ARGUMENT"),
        ([], {"value": "\u3000"}, "INVALID_ARGUMENT"),
    ],
)
async def test_bad_patch_is_refused_and_changes_nothing(
    stub: Stub, who: str, paths: list[str], fields: dict[str, Any], expected: str
) -> None:
    created = await create(stub, who)
    call = update(stub, who, created.name, paths, **fields)
    assert await refused(call) == (Code.INVALID_ARGUMENT, expected)
    assert await get(stub, who, created.name) == created


async def test_stale_etag_is_aborted_on_update_and_delete(stub: Stub, who: str) -> None:
    created = await create(stub, who)
    current = await update(stub, who, created.name, weight=0.1, etag=created.etag)
    stale = (Code.ABORTED, "ETAG_MISMATCH")
    assert await refused(update(stub, who, created.name, weight=0.2, etag=created.etag)) == stale
    assert await refused(delete(stub, who, created.name, created.etag)) == stale
    await delete(stub, who, created.name, current.etag)
    gone = (Code.NOT_FOUND, "PREFERENCE_NOT_FOUND")
    assert await refused(get(stub, who, created.name)) == gone
    assert await refused(delete(stub, who, created.name)) == gone
    assert await refused(update(stub, who, created.name, weight=0.2)) == gone


async def test_concurrent_updates_lose_nothing(stub: Stub, who: str) -> None:
    name = (await create(stub, who)).name
    await asyncio.gather(update(stub, who, name, value="jazz"), update(stub, who, name, weight=-1))
    read = await get(stub, who, name)
    assert (read.value, read.weight) == ("jazz", -1)


async def test_replay_returns_the_first_answer_also_after_update_and_delete(stub: Stub, who: str) -> None:
    request = creation(who, draft(), str(uuid.uuid4()))
    answers = await asyncio.gather(*(stub.CreatePreference(request, metadata=metadata(who)) for _ in range(10)))
    first = answers[0]
    assert all(answer == first for answer in answers)
    await update(stub, who, first.name, weight=-1)
    assert await stub.CreatePreference(request, metadata=metadata(who)) == first
    await delete(stub, who, first.name)
    assert await stub.CreatePreference(request, metadata=metadata(who)) == first
    assert not (await page(stub, who)).preferences
    request.preference.weight = 0.1
    conflict = (Code.ALREADY_EXISTS, "REQUEST_ID_CONFLICT")
    assert await refused(stub.CreatePreference(request, metadata=metadata(who))) == conflict


async def test_another_listeners_preference_is_denied_existing_or_not(stub: Stub, who: str) -> None:
    created = await create(stub, who)
    for name in (created.name, f"{parent(who)}/preferences/{uuid.uuid4()}"):
        for call in (
            get(stub, "someone else", name),
            update(stub, "someone else", name, weight=1),
            delete(stub, "someone else", name),
            page(stub, "someone else", below=parent(who)),
            stub.CreatePreference(creation(who, draft()), metadata=metadata("someone else")),
        ):
            assert await refused(call) == (Code.PERMISSION_DENIED, "NOT_OWNER")


async def test_without_a_verified_token_nothing_is_answered(stub: Stub, who: str) -> None:
    assert (await refused(stub.CreatePreference(creation(who, draft()))))[0] == Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        (profile_pb2.Profile.STATE_UNSPECIFIED, (Code.NOT_FOUND, "PROFILE_NOT_FOUND")),
        (profile_pb2.Profile.DELETING, (Code.FAILED_PRECONDITION, "PROFILE_NOT_ACTIVE")),
    ],
)
async def test_without_an_active_profile_nothing_stays(
    stub: Stub,
    internal: Internal,
    who: str,
    profiles: ProfileService,
    state: profile_pb2.Profile.State.ValueType,
    expected: tuple[grpc.StatusCode, str],
) -> None:
    profiles.state = state
    request = creation(who, draft(), str(uuid.uuid4()))
    assert await refused(stub.CreatePreference(request, metadata=metadata(who))) == expected
    assert await refused(learn(internal, who, draft())) == expected
    assert not (await page(stub, who)).preferences
    profiles.state = profile_pb2.Profile.ACTIVE
    created = await stub.CreatePreference(request, metadata=metadata(who))
    assert (await page(stub, who)).preferences == [created]


async def test_with_the_profile_service_away_a_create_is_unavailable_and_nothing_stays(
    stub: Stub, who: str, profiles: ProfileService
) -> None:
    await profiles.server.stop(None)
    call = stub.CreatePreference(creation(who, draft(), str(uuid.uuid4())), metadata=metadata(who))
    assert await refused(call) == (Code.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert not (await page(stub, who)).preferences


async def test_pages_hold_every_preference_exactly_once_while_others_are_created(stub: Stub, who: str) -> None:
    before = [(await create(stub, who, f"genre {n}")).name for n in range(23)]
    seen: list[str] = []
    token = ""
    while True:
        found = await page(stub, who, 5, token)
        assert len(found.preferences) <= 5
        seen += [preference.name for preference in found.preferences]
        token = found.next_page_token
        if not token:
            break
        if len(seen) < 20:
            await create(stub, who, f"late {len(seen)}")
    assert len(set(seen)) == len(seen)
    assert seen[:23] == before


async def test_page_tokens_belong_to_their_parent_and_cannot_be_altered(stub: Stub, who: str) -> None:
    for n in range(3):
        await create(stub, who, f"genre {n}")
    token = (await page(stub, who, 2)).next_page_token
    invalid = (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
    assert await refused(page(stub, "someone else", 2, token)) == invalid
    for altered in (token[:-1], token + "A", "x" + token[1:], "nonsense", "%%%"):
        assert await refused(page(stub, who, 2, altered)) == invalid


async def test_page_sizes_below_zero_are_refused_and_huge_ones_are_served(stub: Stub, who: str) -> None:
    await asyncio.gather(*(create(stub, who, f"genre {n}") for n in range(60)))
    assert (await refused(page(stub, who, -1)))[0] == Code.INVALID_ARGUMENT
    assert len((await page(stub, who)).preferences) == 50
    assert len((await page(stub, who, 2**31 - 1)).preferences) == 60


async def test_learned_are_updated_but_never_over_what_the_listener_set(
    stub: Stub, internal: Internal, who: str
) -> None:
    own = await create(stub, who, "Rock", -1)
    first = await learn(internal, who, draft("jazz", 0.2))
    second = await learn(internal, who, draft("ROCK", 1), draft("Jazz", 0.4), draft("pop", 0.1))
    assert (second.kept_set_count, second.left_out_count) == (1, 0)
    assert {each.origin for each in second.preferences} == {Preference.LEARNED}
    stored = {each.name: each for each in (await page(stub, who)).preferences}
    assert stored[own.name] == own
    assert stored[first.preferences[0].name].weight == 0.4
    assert len(stored) == 3


async def test_updating_a_learned_preference_adopts_it(stub: Stub, internal: Internal, who: str) -> None:
    learned = (await learn(internal, who, draft("jazz", 0.2))).preferences[0]
    adopted = await update(stub, who, learned.name, weight=0.3)
    assert adopted.origin == Preference.SET
    assert (await learn(internal, who, draft("jazz", -0.2))).kept_set_count == 1
    assert await get(stub, who, learned.name) == adopted


async def test_learned_are_left_out_weakest_first_when_a_hundred_are_reached(
    stub: Stub, internal: Internal, who: str
) -> None:
    await asyncio.gather(*(create(stub, who, f"genre {n}", 0) for n in range(LIMIT - 2)))
    await learn(internal, who, learned_draft("weak", 0.1), learned_draft("strong", -0.8))
    written = await learn(internal, who, learned_draft("stronger", 0.9), learned_draft("middling", -0.5))
    assert (written.left_out_count, written.removed_count) == (2, 1)
    stored = (await page(stub, who, 200)).preferences
    assert len(stored) == LIMIT
    assert {each.value for each in stored if each.origin == Preference.LEARNED} == {"strong", "stronger"}


async def test_batches_and_creates_at_once_never_exceed_a_hundred_nor_lose_a_set_one(
    stub: Stub, internal: Internal, who: str
) -> None:
    await asyncio.gather(*(create(stub, who, f"genre {n}") for n in range(LIMIT - 20)))
    results = await asyncio.gather(
        *(create(stub, who, f"more {n}") for n in range(30)),
        *(learn(internal, who, *(draft(f"learned {b} {n}", n / 10) for n in range(10))) for b in range(4)),
        return_exceptions=True,
    )
    refusals = {reason(error) for error in results if isinstance(error, grpc.aio.AioRpcError)}
    assert refusals <= {"PREFERENCE_LIMIT_REACHED"}
    acknowledged = {result.name for result in results if isinstance(result, Preference)}
    stored = (await page(stub, who, 200)).preferences
    assert len(stored) == LIMIT
    assert acknowledged <= {each.name for each in stored}


async def test_learned_one_says_what_it_rests_on_until_it_is_adopted(stub: Stub, internal: Internal, who: str) -> None:
    (written,) = (await learn(internal, who, learned_draft("jazz"))).preferences
    learned = await get(stub, who, written.name)
    assert learned == written
    assert (*told(learned), learned.evidence_time.seconds) == (0.75, 9, True, 1_700_000_000)
    adopted = await update(stub, who, learned.name, weight=0.9)
    assert (adopted.origin, *told(adopted)) == (Preference.SET, 0, 0, False)
    assert await get(stub, who, learned.name) == adopted


async def test_listeners_claims_of_evidence_are_ignored(stub: Stub, internal: Internal, who: str) -> None:
    created = await stub.CreatePreference(creation(who, learned_draft("rock")), metadata=metadata(who))
    assert told(created) == (0, 0, False)
    (learned,) = (await learn(internal, who, learned_draft("jazz"))).preferences
    claim = update(stub, who, learned.name, ["confidence", "evidence_count"], confidence=1, evidence_count=99)
    assert await refused(claim) == (Code.INVALID_ARGUMENT, "NOTHING_TO_CHANGE")
    assert await get(stub, who, learned.name) == learned


@pytest.mark.parametrize(
    "bad",
    [
        {"confidence": float("nan")},
        {"confidence": 1.01},
        {"evidence_count": -1},
        {"evidence_time": Timestamp(seconds=2**62)},
    ],
    ids=str,
)
async def test_evidence_that_cannot_be_is_refused(
    stub: Stub, internal: Internal, who: str, bad: dict[str, Any]
) -> None:
    call = learn(internal, who, learned_draft("jazz"), learned_draft("rock", **bad))
    assert (await refused(call))[0] == Code.INVALID_ARGUMENT
    assert not (await page(stub, who)).preferences


async def test_replacing_batch_leaves_only_what_it_names_and_what_was_set(
    stub: Stub, internal: Internal, who: str
) -> None:
    own = await create(stub, who, "Rock")
    await learn(internal, who, learned_draft("jazz"), learned_draft("pop"))
    assert (await learn(internal, who, learned_draft("pop", 0.6), replace=True)).removed_count == 1
    assert {each.value for each in (await page(stub, who)).preferences} == {"Rock", "pop"}
    assert (await learn(internal, who, replace=True)).removed_count == 1
    assert (await page(stub, who)).preferences == [own]


async def test_new_set_one_takes_the_place_of_the_weakest_learned_also_when_many_come_at_once(
    stub: Stub, internal: Internal, who: str
) -> None:
    await asyncio.gather(*(create(stub, who, f"genre {n}") for n in range(LIMIT - 10)))
    await learn(internal, who, *(learned_draft(f"learned {n}", (n + 1) / 10) for n in range(10)))
    created = await asyncio.gather(*(create(stub, who, f"more {n}") for n in range(6)))
    stored = (await page(stub, who, 200)).preferences
    assert len(stored) == LIMIT
    assert {each.name for each in created} <= {each.name for each in stored}
    assert {each.value for each in stored if each.origin == Preference.LEARNED} == {
        f"learned {n}" for n in range(6, 10)
    }
    await asyncio.gather(*(create(stub, who, f"last {n}") for n in range(4)))
    assert await refused(create(stub, who, "too many")) == (Code.RESOURCE_EXHAUSTED, "PREFERENCE_LIMIT_REACHED")


async def test_deleted_while_learned_again_stays_deleted(stub: Stub, internal: Internal, who: str) -> None:
    for n in range(10):
        (learned,) = (await learn(internal, who, learned_draft(f"genre {n}"))).preferences
        await asyncio.gather(
            delete(stub, who, learned.name), learn(internal, who, learned_draft(f"genre {n}", 0.6), replace=True)
        )
    assert not (await page(stub, who)).preferences


async def test_deleted_learned_preference_is_not_learned_again(stub: Stub, internal: Internal, who: str) -> None:
    request_id = str(uuid.uuid4())
    first = await learn(internal, who, draft("jazz"), request_id=request_id)
    await delete(stub, who, first.preferences[0].name)
    assert await learn(internal, who, draft("jazz"), request_id=request_id) == first
    assert not (await page(stub, who)).preferences
    assert (await learn(internal, who, draft("JAZZ"))).deleted_by_listener_count == 1
    assert not (await page(stub, who)).preferences
    own = await create(stub, who, "jazz")
    assert (await learn(internal, who, draft("jazz"))).kept_set_count == 1
    await delete(stub, who, own.name)
    assert len((await learn(internal, who, draft("jazz"))).preferences) == 1


async def test_dismissals_are_erased_with_the_profile(
    stub: Stub,
    internal: Internal,
    channel: grpc.aio.Channel,
    who: str,
    profiles: ProfileService,
    dismissals: Collection,
) -> None:
    (learned,) = (await learn(internal, who, learned_draft("jazz"))).preferences
    await delete(stub, who, learned.name)
    assert await dismissals.count_documents({}) == 1
    profiles.state = profile_pb2.Profile.STATE_UNSPECIFIED
    children = profile_internal_pb2_grpc.ProfileChildrenServiceStub(channel)
    request = profile_internal_pb2.CountProfileChildrenRequest(parent=parent(who))
    assert not (await children.CountProfileChildren(request)).kinds

    async def erased() -> bool:
        return await dismissals.count_documents({}) == 0

    await eventually(erased)


async def test_profile_is_told_how_many_preferences_remain(
    stub: Stub, internal: Internal, channel: grpc.aio.Channel, who: str
) -> None:
    children = profile_internal_pb2_grpc.ProfileChildrenServiceStub(channel)
    request = profile_internal_pb2.CountProfileChildrenRequest(parent=parent(who))
    assert not (await children.CountProfileChildren(request)).kinds
    await create(stub, who)
    await learn(internal, who, draft("jazz"))
    (kind,) = (await children.CountProfileChildren(request)).kinds
    assert (kind.kind, kind.count) == ("preferences", 2)
