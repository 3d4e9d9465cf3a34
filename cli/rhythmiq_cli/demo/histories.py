"""Gives the demo listener a past, and company: a small demo world, recorded through the API as any client would.

Each listener's past is one batch, which is stored as a whole or not at all. So who has a past has all of it, and an
interrupted start goes on with those who have none.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.type.timeofday_pb2 import TimeOfDay

from rhythmiq.profile.v1 import profile_pb2
from rhythmiq.recommender.v1 import interaction_pb2, item_pb2
from rhythmiq.type.v1 import environment_pb2
from rhythmiq.variable.v1 import variable_pb2
from rhythmiq_cli.client import CallError, Client
from rhythmiq_cli.demo.catalogue import demo_artist
from rhythmiq_cli.demo.world import KINDS, TYPES, VOCABULARY, Planted, World, make_world
from rhythmiq_cli.demo.world.moments import ZONES
from rhythmiq_cli.identity.tokens import DEMO_SUBJECT

LISTENERS: Final = 40
INTERACTIONS: Final = 12_000
SOURCE: Final = "demo"
MOST_A_LISTENER: Final = 1_000
"""Interactions in one batch, as the API takes them."""
CONSENT_VERSION: Final = "demo-1"

# Of a few tried, one by which the demo listener listens much.
_SEED: Final = 20_240_239
_UNITS: Final = {
    "ambient_noise": "ambient_noise_dba",
    "illuminance": "illuminance_lux",
    "temperature": "temperature_celsius",
    "humidity": "humidity_percent",
    "heart_rate": "heart_rate_bpm",
    "speed": "speed_mps",
}

Open = Callable[[str], Client]
"""Opens a client for the owner of a subject's profile."""


@dataclass(frozen=True)
class Written:
    """What was added, and whether everybody has a past now."""

    listeners: int = 0
    interactions: int = 0
    complete: bool = True


def subject_of(listener: int) -> str:
    """Subject of a listener's tokens; the first one is the demo listener."""
    return DEMO_SUBJECT if listener == 0 else f"{DEMO_SUBJECT}-{listener + 1:02d}"


def demo_world(now: datetime) -> World:
    """The world of which the demo listener is the first one.

    That listener's taste is mostly what the demo's preferences tell of; but latin, which they do not name, is heard the
    most. So there is something to learn that has not been said: a preference that is set is never learned.
    """
    taste = Planted(
        genres=("latin", "jazz"),
        disliked_genre="metal",
        artists=(demo_artist("soul"), demo_artist("jazz")),
        sound="valence",
        lean=1.0,
        tempo=(90.0, 130.0),
        instrument="piano",
    )
    return make_world(LISTENERS, INTERACTIONS, _SEED, end=now.timestamp(), planted={0: taste})


def write_histories(
    open_: Open, *, now: datetime | None = None, stopped: Callable[[], bool] = lambda: False
) -> Written:
    """Records the past of all who have none, until `stopped`. Needs the demo catalogue and the demo listener.

    Only kinds that a listener shares are sent; the demo listener's choice is as it is now. Raises CallError.
    """
    world = demo_world(now or datetime.now(UTC))
    with open_(DEMO_SUBJECT) as reader:
        names = _item_names(reader)
    listeners = interactions = 0
    for listener in range(world.listeners):
        if stopped():
            return Written(listeners, interactions, complete=False)
        with open_(subject_of(listener)) as owner:
            if listener:
                _introduce(owner, listener, world)
            if not _has_past(owner):
                shared = _shared(owner)
                interactions += _record(owner, past_of(world, listener, names, shared))
                listeners += 1
    return Written(listeners, interactions)


