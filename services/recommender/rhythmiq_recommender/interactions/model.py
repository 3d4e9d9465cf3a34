"""An interaction and its rules."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from hashlib import sha1
from typing import Final, NamedTuple
from uuid import UUID

from rhythmiq_mesh.errors import InvalidArgument, MeshError, NotFound
from rhythmiq_mesh.names import child_name, profile_id_of
from rhythmiq_recommender.model import RESOURCE_TYPE as ITEM_TYPE
from rhythmiq_recommender.model import item_name
from rhythmiq_recommender.situation import EnvironmentKind, EnvironmentValue

RESOURCE_TYPE: Final = "rhythmiq.dev/Interaction"
COLLECTION: Final = "interactions"
MAX_AHEAD: Final = timedelta(minutes=5)
"""How far a device's clock may be ahead of ours."""
CAPTURED_WITHIN: Final = timedelta(minutes=5)
"""Age of an event up to which the present surroundings are taken for those of the event."""
NAMESPACE: Final = UUID("3f1f6c58-4a0e-5f6d-8e0b-6a8d1a2f7c90")
"""Interaction ids are UUIDs of version 5 (RFC 9562) in this namespace."""

_NAMESPACE_BYTES: Final = NAMESPACE.bytes
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

Environment = Mapping[EnvironmentKind, EnvironmentValue]


class Type(Enum):
    """What the listener did; IMPRESSION: was shown."""

    IMPRESSION = "IMPRESSION"
    PLAY = "PLAY"
    COMPLETE = "COMPLETE"
    SKIP = "SKIP"
    LIKE = "LIKE"
    DISLIKE = "DISLIKE"
    SAVE = "SAVE"


class Draft(NamedTuple):
    """An interaction as it arrives; a named tuple, because a stream brings thousands a second.

    `event_time` is whole milliseconds. `environment` None: not told. `list` is a resource name, or empty.
    """

    item_id: str
    type: Type
    event_time: datetime
    source: str
    environment: Environment | None = None
    list: str = ""
    position: int | None = None
    propensity: float | None = None
    played: timedelta | None = None


class Interaction(NamedTuple):
    """A stored interaction; `list_id` is a tune vector's id, or empty; `create_time` is when it reached the service."""

    id: str
    profile_id: str
    item_id: str
    type: Type
    event_time: datetime
    source: str
    environment: Environment
    list_id: str
    position: int | None
    propensity: float | None
    played: timedelta | None
    create_time: datetime
    expire_time: datetime

    @property
    def name(self) -> str:
        """The resource name."""
        return child_name(self.profile_id, COLLECTION, self.id)


@dataclass(frozen=True, slots=True)
class Shared:
    """The kinds that a listener shares now, and the present values of those that have a fresh reading.

    A local time is that of `time`.
    """

    kinds: frozenset[EnvironmentKind]
    values: Environment
    time: datetime

    def environment(self, draft: Draft) -> Environment:
        """What may be kept with a draft: what it says, else the present values if it is of the present."""
        if draft.environment is not None:
            return {kind: value for kind, value in draft.environment.items() if kind in self.kinds}
        if not self.values or draft.event_time < self.time - CAPTURED_WITHIN:
            return {}
        local_time = self.values.get("local_time")
        if not isinstance(local_time, float):
            return self.values
        since = (self.time - draft.event_time) / timedelta(hours=1)
        return {**self.values, "local_time": (local_time - since) % 24}


NOTHING_SHARED: Final = frozenset[EnvironmentKind]()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording did: the interactions in the order of the request, as they are stored, and how many were new."""

    interactions: Sequence[Interaction]
    new: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What a stream of recordings did."""

    new: int = 0
    duplicates: int = 0

    def plus(self, recorded: Recorded) -> Tally:
        """The tally after another message of the stream."""
        return Tally(self.new + recorded.new, self.duplicates + len(recorded.interactions) - recorded.new)


@dataclass(frozen=True, slots=True)
class Span:
    """Happened at or after `start` and before `end`, where given."""

    start: datetime | None = None
    end: datetime | None = None


def interaction_id(profile_id: str, draft: Draft) -> str:
    """Follows from profile, item, type, time and source, so that the primary key makes recording idempotent.

    Equals `str(uuid5(NAMESPACE, f"{profile_id} {item_id} {type} {milliseconds} {source}"))`, at a third of the time.
    """
    milliseconds = (draft.event_time - _EPOCH) // _MILLISECOND
    name = f"{profile_id} {draft.item_id} {draft.type.value} {milliseconds} {draft.source}"
    digest = sha1(_NAMESPACE_BYTES + name.encode(), usedforsecurity=False).digest()
    versioned = (int.from_bytes(digest[:16]) & ~(0xF000 << 64) & ~(0xC000 << 48)) | (5 << 76) | (0x8000 << 48)
    text = f"{versioned:032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def interaction(profile_id: str, draft: Draft, shared: Shared, now: datetime, retention: timedelta) -> Interaction:
    """The interaction that a draft becomes."""
    return Interaction(
        interaction_id(profile_id, draft),
        profile_id,
        draft.item_id,
        draft.type,
        draft.event_time,
        draft.source,
        shared.environment(draft),
        draft.list.rpartition("/")[2],
        draft.position,
        draft.propensity,
        draft.played,
        now,
        draft.event_time + retention,
    )


def first_refusal(
    profile_id: str,
    drafts: Sequence[Draft],
    unknown_items: Collection[str],
    now: datetime,
    retention: timedelta,
    field: Callable[[int], str],
) -> tuple[int, MeshError] | None:
    """Index of the first draft that breaks a rule, and the error, which names `field(index)`."""
    latest, earliest = now + MAX_AHEAD, now - retention
    for index, draft in enumerate(drafts):
        if draft.event_time > latest:
            return index, _bad_time(field(index), "EVENT_IN_FUTURE", "is more than 5 minutes in the future")
        if draft.event_time <= earliest:
            days = f"{retention.days} days"
            return index, _bad_time(field(index), "EVENT_EXPIRED", f"is longer ago than interactions are kept, {days}")
        if draft.list and profile_id_of(draft.list) != profile_id:
            rule = "belongs to another listener: only lists below your own profile can be named"
            return index, InvalidArgument.of(f"{field(index)}.list", rule, reason="LIST_OF_ANOTHER")
        if draft.item_id in unknown_items:
            return index, UnknownItem(draft.item_id, field(index))
    return None


def _bad_time(field: str, reason: str, rule: str) -> InvalidArgument:
    return InvalidArgument.of(f"{field}.event_time", rule, reason=reason)


class UnknownItem(NotFound):
    """An interaction names an item that the catalogue does not have."""

    def __init__(self, item_id: str, field: str) -> None:
        name = item_name(item_id)
        super().__init__(
            f"{field}.item: {name} does not exist: list items to see what there is",
            resource_type=ITEM_TYPE,
            resource_name=name,
            reason="ITEM_NOT_FOUND",
        )
        self.item_id = item_id


class InteractionGone(NotFound):
    """What a repeated request stored has been erased or has expired since."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was stored by this request_id and has been erased or has expired since: it is not stored again",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="INTERACTION_GONE",
        )
