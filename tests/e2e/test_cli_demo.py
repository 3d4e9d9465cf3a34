"""The demo fills an empty mesh once, and never takes a choice of the listener back."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from local_mesh import LocalMesh

from rhythmiq.preference.v1 import preference_pb2
from rhythmiq.recommender.v1 import recommender_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.client import Client
from rhythmiq_cli.demo import seed_demo

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


def environment(listener: Client) -> variable_pb2.GetEnvironmentResponse:
    name = f"{listener.profile_name}/environment"
    return listener.call(listener.variables.GetEnvironment, variable_pb2.GetEnvironmentRequest(name=name))


def preferences(listener: Client) -> list[preference_pb2.Preference]:
    request = preference_pb2.ListPreferencesRequest(parent=listener.profile_name)
    return list(listener.call(listener.preferences.ListPreferences, request).preferences)


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