def past_of(
    world: World, listener: int, names: Mapping[str, str], shared: Collection[str]
) -> list[interaction_pb2.Interaction]:
    """The newest interactions of a listener, oldest first, with the surroundings that are both shared and known.

    `names`: external id to resource name of each item that is there. What the world keeps of the demo listener is not
    looked at, as the demo listener's own choice counts.
    """
    there = world.surroundings if listener == 0 else world.kept
    events = world.events
    ahead = world.sessions.ahead
    found = []
    rows = np.flatnonzero(events.listener == listener)
    there_still = np.array([name in names for name in world.items.external_id])
    for row in rows[there_still[events.item[rows]]][-MOST_A_LISTENER:]:
        session = int(events.session[row])
        known = {kind: value for kind, value in there.row(session).items() if kind in shared}
        time = float(events.time[row])
        if "local_time" in known:
            known["local_time"] = (time / 3600 + float(ahead[world.sessions.zone[session]])) % 24
        position, played = int(events.position[row]), float(events.played[row])
        found.append(
            interaction_pb2.Interaction(
                item=names[world.items.external_id[events.item[row]]],
                type=interaction_pb2.Interaction.Type.Value(TYPES[events.type[row]]),
                event_time=_timestamp(time),
                source=SOURCE,
                environment=environment_of(known),
                position=position if position > 0 else None,
                propensity=float(events.propensity[row]) if position > 0 else None,
                played=None if np.isnan(played) else Duration(seconds=round(played)),
            )
        )
    return found


def environment_of(known: Mapping[str, float | str]) -> environment_pb2.Environment:
    """Values as the API takes them."""
    message = environment_pb2.Environment()
    for kind, value in known.items():
        if kind in VOCABULARY:
            # The vocabulary is in the order of the API's enums, whose first value is 0 for "unspecified".
            setattr(message, kind, 1 + VOCABULARY[kind].index(str(value)))
        elif kind == "local_time":
            minutes = int(float(value) * 60)
            message.local_time.CopyFrom(TimeOfDay(hours=minutes // 60, minutes=minutes % 60))
        else:
            setattr(message, _UNITS[kind], round(float(value), 2))
    return message


def _timestamp(time: float) -> Timestamp:
    milliseconds = round(time * 1000)
    return Timestamp(seconds=milliseconds // 1000, nanos=milliseconds % 1000 * 1_000_000)


def _introduce(owner: Client, listener: int, world: World) -> None:
    """Makes the profile and the opt-ins; what is there already stays as it is."""
    subject = subject_of(listener)
    profile = profile_pb2.Profile(
        email=f"{subject}@example.org",
        display_name=f"Demo Listener {listener + 1}",
        locale="en-GB",
        time_zone=ZONES[listener % len(ZONES)],
    )
    with _already_there():
        owner.call(owner.profiles.CreateProfile, profile_pb2.CreateProfileRequest(profile=profile))
    for kind, opted in zip(KINDS, world.opted[listener], strict=True):
        if opted:
            number = variable_pb2.Variable.Kind.Value(kind.upper())
            variable = variable_pb2.Variable(kind=number, consent_version=CONSENT_VERSION)
            request = variable_pb2.CreateVariableRequest(parent=owner.profile_name, variable=variable)
            with _already_there():
                owner.call(owner.variables.CreateVariable, request)


def _shared(owner: Client) -> set[str]:
    """Kinds that the listener shares now."""
    request = variable_pb2.ListVariablesRequest(parent=owner.profile_name, page_size=50)
    found = owner.call(owner.variables.ListVariables, request).variables
    return {variable_pb2.Variable.Kind.Name(variable.kind).lower() for variable in found}


def _has_past(owner: Client) -> bool:
    """Whether an earlier start has recorded this listener's past."""
    listing = interaction_pb2.ListInteractionsRequest(parent=owner.profile_name, page_size=200)
    while True:
        page = owner.call(owner.interactions.ListInteractions, listing)
        if any(one.source == SOURCE for one in page.interactions):
            return True
        if not page.next_page_token:
            return False
        listing.page_token = page.next_page_token


def _record(owner: Client, past: list[interaction_pb2.Interaction]) -> int:
    """All or none; how many were new."""
    if not past:
        return 0
    request = interaction_pb2.BatchRecordInteractionsRequest(parent=owner.profile_name, interactions=past)
    return owner.call(owner.interactions.BatchRecordInteractions, request).recorded_count


def _item_names(reader: Client) -> dict[str, str]:
    """External id to resource name of everything in the catalogue."""
    names: dict[str, str] = {}
    listing = item_pb2.ListItemsRequest(page_size=200)
    while True:
        page = reader.call(reader.catalog.ListItems, listing)
        names |= {item.external_id: item.name for item in page.items}
        if not page.next_page_token:
            return names
        listing.page_token = page.next_page_token


@contextmanager
def _already_there() -> Iterator[None]:
    """What is there already is not made again."""
    try:
        yield
    except CallError as refusal:
        if refusal.status is not grpc.StatusCode.ALREADY_EXISTS:
            raise
