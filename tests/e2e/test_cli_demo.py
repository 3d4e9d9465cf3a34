"""The demo fills an empty mesh once, and never takes a choice of the listener back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from local_mesh import LocalMesh, wait_until

from rhythmiq.preference.v1 import preference_pb2
from rhythmiq.recommender.v1 import interaction_pb2, recommender_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.client import Client
from rhythmiq_cli.demo import seed_demo
from rhythmiq_cli.demo.histories import LISTENERS, MOST_A_LISTENER, Written, subject_of, write_histories

Kind = variable_pb2.Variable.Kind


@pytest.fixture(scope="module")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalMesh]:
    """An empty mesh of this module's own."""
    running = LocalMesh(tmp_path_factory.mktemp("demo-mesh") / "state", "--no-demo")
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def admin(mesh: LocalMesh) -> Iterator[Client]:
    with Client(mesh.base_url, mesh.token(admin=True)) as client:
        yield client


@pytest.fixture
def listener(mesh: LocalMesh) -> Iterator[Client]:
    with Client(mesh.base_url, mesh.token()) as client:
        yield client


@pytest.fixture
def owner(mesh: LocalMesh) -> Callable[[str], Client]:
    """Opens a client for a subject."""
    return lambda subject: Client(mesh.base_url, mesh.token(subject))


def past(listener: Client) -> list[interaction_pb2.Interaction]:
    """All interactions, newest first."""
    found: list[interaction_pb2.Interaction] = []
    request = interaction_pb2.ListInteractionsRequest(parent=listener.profile_name, page_size=200)
    while True:
        page = listener.call(listener.interactions.ListInteractions, request)
        found += page.interactions
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def shared(listener: Client) -> set[str]:
    """Kinds opted into."""
    request = variable_pb2.ListVariablesRequest(parent=listener.profile_name)
    variables = listener.call(listener.variables.ListVariables, request).variables
    return {Kind.Name(variable.kind).lower() for variable in variables}


def environment(listener: Client) -> variable_pb2.GetEnvironmentResponse:
    name = f"{listener.profile_name}/environment"
    return listener.call(listener.variables.GetEnvironment, variable_pb2.GetEnvironmentRequest(name=name))


def preferences(listener: Client) -> list[preference_pb2.Preference]:
    request = preference_pb2.ListPreferencesRequest(parent=listener.profile_name)
    return list(listener.call(listener.preferences.ListPreferences, request).preferences)


def learned(listener: Client) -> set[str]:
    """Values of learned preferences."""
    return {one.value for one in preferences(listener) if one.origin == preference_pb2.Preference.LEARNED}


def reasons(listener: Client, genre: str) -> set[str]:
    """What is said for items of a genre."""
    wanted = recommender_pb2.RecommendFilter(genres=[genre])
    request = recommender_pb2.RecommendRequest(parent=listener.profile_name, count=5, filter=wanted)
    found = listener.call(listener.recommender.Recommend, request).recommendations
    return {reason.text for one in found for reason in one.reasons}


def test_demo_can_be_made_again_without_a_second_of_anything(admin: Client, listener: Client) -> None:
    earlier = datetime.now(UTC) - timedelta(hours=3)
    first = seed_demo(admin, listener, now=earlier)
    assert first.new_listener
    found = environment(listener)
    assert {value.reading.kind for value in found.values} >= {Kind.AMBIENT_NOISE, Kind.ACTIVITY, Kind.HEART_RATE}
    assert len(preferences(listener)) == 6
    wanted = recommender_pb2.RecommendRequest(parent=listener.profile_name, count=5)
    assert len(listener.call(listener.recommender.Recommend, wanted).recommendations) == 5

    again = seed_demo(admin, listener, now=earlier)
    assert not again.new_listener
    assert len(preferences(listener)) == 6
    assert [value.reading for value in environment(listener).values] == [value.reading for value in found.values]


