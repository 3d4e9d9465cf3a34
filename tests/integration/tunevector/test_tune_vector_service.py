"""The resource over real servers of tune vectors and profiles."""

from __future__ import annotations

import asyncio
import math
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from eventually import eventually
from google.protobuf.duration_pb2 import Duration
from harness import metadata
from small_recommender import item
from tunevector_world import Length, Listener, TuneVector, World, draft, numbers, pin, refused

from rhythmiq.profile.v1 import internal_pb2
from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.tunevector.v1 import tunevector_pb2
from rhythmiq.type.v1 import audio_pb2
from rhythmiq_mesh.mongo import connect, database
from rhythmiq_tunevector.model import LIMIT, Kind, Mode
from rhythmiq_tunevector.model import TuneVector as Stored
from rhythmiq_tunevector.mongo import MongoTuneVectors

Code = grpc.StatusCode


def tuning(**features: dict[str, float]) -> audio_pb2.Tuning:
    return audio_pb2.Tuning(features={name: audio_pb2.FeatureTarget(**to) for name, to in features.items()})


async def test_created_has_an_id_of_its_own_and_reads_back_as_answered(world: World) -> None:
    listener = await world.listener()
    made = draft(
        display_name="Évening",
        kind=TuneVector.SOUNDSCAPE,
        mode=TuneVector.USER_GUIDED,
        tuning=tuning(tempo={"min": 60, "max": 120, "target": 90, "weight": 0}, loudness={"max": 0}),
        seeds=audio_pb2.Seeds(artists=["A"]),
        filter=recommender_pb2.RecommendFilter(min_year=1990, explicit=recommender_pb2.RecommendFilter.EXCLUDE),
        energy_curve=[0, 0.5, 1],
        pins=[pin(1, 2)],
    )
    asked = TuneVector()
    asked.CopyFrom(made)
    asked.name, asked.uid, asked.items.add().title = "profiles/x/tuneVectors/y", "mine", "mine"
    request = tunevector_pb2.CreateTuneVectorRequest(parent=listener.profile, tune_vector=asked)
    created = await world.vectors.CreateTuneVector(request, **listener.call)
    assert uuid.UUID(created.uid).version == 4
    assert created.name == f"{listener.profile}/tuneVectors/{created.uid}"
    assert created.create_time == created.update_time
    assert await listener.get(created.name) == created
    for field in ("name", "uid", "create_time", "update_time", "etag"):
        created.ClearField(field)
    assert created == made


@pytest.mark.parametrize(
    "fields",
    [
        {"kind": TuneVector.KIND_UNSPECIFIED},
        {"kind": 9},
        {"mode": TuneVector.MODE_UNSPECIFIED},
        {"length": None},
        {"length": Length()},
        {"length": Length(count=0)},
        {"length": Length(count=501)},
        {"length": Length(duration=Duration(seconds=59))},
        {"length": Length(duration=Duration(seconds=86_400, nanos=1))},
        {"energy_curve": [0.5]},
        {"energy_curve": [0, math.nan]},
        {"energy_curve": [0, 1.1]},
        {"energy_curve": [0.5] * 51},
        {"tuning": tuning(energy={"min": 0.6, "target": 0.5})},
        {"tuning": tuning(energy={"min": 0.6, "max": 0.5})},
        {"tuning": tuning(energy={"target": 1.5})},
        {"tuning": tuning(tempo={"target": math.inf})},
        {"tuning": tuning(tempo={"target": 100, "weight": 11})},
        {"tuning": tuning(tempo={})},
        {"tuning": tuning(mood={"target": 1})},
        {"pins": [pin(1, 6)]},
        {"pins": [pin(1, 0)]},
        {"pins": [pin(1, 1), pin(2, 1)]},
        {"pins": [pin(1, 1), pin(1, 2)]},
        {"pins": [tunevector_pb2.Pin(item="items/1", position=1)]},
        {"seeds": audio_pb2.Seeds(genres=[f"genre {number}" for number in range(21)])},
        {"filter": recommender_pb2.RecommendFilter(min_year=2000, max_year=1999)},
        {"display_name": "x" * 101},
        {"display_name": "a\nb"},
    ],
)
async def test_what_breaks_a_rule_is_refused_and_not_stored(world: World, fields: dict[str, Any]) -> None:
    listener = await world.listener()
    assert await refused(listener.create(**fields)) == (Code.INVALID_ARGUMENT, "INVALID_ARGUMENT")
    assert not (await listener.page()).tune_vectors


