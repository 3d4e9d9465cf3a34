"""Tuning over a real tune vector service and a small recommender behind a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration
from small_recommender import Item, item
from tunevector_world import Length, TuneVector, World, energies, numbers, pin, refused

from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.type.v1 import audio_pb2, environment_pb2

Code = grpc.StatusCode
RUNNING = environment_pb2.Environment(activity=environment_pb2.Environment.RUNNING, ambient_noise_dba=78)


def lasting(**parts: float) -> Length:
    duration = Duration()
    duration.FromTimedelta(timedelta(**parts))
    return Length(duration=duration)


def tuning(**features: dict[str, float]) -> audio_pb2.Tuning:
    return audio_pb2.Tuning(features={name: audio_pb2.FeatureTarget(**to) for name, to in features.items()})


def lacks(vector: TuneVector) -> list[tuple[str, str]]:
    return [(each.subject, each.reason) for each in vector.last_tuning.degradations]


async def test_tuning_fills_the_items_and_records_what_was_used(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    created = await listener.create()
    assert not created.items
    tuned = await listener.tune(created.name)
    assert numbers(tuned) == [1, 2, 3, 4, 5]
    assert [each.position for each in tuned.items] == [1, 2, 3, 4, 5]
    first, record = tuned.items[0], tuned.last_tuning
    assert (first.title, list(first.artists), first.duration.seconds) == ("Title 1", ["Artist 1"], 180)
    assert first.score == 1
    assert first.reasons[0].text == "it stands there"
    assert first.reasons[0].group == recommender_pb2.Reason.OTHER
    assert record.ranker == "small/1"
    assert record.total_duration.seconds == 900
    assert record.environment[0].value.ambient_noise_dba == 61.5
    assert record.environment[0].age.seconds == 12
    assert record.preferences[0].value == "jazz"
    assert not record.degradations
    assert record.tune_time == tuned.update_time
    assert tuned.etag != created.etag
    assert await listener.get(created.name) == tuned


async def test_everything_asked_for_reaches_the_recommender_with_the_callers_identity(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    asked = tuning(energy={"min": 0.2, "max": 0.9, "target": 0.5, "weight": 2})
    seeds = audio_pb2.Seeds(items=[item(3).name], artists=["Artist 1"], genres=["jazz"])
    admitted = recommender_pb2.RecommendFilter(
        genres=["jazz"],
        exclude_genres=["metal"],
        explicit=recommender_pb2.RecommendFilter.ONLY_CLEAN,
        languages=["de"],
        min_year=1990,
        max_year=2000,
        exclude_artists=["Artist 9"],
    )
    created = await listener.create(mode=TuneVector.USER_GUIDED, tuning=asked, seeds=seeds, filter=admitted)
    assert (created.tuning, created.seeds, created.filter) == (asked, seeds, admitted)
    surroundings = environment_pb2.Environment(
        activity=environment_pb2.Environment.LYING, ambient_noise_dba=0, local_time={"hours": 23, "minutes": 30}
    )
    await listener.tune(created.name, environment=surroundings, seed=2**64 - 1)
    (request,) = world.recommender.requests
    assert request.parent == listener.profile
    assert (request.kind, request.count, request.seed) == (Item.TRACK, 5, 2**64 - 1)
    assert request.mode == recommender_pb2.RecommendRequest.USER_GUIDED
    assert (request.tuning, request.seeds, request.filter) == (asked, seeds, admitted)
    assert request.environment == surroundings
    assert world.recommender.callers == {dict(listener.call["metadata"])["x-rhythmiq-jwt-payload"]}


@pytest.mark.parametrize(
    ("kind", "of"),
    [
        (TuneVector.PLAYLIST, Item.TRACK),
        (TuneVector.PODCAST, Item.PODCAST_EPISODE),
        (TuneVector.SOUNDSCAPE, Item.SOUNDSCAPE),
    ],
)
async def test_a_list_is_made_of_its_own_kind_of_items(
    world: World, kind: TuneVector.Kind.ValueType, of: Item.Kind.ValueType
) -> None:
    kinds = [Item.TRACK, Item.PODCAST_EPISODE, Item.SOUNDSCAPE]
    world.recommender.stock(item(number, kind=kinds[number % 3]) for number in range(30))
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(kind=kind)).name)
    assert {world.recommender.items[each.item].kind for each in tuned.items} == {of}


async def test_other_surroundings_give_another_list(world: World) -> None:
    world.stock(energies=[number / 40 for number in range(40)])
    listener = await world.listener()
    name = (await listener.create()).name
    calm = energies(world, (await listener.tune(name)).items)
    lively = energies(world, (await listener.tune(name, environment=RUNNING)).items)
    assert max(calm) < min(lively)


async def test_pins_keep_their_places_whatever_the_surroundings(world: World) -> None:
    world.stock(energies=[number / 40 for number in range(40)])
    listener = await world.listener()
    name = (await listener.create(pins=[pin(20, 4), pin(2, 1)])).name
    for surroundings in (environment_pb2.Environment(), RUNNING):
        tuned = await listener.tune(name, environment=surroundings)
        assert len(tuned.items) == 5
        assert (numbers(tuned)[0], numbers(tuned)[3]) == (2, 20)
        assert [each.pinned for each in tuned.items] == [True, False, False, True, False]
        assert [each.HasField("score") for each in tuned.items] == [False, True, True, False, True]
        assert (tuned.items[3].title, tuned.items[3].duration.seconds) == ("Title 20", 180)
        assert len(set(numbers(tuned))) == 5


async def test_a_list_of_pins_alone_asks_for_nothing(world: World) -> None:
    world.stock(5)
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(length=Length(count=1), pins=[pin(2, 1)])).name)
    assert numbers(tuned) == [2]
    assert not world.recommender.requests
    assert not tuned.last_tuning.degradations


async def test_a_pinned_item_that_is_gone_is_named_and_the_items_stay(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(pins=[pin(7, 2), pin(8, 3)])).name)
    del world.recommender.items[item(7).name]
    with pytest.raises(grpc.aio.AioRpcError, match=item(7).name) as caught:
        await listener.tune(tuned.name)
    assert caught.value.code() == Code.FAILED_PRECONDITION
    assert item(8).name not in (caught.value.details() or "")
    assert await listener.get(tuned.name) == tuned


async def test_a_list_of_500_takes_several_calls_and_repeats_nothing(world: World) -> None:
    world.stock(700)
    listener = await world.listener()
    pins = [pin(number, 5 * number) for number in range(1, 101)]
    tuned = await listener.tune((await listener.create(length=Length(count=500), pins=pins)).name)
    assert len(set(numbers(tuned))) == 500
    assert [request.count for request in world.recommender.requests] == [200, 200]
    assert all(tuned.items[each.position - 1].item == each.item for each in pins)
    assert not tuned.last_tuning.degradations


async def test_a_catalogue_that_is_too_small_gives_what_it_has_and_says_so(world: World) -> None:
    world.stock(8)
    world.recommender.degradations = [recommender_pb2.Degradation(subject="preferences", reason="SERVICE_UNAVAILABLE")]
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(length=Length(count=500), pins=[pin(3, 400)])).name)
    assert numbers(tuned) == [1, 2, 4, 5, 6, 7, 8, 3]
    assert lacks(tuned) == [("preferences", "SERVICE_UNAVAILABLE"), ("catalog", "NOT_ENOUGH_ITEMS")]


async def test_a_list_by_duration_is_the_longest_that_does_not_exceed_it(world: World) -> None:
    lengths = [200_000, 0, 250_000, 3_700_000, 190_000, 100_000, 40_000]
    world.recommender.stock(item(number, milliseconds=each) for number, each in enumerate(lengths, 1))
    listener = await world.listener()
    created = await listener.create(length=lasting(minutes=10))
    assert created.length == lasting(minutes=10)
    tuned = await listener.tune(created.name)
    # 200 + 250 + 100 + 40 s: the endless and the unknown cannot be used, and 190 s no longer fit.
    assert numbers(tuned) == [1, 3, 6, 7]
    assert tuned.last_tuning.total_duration.seconds == 590
    assert not tuned.last_tuning.degradations
    (request,) = world.recommender.requests
    assert request.tuning == tuning(duration_ms={"max": 600_000})


async def test_a_day_of_short_items_stops_at_500(world: World) -> None:
    world.stock(700, milliseconds=60_000)
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(length=lasting(hours=24), pins=[pin(9, 2)])).name)
    assert len(set(numbers(tuned))) == 500
    assert numbers(tuned)[1] == 9
    assert not tuned.last_tuning.degradations


async def test_a_pin_longer_than_the_list_is_in_all_the_same(world: World) -> None:
    world.recommender.stock([item(1, milliseconds=7_200_000), item(2)])
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(length=lasting(minutes=30), pins=[pin(1, 3)])).name)
    assert numbers(tuned) == [1]
    assert tuned.items[0].position == 1
    assert not world.recommender.requests


async def test_a_duration_that_the_catalogue_cannot_fill_is_said(world: World) -> None:
    world.recommender.stock([item(1), item(2), item(3, milliseconds=0)])
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(length=lasting(minutes=30))).name)
    assert numbers(tuned) == [1, 2]
    assert lacks(tuned) == [("catalog", "NOT_ENOUGH_ITEMS")]
    impossible = tuning(duration_ms={"min": 3_600_000, "target": 4_000_000})
    tuned = await listener.tune((await listener.create(length=lasting(minutes=30), tuning=impossible)).name)
    assert not tuned.items
    assert lacks(tuned) == [("catalog", "NOT_ENOUGH_ITEMS")]


async def test_a_duration_target_beyond_the_list_still_makes_a_valid_question(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    asked = tuning(duration_ms={"target": 900_000, "min": 100_000, "max": 1_000_000})
    tuned = await listener.tune((await listener.create(length=lasting(minutes=10), tuning=asked)).name)
    assert numbers(tuned) == [1, 2, 3]
    assert tuned.tuning == asked


async def test_energy_follows_the_curve_between_the_pins(world: World) -> None:
    world.stock(energies=[0.9, 0.1, 0.5, 0.7, 0.3, 0.4, 0.0, 1.0])
    listener = await world.listener()
    rising = await listener.tune((await listener.create(length=Length(count=6), energy_curve=[0, 1])).name)
    assert energies(world, rising.items) == [0.1, 0.3, 0.4, 0.5, 0.7, 0.9]
    arch = await listener.create(length=Length(count=5), energy_curve=[0, 1, 0], pins=[pin(7, 3)])
    tuned = await listener.tune(arch.name)
    # The four best, around a calm pin at the summit.
    assert sorted(numbers(tuned)) == [1, 2, 3, 4, 7]
    assert numbers(tuned)[2] == 7
    before, after = energies(world, tuned.items)[:2], energies(world, tuned.items)[3:]
    assert before == sorted(before)
    assert after == sorted(after, reverse=True)


async def test_a_stale_etag_is_aborted_and_nothing_is_asked(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    created = await listener.create()
    assert await refused(listener.tune(created.name, etag="stale")) == (Code.ABORTED, "ETAG_MISMATCH")
    assert not world.recommender.requests
    assert (await listener.tune(created.name, etag=created.etag)).items


async def test_a_vector_that_changes_while_it_is_tuned_is_aborted_and_keeps_the_change(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    name = (await listener.create()).name
    world.recommender.open.clear()
    tuning_call = asyncio.create_task(listener.tune(name))
    await asyncio.wait_for(world.recommender.asked.wait(), 10)
    changed = await listener.update(name, display_name="changed")
    world.recommender.open.set()
    assert await refused(tuning_call) == (Code.ABORTED, "ETAG_MISMATCH")
    assert await listener.get(name) == changed


async def test_a_vector_that_is_deleted_while_it_is_tuned_is_not_found_and_stays_away(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    name = (await listener.create()).name
    world.recommender.open.clear()
    tuning_call = asyncio.create_task(listener.tune(name))
    await asyncio.wait_for(world.recommender.asked.wait(), 10)
    await listener.delete(name)
    world.recommender.open.set()
    assert await refused(tuning_call) == (Code.NOT_FOUND, "TUNE_VECTOR_NOT_FOUND")
    assert await refused(listener.get(name)) == (Code.NOT_FOUND, "TUNE_VECTOR_NOT_FOUND")


async def test_of_many_tunings_at_once_each_one_that_answers_was_stored_whole(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    name = (await listener.create()).name
    results = await asyncio.gather(*(listener.tune(name) for _ in range(10)), return_exceptions=True)
    tuned = [result for result in results if isinstance(result, TuneVector)]
    assert tuned
    assert {error.code() for error in results if isinstance(error, grpc.aio.AioRpcError)} <= {Code.ABORTED}
    assert await listener.get(name) in tuned


async def test_with_the_recommender_away_the_items_stay(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(pins=[pin(1, 1)])).name)
    unpinned = await listener.tune((await listener.create()).name)
    await world.recommender_server.stop(None)
    assert await refused(listener.tune(tuned.name)) == (Code.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert await refused(listener.tune(unpinned.name)) == (Code.UNAVAILABLE, "SERVICE_UNAVAILABLE")
    assert await listener.get(tuned.name) == tuned


async def test_the_callers_deadline_ends_a_tuning_and_the_items_stay(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    created = await listener.create()
    world.recommender.open.clear()
    assert (await refused(listener.tune(created.name, timeout=0.5)))[0] == Code.DEADLINE_EXCEEDED
    world.recommender.open.set()
    assert await listener.get(created.name) == created


async def test_what_the_recommender_refuses_is_handed_on(world: World) -> None:
    world.stock(3)
    listener = await world.listener()
    created = await listener.create(seeds=audio_pb2.Seeds(items=[item(99).name]))
    assert await refused(listener.tune(created.name)) == (Code.NOT_FOUND, "SEED_NOT_FOUND")
