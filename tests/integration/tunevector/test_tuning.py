"""Tuning over a real tune vector service and a small recommender behind a real server."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import grpc
import pytest
from eventually import eventually
from google.protobuf.duration_pb2 import Duration
from small_recommender import Item, item
from tunevector_world import Length, TuneVector, World, energies, numbers, pin, refused

from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.type.v1 import audio_pb2, environment_pb2

Code = grpc.StatusCode
RUNNING = environment_pb2.Environment(activity=environment_pb2.Environment.RUNNING, ambient_noise_dba=78)
EVERY_ENERGY = [number / 100 for number in range(100)]


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
    assert lacks(tuned) == [
        ("preferences", "SERVICE_UNAVAILABLE"),
        ("catalog", "NOT_ENOUGH_ITEMS"),
        ("pins", "PIN_MOVED"),
    ]


async def test_a_list_by_duration_comes_as_near_to_it_as_the_candidates_allow(world: World) -> None:
    lengths = [200_000, 0, 250_000, 3_700_000, 190_000, 100_000, 40_000]
    world.recommender.stock(item(number, milliseconds=each) for number, each in enumerate(lengths, 1))
    listener = await world.listener()
    created = await listener.create(length=lasting(minutes=10))
    assert created.length == lasting(minutes=10)
    tuned = await listener.tune(created.name)
    # The best and the third would leave 150 s, for which there is nothing but 140; the endless and the unknown are out.
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


async def test_an_exact_fit_is_found_where_taking_the_best_first_would_miss_it(world: World) -> None:
    lengths = [200_000, 220_000, 210_000, 190_000, 170_000, 230_000]
    world.recommender.stock(item(number, milliseconds=each) for number, each in enumerate(lengths, 1))
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(length=lasting(minutes=10))).name)
    # 200 + 220 leave 180 s, for which there is only 170; 200 + 210 + 190 s are all of it.
    assert numbers(tuned) == [1, 3, 4]
    assert tuned.last_tuning.total_duration.seconds == 600


async def test_pins_longer_than_the_list_are_in_all_the_same_and_the_list_says_so(world: World) -> None:
    world.recommender.stock([item(1, milliseconds=500_000), item(2, milliseconds=260_000), item(3)])
    listener = await world.listener()
    created = await listener.create(length=lasting(minutes=1), pins=[pin(1, 1), pin(2, 2)])
    tuned = await listener.tune(created.name)
    assert numbers(tuned) == [1, 2]
    assert lacks(tuned) == [("pins", "PINS_EXCEED_LENGTH")]
    (told,) = tuned.last_tuning.degradations
    assert "12:40 min" in told.text
    assert "1:00 min" in told.text
    assert not world.recommender.requests
    # As long as the list is not longer than the list.
    world.recommender.stock([item(1, milliseconds=60_000), item(3)])
    tuned = await listener.tune((await listener.create(length=lasting(minutes=1), pins=[pin(1, 1)])).name)
    assert not tuned.last_tuning.degradations


async def test_a_pin_beyond_the_end_comes_last_and_the_list_says_so(world: World) -> None:
    world.stock(30)
    listener = await world.listener()
    created = await listener.create(length=lasting(minutes=12), pins=[pin(9, 1), pin(7, 40), pin(8, 20)])
    tuned = await listener.tune(created.name)
    # Four of three minutes.
    assert numbers(tuned) == [9, 1, 8, 7]
    assert lacks(tuned) == [("pins", "PIN_MOVED")]
    assert "position 20 is at 3, 40 is at 4" in tuned.last_tuning.degradations[0].text


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
    world.stock(energies=EVERY_ENERGY)
    listener = await world.listener()
    for surroundings in (environment_pb2.Environment(), RUNNING):
        created = await listener.create(length=Length(count=9), energy_curve=[0.1, 0.9, 0.1], pins=[pin(8, 5)])
        tuned = await listener.tune(created.name, environment=surroundings)
        found = energies(world, tuned.items)
        assert found.pop(4) == 0.07  # the pin stays at the summit, calm as it is
        assert found == pytest.approx([0.1, 0.3, 0.5, 0.7, 0.7, 0.5, 0.3, 0.1], abs=0.03)
        assert len(set(numbers(tuned))) == 9
        assert not tuned.last_tuning.degradations


async def test_a_curve_asks_for_each_level_at_once_and_for_all_else_alike(world: World) -> None:
    world.stock(energies=EVERY_ENERGY)
    listener = await world.listener()
    asked = tuning(energy={"target": 0.5, "weight": 1}, valence={"target": 0.7})
    created = await listener.create(
        tuning=asked,
        seeds=audio_pb2.Seeds(genres=["jazz"]),
        energy_curve=[0, 1],
        pins=[pin(50, 3)],
    )
    world.recommender.open.clear()
    call = asyncio.create_task(listener.tune(created.name, environment=RUNNING, seed=7))
    await eventually(lambda: len(world.recommender.requests) == 4)  # none of them is answered before all are there
    world.recommender.open.set()
    tuned = await call
    requests = sorted(world.recommender.requests, key=lambda each: each.tuning.features["energy"].target)
    assert [each.tuning.features["energy"].target for each in requests] == pytest.approx([0, 0.25, 0.75, 1])
    for request in requests:
        request.tuning.features["energy"].target = 0
        assert request == requests[0]
    assert requests[0].tuning.features["valence"] == asked.features["valence"]
    assert (requests[0].seed, list(requests[0].exclude_items)) == (7, [item(50).name])
    assert tuned.tuning == created.tuning


async def test_nothing_is_explored_in_a_list_and_variety_does_not_pull_away_from_its_curve(world: World) -> None:
    listener = await world.listener()
    world.stock(energies=EVERY_ENERGY)
    for curve in ([], [0.1, 0.9]):
        await listener.tune((await listener.create(length=Length(count=5), energy_curve=curve)).name)
    plain, *along = world.recommender.requests
    assert not plain.HasField("diversity")
    assert len(along) > 1
    assert all(request.HasField("diversity") and request.diversity == 0 for request in along)
    assert all(request.HasField("explore") and not request.explore for request in world.recommender.requests)


async def test_hard_bounds_of_the_listener_hold_against_the_curve(world: World) -> None:
    world.stock(energies=EVERY_ENERGY)
    listener = await world.listener()
    bounds = tuning(energy={"min": 0.4, "max": 0.6, "target": 0.45})
    created = await listener.create(length=Length(count=9), tuning=bounds, energy_curve=[0, 1, 0])
    tuned = await listener.tune(created.name)
    found = energies(world, tuned.items)
    assert 0.4 <= min(found) < 0.45 < 0.55 < max(found) <= 0.6
    assert found[:5] == sorted(found[:5])
    assert lacks(tuned) == [("energy_curve", "CURVE_NOT_REACHED")]


async def test_a_curve_over_a_playing_time_fills_it_too(world: World) -> None:
    lengths = [170_000 + 1_000 * (37 * number % 90) for number in range(100)]
    world.recommender.stock(
        item(number + 1, energy=number / 100, milliseconds=each) for number, each in enumerate(lengths)
    )
    listener = await world.listener()
    created = await listener.create(length=lasting(minutes=40), energy_curve=[0.9, 0.1])
    tuned = await listener.tune(created.name)
    found = energies(world, tuned.items)
    assert found == sorted(found, reverse=True)
    assert found[0] > 0.8
    assert found[-1] < 0.2
    assert tuned.last_tuning.total_duration.seconds == 2400
    assert not tuned.last_tuning.degradations


@pytest.mark.parametrize("energies_there", [[0.3] * 30, None])
async def test_a_curve_that_the_catalogue_cannot_follow_is_said(
    world: World, energies_there: list[float] | None
) -> None:
    if energies_there is None:
        world.recommender.stock(item(number, energy=None) for number in range(1, 31))
    else:
        world.stock(energies=energies_there)
    listener = await world.listener()
    tuned = await listener.tune((await listener.create(energy_curve=[0.1, 0.9, 0.1])).name)
    assert len(set(numbers(tuned))) == 5
    assert lacks(tuned) == [("energy_curve", "CURVE_NOT_REACHED")]


async def test_levels_that_share_their_items_still_fill_the_list_without_repeating_any(world: World) -> None:
    world.stock(energies=[0.5] * 12)
    listener = await world.listener()
    created = await listener.create(length=Length(count=12), energy_curve=[0.45, 0.55])
    tuned = await listener.tune(created.name)
    assert sorted(numbers(tuned)) == list(range(1, 13))
    assert not tuned.last_tuning.degradations


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