async def test_nested_masks_change_only_what_they_name(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    created = await listener.create(display_name="a", tuning=tuning(tempo={"target": 90}), pins=[pin(1, 2)])
    tuned = await listener.tune(created.name)
    longer = await listener.update(tuned.name, "length.count", length=Length(count=7), display_name="b")
    assert (longer.length.count, longer.display_name) == (7, "a")
    assert longer.items == tuned.items
    assert longer.last_tuning == tuned.last_tuning
    assert longer.etag != tuned.etag
    calmer = await listener.update(tuned.name, "tuning.features", tuning=tuning(energy={"max": 0.3}))
    assert list(calmer.tuning.features) == ["energy"]
    timed = await listener.update(tuned.name, "length.duration", length=Length(duration=Duration(seconds=600)))
    assert timed.length.WhichOneof("length") == "duration"
    assert await listener.get(tuned.name) == timed
    assert numbers(timed) == numbers(tuned)


async def test_without_a_mask_the_populated_fields_change_and_a_star_replaces_all(world: World) -> None:
    listener = await world.listener()
    created = await listener.create(display_name="a", energy_curve=[0, 1], pins=[pin(1, 2)])
    renamed = await listener.update(created.name, display_name="b")
    assert (renamed.display_name, list(renamed.energy_curve), renamed.length.count) == ("b", [0, 1], 5)
    replaced = await listener.update(created.name, "*", mode=TuneVector.USER_GUIDED, length=Length(count=1))
    assert (replaced.display_name, len(replaced.energy_curve), len(replaced.pins)) == ("", 0, 0)
    assert (replaced.kind, replaced.mode) == (TuneVector.PLAYLIST, TuneVector.USER_GUIDED)


@pytest.mark.parametrize(
    ("paths", "fields", "expected"),
    [
        (["kind"], {"kind": TuneVector.PODCAST}, "IMMUTABLE_FIELD"),
        ([], {"kind": TuneVector.PODCAST}, "IMMUTABLE_FIELD"),
        (["mood"], {}, "UNKNOWN_MASK_PATH"),
        (["length.mood"], {}, "UNKNOWN_MASK_PATH"),
        (["tuning.features.tempo"], {}, "UNKNOWN_MASK_PATH"),
        (["pins.item"], {}, "UNKNOWN_MASK_PATH"),
        ([], {}, "NOTHING_TO_CHANGE"),
        (["items", "last_tuning", "etag"], {}, "NOTHING_TO_CHANGE"),
        (["length"], {}, "INVALID_ARGUMENT"),
        (["length.count"], {"length": Length(duration=Duration(seconds=600))}, "INVALID_ARGUMENT"),
        (["length.count"], {"length": Length(count=3)}, "INVALID_ARGUMENT"),
        (["pins"], {"pins": [pin(1, 6)]}, "INVALID_ARGUMENT"),
        (["mode"], {}, "INVALID_ARGUMENT"),
        (["tuning.features"], {"tuning": tuning(energy={"min": 0.6, "target": 0.5})}, "INVALID_ARGUMENT"),
        (["energy_curve"], {"energy_curve": [0.5]}, "INVALID_ARGUMENT"),
    ],
)
async def test_bad_patch_is_refused_and_changes_nothing(
    world: World, paths: list[str], fields: dict[str, Any], expected: str
) -> None:
    listener = await world.listener()
    created = await listener.create(pins=[pin(1, 4)])
    assert await refused(listener.update(created.name, *paths, **fields)) == (Code.INVALID_ARGUMENT, expected)
    assert await listener.get(created.name) == created


async def test_stale_etag_is_aborted_on_update_and_delete(world: World) -> None:
    listener = await world.listener()
    created = await listener.create()
    changed = await listener.update(created.name, display_name="b", etag=created.etag)
    stale = listener.update(created.name, display_name="c", etag=created.etag)
    assert await refused(stale) == (Code.ABORTED, "ETAG_MISMATCH")
    assert await refused(listener.delete(created.name, created.etag)) == (Code.ABORTED, "ETAG_MISMATCH")
    await listener.delete(created.name, changed.etag)
    for call in (listener.get(created.name), listener.delete(created.name), listener.tune(created.name)):
        assert await refused(call) == (Code.NOT_FOUND, "TUNE_VECTOR_NOT_FOUND")
    assert (await refused(listener.update(created.name, display_name="c")))[0] == Code.NOT_FOUND


async def test_concurrent_updates_lose_nothing(world: World) -> None:
    listener = await world.listener()
    name = (await listener.create()).name
    await asyncio.gather(
        listener.update(name, display_name="x"),
        listener.update(name, energy_curve=[0, 1]),
        listener.update(name, "length.count", length=Length(count=9)),
    )
    read = await listener.get(name)
    assert (read.display_name, list(read.energy_curve), read.length.count) == ("x", [0, 1], 9)


async def test_another_listeners_tune_vector_is_denied_existing_or_not(world: World) -> None:
    owner, stranger = await world.listener(), await world.listener()
    created = await owner.create()
    for name in (created.name, f"{owner.profile}/tuneVectors/{uuid.uuid4()}"):
        for call in (
            stranger.get(name),
            stranger.update(name, display_name="x"),
            stranger.delete(name),
            stranger.tune(name),
        ):
            assert await refused(call) == (Code.PERMISSION_DENIED, "NOT_OWNER")
    stranger.profile = owner.profile
    for create_or_list in (stranger.create(), stranger.page()):
        assert await refused(create_or_list) == (Code.PERMISSION_DENIED, "NOT_OWNER")


async def test_lists_page_oldest_first_and_without_items(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    made = [(await listener.create(display_name=str(number))).name for number in range(5)]
    await listener.tune(made[0])
    seen: list[TuneVector] = []
    token = ""
    while True:
        page = await listener.page(page_size=2, page_token=token)
        seen += page.tune_vectors
        token = page.next_page_token
        if not token:
            break
    assert [each.name for each in seen] == made
    assert not seen[0].items
    assert seen[0].last_tuning.ranker == "small/1"
    first = await listener.page(page_size=2)
    stranger = await world.listener()
    for call in (
        stranger.page(page_token=first.next_page_token),
        listener.page(page_token="x" + first.next_page_token),
    ):
        assert await refused(call) == (Code.INVALID_ARGUMENT, "PAGE_TOKEN_INVALID")
    assert (await refused(listener.page(page_size=-1)))[0] == Code.INVALID_ARGUMENT


async def test_replayed_request_id_returns_the_first_answer_and_a_conflicting_one_is_refused(world: World) -> None:
    listener, request_id = await world.listener(), str(uuid.uuid4())
    answers = await asyncio.gather(*(listener.create(request_id=request_id) for _ in range(10)))
    assert len({answer.etag for answer in answers}) == 1
    assert len((await listener.page()).tune_vectors) == 1
    conflict = listener.create(request_id=request_id, display_name="b")
    assert await refused(conflict) == (Code.ALREADY_EXISTS, "REQUEST_ID_CONFLICT")
    await listener.delete(answers[0].name)
    assert await listener.create(request_id=request_id) == answers[0]


async def test_thousand_and_first_is_refused_when_many_creates_run_at_once(world: World) -> None:
    listener = await world.listener()
    for _ in range(0, LIMIT - 10, 99):
        await asyncio.gather(*(listener.create() for _ in range(99)))
    count = await children_count(world, listener)
    assert count == LIMIT - 10
    results = await asyncio.gather(*(listener.create() for _ in range(30)), return_exceptions=True)
    assert sum(isinstance(result, TuneVector) for result in results) == 10
    refusals = {error.code() for error in results if isinstance(error, grpc.aio.AioRpcError)}
    assert refusals == {Code.RESOURCE_EXHAUSTED}
    assert await refused(listener.create()) == (Code.RESOURCE_EXHAUSTED, "TUNE_VECTOR_LIMIT_REACHED")
    assert await children_count(world, listener) == LIMIT


async def test_without_a_profile_nothing_can_be_created_and_nothing_stays(world: World) -> None:
    nobody = Listener(world, f"user-{uuid.uuid4()}")
    assert await refused(nobody.create(request_id=str(uuid.uuid4()))) == (Code.NOT_FOUND, "PROFILE_NOT_FOUND")
    assert await children_count(world, nobody) == 0


async def test_a_profile_with_tune_vectors_is_not_deleted_and_one_without_is(world: World) -> None:
    listener = await world.listener()
    created = await listener.create()
    assert await refused(listener.delete_profile()) == (Code.FAILED_PRECONDITION, "PROFILE_HAS_CHILDREN")
    await listener.delete(created.name)
    await listener.delete_profile()
    assert await refused(listener.create()) == (Code.NOT_FOUND, "PROFILE_NOT_FOUND")


async def test_the_race_of_create_and_profile_delete_leaves_no_orphan(world: World) -> None:
    outcomes: set[str] = set()
    for number in range(200):
        listener = await world.listener()
        creation = asyncio.create_task(listener.create())
        for _ in range(number * 5 % 60):
            await asyncio.sleep(0)  # lets the creation get ahead, more or less far
        results = await asyncio.gather(creation, listener.delete_profile(), return_exceptions=True)
        created, deleted = (not isinstance(result, BaseException) for result in results)
        stored = await children_count(world, listener)
        assert stored == (1 if created else 0)
        assert not (created and deleted)
        outcomes.add("created" if created else "deleted" if deleted else "neither")
    assert {"created", "deleted"} <= outcomes


async def test_a_caller_who_hangs_up_leaves_no_orphan(world: World) -> None:
    nobody = Listener(world, f"user-{uuid.uuid4()}")
    request = tunevector_pb2.CreateTuneVectorRequest(parent=nobody.profile, tune_vector=draft())
    for seconds in (0.002, 0.005, 0.01, 0.02):
        with pytest.raises(grpc.aio.AioRpcError):
            await world.vectors.CreateTuneVector(request, **(nobody.call | {"timeout": seconds}))
    async with asyncio.timeout(10):
        while await children_count(world, nobody):
            await asyncio.sleep(0.01)


async def test_what_a_killed_process_left_disappears_without_a_profile_and_stays_below_an_active_one(
    world: World, mongo_uri: str, mongo_database_name: str
) -> None:
    kept, orphaned = await world.listener(), Listener(world, f"user-{uuid.uuid4()}")
    client = connect(mongo_uri, app="test")
    repository = MongoTuneVectors(database(client, mongo_database_name))
    long_ago = datetime(2026, 1, 1, tzinfo=UTC)
    for listener in (kept, orphaned):
        profile_id = listener.profile.removeprefix("profiles/")
        vector = Stored(
            *(str(uuid.uuid4()), profile_id, "", Kind.PLAYLIST, Mode.AI_DRIVEN, 5, long_ago, long_ago, "etag")
        )
        await repository.create(vector, None)

    async def settled() -> bool:
        return not await repository.unconfirmed(long_ago + timedelta(seconds=1), 2)

    await eventually(settled)
    await client.close()
    assert [await children_count(world, listener) for listener in (kept, orphaned)] == [1, 0]


async def test_without_a_verified_token_nothing_is_answered(world: World) -> None:
    listener = await world.listener()
    name = (await listener.create()).name
    call = world.vectors.GetTuneVector(tunevector_pb2.GetTuneVectorRequest(name=name), timeout=5)
    assert (await refused(call))[0] == Code.UNAUTHENTICATED


async def test_names_that_are_not_lower_case_uuids_are_refused(world: World) -> None:
    listener = await world.listener()
    name = (await listener.create()).name
    for bad in (name.upper(), f"{name}/x", name[:-1], "", f"{listener.profile}/tuneVectors/..", name + "0" * 10_000):
        assert (await refused(listener.get(bad)))[0] == Code.INVALID_ARGUMENT


async def children_count(world: World, listener: Listener) -> int:
    """What the profile service would count."""
    request = internal_pb2.CountProfileChildrenRequest(parent=listener.profile)
    answer = await world.children.CountProfileChildren(request, metadata=metadata("x"), timeout=10)
    assert [kind.kind for kind in answer.kinds] in ([], ["tuneVectors"])
    return sum(kind.count for kind in answer.kinds)


async def test_durations_and_unicode_survive_storage(world: World) -> None:
    duration = Duration()
    duration.FromTimedelta(timedelta(minutes=1, microseconds=1))
    world.recommender.stock([item(1, milliseconds=59_999)])
    listener = await world.listener()
    created = await listener.create(length=Length(duration=duration), display_name="日本 🎧")
    tuned = await listener.tune(created.name)
    assert (tuned.length.duration, tuned.display_name) == (duration, "日本 🎧")
    assert tuned.items[0].duration.ToMilliseconds() == 59_999