def test_outdated_readings_of_the_demo_are_taken_anew(admin: Client, listener: Client) -> None:
    seed_demo(admin, listener, now=datetime.now(UTC) - timedelta(hours=3))
    seed_demo(admin, listener)
    assert max(value.age.ToTimedelta() for value in environment(listener).values) < timedelta(hours=1)


def test_opt_out_and_own_readings_of_the_listener_stay(admin: Client, listener: Client) -> None:
    seed_demo(admin, listener)
    parent = listener.profile_name
    variables = listener.call(listener.variables.ListVariables, variable_pb2.ListVariablesRequest(parent=parent))
    weather = next(one for one in variables.variables if one.kind == Kind.WEATHER)
    listener.call(listener.variables.DeleteVariable, variable_pb2.DeleteVariableRequest(name=weather.name))
    reading = variable_pb2.Reading(kind=Kind.AMBIENT_NOISE, number=66.0, source="phone")
    reading.observe_time.FromDatetime(datetime.now(UTC) + timedelta(minutes=1))
    request = variable_pb2.RecordReadingRequest(parent=parent, reading=reading)
    listener.call(listener.variables.RecordReading, request)

    seed_demo(admin, listener)
    found = {value.reading.kind: value.reading for value in environment(listener).values}
    assert found[Kind.AMBIENT_NOISE].number == 66.0
    assert Kind.WEATHER not in found


def test_everybody_of_the_demo_gets_a_past_once_and_an_interrupted_start_goes_on(
    admin: Client, listener: Client, owner: Callable[[str], Client]
) -> None:
    seed_demo(admin, listener)
    asked = iter(range(LISTENERS))
    first = write_histories(owner, stopped=lambda: next(asked) == 3)
    assert first.listeners == 3
    assert not first.complete
    second = write_histories(owner)
    assert second.complete
    assert second.listeners == LISTENERS - 3
    assert write_histories(owner) == Written(0, 0, complete=True)

    kept = 0
    for number in range(LISTENERS):
        with owner(subject_of(number)) as one:
            events = past(one)
        assert 0 < len(events) <= MOST_A_LISTENER
        kept += len(events)
        newest, oldest = (datetime.now(UTC) - event.event_time.ToDatetime(UTC) for event in (events[0], events[-1]))
        assert timedelta(0) <= newest <= oldest < timedelta(days=62)
    assert kept == first.interactions + second.interactions


def test_past_has_only_surroundings_that_are_shared(
    admin: Client, listener: Client, owner: Callable[[str], Client]
) -> None:
    seed_demo(admin, listener)
    write_histories(owner)
    names = {"ambient_noise_dba": "ambient_noise", "illuminance_lux": "illuminance", "heart_rate_bpm": "heart_rate"}
    names |= {"temperature_celsius": "temperature", "humidity_percent": "humidity", "speed_mps": "speed"}
    for number in range(8):
        with owner(subject_of(number)) as one:
            told = {
                names.get(field.name, field.name) for event in past(one) for field, _ in event.environment.ListFields()
            }
            assert told
            assert told <= shared(one)


def test_first_start_is_told_when_the_past_is_complete_and_later_starts_add_nothing(tmp_path: Path) -> None:
    running = LocalMesh(tmp_path / "state")
    running.start()
    assert running.stop() == 0  # most likely while the past is being recorded

    running.start()
    try:
        wait_until(lambda: running.state.joinpath("demo-histories.done").exists(), 60, "everybody has a past")
        wait_until(lambda: "The demo's past is complete" in running.output(), 10, "the command has said so")
        with Client(running.base_url, running.token()) as demo:
            before = past(demo)
            wait_until(lambda: "latin" in learned(demo), 20, "something is learned of the demo listener")
            assert "latin, which you seem to like" in reasons(demo, genre="latin")
            own = {one.value for one in preferences(demo) if one.origin == preference_pb2.Preference.SET}
            assert len(own) == 6
            assert not learned(demo) & own
    finally:
        assert running.stop() == 0
    running.start()
    try:
        assert "past" not in running.output()
        with Client(running.base_url, running.token()) as demo:
            assert past(demo) == before
    finally:
        running.stop()
