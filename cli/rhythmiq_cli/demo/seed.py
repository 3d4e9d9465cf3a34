"""Fills an empty mesh with the demo: its catalogue, and a listener whose surroundings are known."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import grpc
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.preference.v1 import preference_pb2
from rhythmiq.profile.v1 import profile_pb2
from rhythmiq.recommender.v1 import item_pb2, recommender_pb2
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.catalog.upload import MAX_BATCH_ITEMS
from rhythmiq_cli.client import CallError, Client, Request, Response, UnaryMethod
from rhythmiq_cli.demo.catalogue import demo_artist, demo_items

EMAIL = "demo@example.org"
TIME_ZONE = "Europe/Vienna"
CONSENT_VERSION = "demo-1"
# Who observed the demo's readings; those of a listener's own devices are never replaced.
READING_SOURCE = "demo"
# After this long the demo's own readings are taken anew, so that a demo of tomorrow does not recommend by stale ones.
_FRESH_FOR = timedelta(hours=1)

_TAKEN_UP_SECONDS = 5.0

Kind = variable_pb2.Variable.Kind
_KINDS: Sequence[Kind.ValueType] = (Kind.AMBIENT_NOISE, Kind.ACTIVITY, Kind.LOCAL_TIME, Kind.HEART_RATE, Kind.WEATHER)


@dataclass(frozen=True)
class Seeded:
    """What the demo found or made."""

    profile_name: str
    items: int
    # Whether the listener was made now, and not there before.
    new_listener: bool


def seed_demo(admin: Client, listener: Client, *, now: datetime | None = None) -> Seeded:
    """Imports the demo catalogue and makes the demo listener; what is there already stays as it is.

    A listener who has a preference or variable is left alone but for the demo's own outdated readings: an opt-out is
    never taken back. `now` must carry a time zone. Raises CallError.
    """
    moment = now or datetime.now(UTC)
    items = demo_items()
    batches = [items[start : start + MAX_BATCH_ITEMS] for start in range(0, len(items), MAX_BATCH_ITEMS)]
    admin.import_items([item_pb2.ImportItemsRequest(items=batch) for batch in batches]).result()
    new = _create_profile(listener)
    if new or _is_bare(listener):
        _opt_in_and_prefer(listener)
    _refresh_readings(listener, moment)
    _wait_until_recommended(listener)
    return Seeded(listener.profile_name, len(items), new)


def _create_profile(listener: Client) -> bool:
    profile = profile_pb2.Profile(email=EMAIL, display_name="Demo Listener", locale="en-GB", time_zone=TIME_ZONE)
    return _unless_there(listener, listener.profiles.CreateProfile, profile_pb2.CreateProfileRequest(profile=profile))


def _is_bare(listener: Client) -> bool:
    """Whether an earlier demo was interrupted before it had made anything below the profile."""
    parent = listener.profile_name
    preferences = listener.call(
        listener.preferences.ListPreferences, preference_pb2.ListPreferencesRequest(parent=parent, page_size=1)
    )
    variables = listener.call(
        listener.variables.ListVariables, variable_pb2.ListVariablesRequest(parent=parent, page_size=1)
    )
    return not preferences.preferences and not variables.variables


def _opt_in_and_prefer(listener: Client) -> None:
    parent = listener.profile_name
    for kind in _KINDS:
        variable = variable_pb2.Variable(kind=kind, consent_version=CONSENT_VERSION)
        request = variable_pb2.CreateVariableRequest(parent=parent, variable=variable)
        _unless_there(listener, listener.variables.CreateVariable, request)
    for preference in demo_preferences():
        wanted = preference_pb2.CreatePreferenceRequest(parent=parent, preference=preference)
        _unless_there(listener, listener.preferences.CreatePreference, wanted)


def demo_preferences() -> list[preference_pb2.Preference]:
    """What the demo listener sets."""
    types = preference_pb2.Preference.Type
    return [
        preference_pb2.Preference(type=types.GENRE, value="jazz", weight=0.4),
        preference_pb2.Preference(type=types.GENRE, value="house", weight=0.4),
        preference_pb2.Preference(type=types.GENRE, value="metal", weight=-0.9),
        preference_pb2.Preference(type=types.INSTRUMENT, value="piano", weight=0.3),
        preference_pb2.Preference(type=types.TEMPO, value="90-130", weight=0.2),
        preference_pb2.Preference(type=types.ARTIST, value=demo_artist("soul"), weight=0.5),
    ]


def _refresh_readings(listener: Client, now: datetime) -> None:
    """Records a reading for each kind that has none, or an outdated one of the demo's own."""
    parent = listener.profile_name
    environment = listener.call(
        listener.variables.GetEnvironment, variable_pb2.GetEnvironmentRequest(name=f"{parent}/environment")
    )
    wanted = set(environment.missing_kinds)
    for value in environment.values:
        if value.reading.source == READING_SOURCE and value.age.ToTimedelta() > _FRESH_FOR:
            wanted.add(value.reading.kind)
    readings = [reading for reading in _readings(now) if reading.kind in wanted]
    if readings:
        listener.call(
            listener.variables.BatchRecordReadings,
            variable_pb2.BatchRecordReadingsRequest(parent=parent, readings=readings),
        )


def _wait_until_recommended(listener: Client) -> None:
    """The recommender takes imported items up within about a second: a first look at an empty answer would mislead.

    Gives up quietly after a few seconds; the items are stored all the same.
    """
    request = recommender_pb2.RecommendRequest(parent=listener.profile_name, count=1)
    deadline = time.monotonic() + _TAKEN_UP_SECONDS
    while not listener.call(listener.recommender.Recommend, request).recommendations and time.monotonic() < deadline:
        time.sleep(0.05)


def _readings(now: datetime) -> list[variable_pb2.Reading]:
    activity, weather = environment_pb2.Environment.Activity, environment_pb2.Environment.Weather
    readings = [
        variable_pb2.Reading(kind=Kind.AMBIENT_NOISE, number=52.0),
        variable_pb2.Reading(kind=Kind.ACTIVITY, activity=activity.WORKING),
        variable_pb2.Reading(kind=Kind.HEART_RATE, number=72.0),
        variable_pb2.Reading(kind=Kind.WEATHER, weather=weather.CLOUDY),
    ]
    with suppress(ZoneInfoNotFoundError):  # a machine without tzdata: the profile's zone stands in for the reading
        local = now.astimezone(ZoneInfo(TIME_ZONE))
        clock = TimeOfDay(hours=local.hour, minutes=local.minute)
        readings.append(variable_pb2.Reading(kind=Kind.LOCAL_TIME, local_time=clock))
    for reading in readings:
        reading.source = READING_SOURCE
        reading.observe_time.FromDatetime(now.astimezone(UTC))
    return readings


def _unless_there(client: Client, method: UnaryMethod[Request, Response], request: Request) -> bool:
    """Creates something; False when it was there before."""
    try:
        client.call(method, request)
    except CallError as refusal:
        if refusal.status is grpc.StatusCode.ALREADY_EXISTS:
            return False
        raise
    return True
