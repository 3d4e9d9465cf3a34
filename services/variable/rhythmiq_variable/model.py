"""Variables, their readings, and their rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Final
from uuid import UUID, uuid5

from rhythmiq_mesh.errors import AlreadyExists, InvalidArgument, NotFound, PermissionDenied
from rhythmiq_mesh.names import child_name, profile_name

RESOURCE_TYPE: Final = "rhythmiq.dev/Variable"
DEFAULT_RETENTION: Final = timedelta(days=30)
MAX_AHEAD: Final = timedelta(minutes=5)
"""How far a device's clock may be ahead of ours."""

_READING_NAMESPACE: Final = UUID("0f9c2a51-6f1e-5c0b-8f43-7d0b5a1c9e62")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
COLLECTION: Final = "variables"
_MILLISECOND: Final = timedelta(milliseconds=1)


class ValueType(Enum):
    """Where a reading carries its value: a field of the API's Reading.

    A number is a float in the kind's unit; a local time an int, nanoseconds since midnight; all others are the name of
    an enum value, such as `RAIN`.
    """

    NUMBER = "number"
    WEATHER = "weather"
    ACTIVITY = "activity"
    PLACE_TYPE = "place_type"
    LOCAL_TIME = "local_time"
    AUDIO_OUTPUT = "audio_output"
    COMPANY = "company"


class Kind(Enum):
    """What is observed. The order is the API's."""

    AMBIENT_NOISE = "AMBIENT_NOISE"
    ILLUMINANCE = "ILLUMINANCE"
    TEMPERATURE = "TEMPERATURE"
    HUMIDITY = "HUMIDITY"
    WEATHER = "WEATHER"
    ACTIVITY = "ACTIVITY"
    HEART_RATE = "HEART_RATE"
    PLACE_TYPE = "PLACE_TYPE"
    SPEED = "SPEED"
    LOCAL_TIME = "LOCAL_TIME"
    AUDIO_OUTPUT = "AUDIO_OUTPUT"
    COMPANY = "COMPANY"


@dataclass(frozen=True, slots=True)
class KindRule:
    """A kind's type of value, and for numbers the UCUM unit and the valid range, both ends included."""

    value_type: ValueType
    unit: str = ""
    min_value: float | None = None
    max_value: float | None = None


KINDS: Final[dict[Kind, KindRule]] = {
    Kind.AMBIENT_NOISE: KindRule(ValueType.NUMBER, "dB[A]", 0, 140),
    Kind.ILLUMINANCE: KindRule(ValueType.NUMBER, "lx", 0, 200_000),
    Kind.TEMPERATURE: KindRule(ValueType.NUMBER, "Cel", -90, 70),
    Kind.HUMIDITY: KindRule(ValueType.NUMBER, "%", 0, 100),
    Kind.WEATHER: KindRule(ValueType.WEATHER),
    Kind.ACTIVITY: KindRule(ValueType.ACTIVITY),
    Kind.HEART_RATE: KindRule(ValueType.NUMBER, "/min", 20, 250),
    Kind.PLACE_TYPE: KindRule(ValueType.PLACE_TYPE),
    Kind.SPEED: KindRule(ValueType.NUMBER, "m/s", 0, 350),
    Kind.LOCAL_TIME: KindRule(ValueType.LOCAL_TIME),
    Kind.AUDIO_OUTPUT: KindRule(ValueType.AUDIO_OUTPUT),
    Kind.COMPANY: KindRule(ValueType.COMPANY),
}

Value = float | int | str


@dataclass(frozen=True, slots=True)
class Draft:
    """A reading as it arrives. `field` is its path in the request, for errors; `observe_time` is whole milliseconds."""

    field: str
    kind: Kind
    value_type: ValueType
    value: Value
    observe_time: datetime
    source: str


@dataclass(frozen=True, slots=True)
class Reading:
    """One observation of a variable, kept until `expire_time`. `create_time` is when it reached the service."""

    id: str
    profile_id: str
    variable_id: str
    kind: Kind
    value: Value
    observe_time: datetime
    source: str
    create_time: datetime
    expire_time: datetime

    @property
    def name(self) -> str:
        """The resource name."""
        return f"{child_name(self.profile_id, 'variables', self.variable_id)}/readings/{self.id}"

    @property
    def rank(self) -> tuple[datetime, str]:
        """The greatest rank is the latest; sources settle a tie, so that the order of arrival never matters."""
        return self.observe_time, self.source


@dataclass(frozen=True, slots=True)
class Variable:
    """One kind of data that a listener has agreed to share.

    `latest` is the reading of the greatest rank, which may have expired: ask `latest_at`. `generation` counts the
    changes of `retention`.
    """

    id: str
    profile_id: str
    kind: Kind
    consent_version: str
    consent_time: datetime
    retention: timedelta
    create_time: datetime
    update_time: datetime
    etag: str
    generation: int = 0
    latest: Reading | None = None

    @property
    def name(self) -> str:
        """The resource name."""
        return child_name(self.profile_id, COLLECTION, self.id)

    def latest_at(self, now: datetime) -> Reading | None:
        """The latest reading, unless it has expired."""
        if self.latest is None or self.latest.observe_time <= self.expired_until(now):
            return None
        return self.latest

    def expired_until(self, now: datetime) -> datetime:
        """What was observed then or before has expired."""
        return now - self.retention

    def reading_id(self, observe_time: datetime, source: str) -> str:
        """Follows from variable, time and source, so that the primary key makes recording idempotent."""
        milliseconds = (observe_time - _EPOCH) // _MILLISECOND
        return str(uuid5(_READING_NAMESPACE, f"{self.id} {milliseconds} {source}"))

    def reading(self, draft: Draft, now: datetime) -> Reading:
        """The reading that a draft becomes."""
        return Reading(
            id=self.reading_id(draft.observe_time, draft.source),
            profile_id=self.profile_id,
            variable_id=self.id,
            kind=self.kind,
            value=draft.value,
            observe_time=draft.observe_time,
            source=draft.source,
            create_time=now,
            expire_time=draft.observe_time + self.retention,
        )


@dataclass(frozen=True, slots=True)
class Erasure:
    """An opt-out that has to reach what was kept of a kind: a removed variable."""

    variable_id: str
    profile_id: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Erased:
    """How many of what: the plural as in resource names; with a kind behind a colon where only that was scrubbed."""

    what: str
    count: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """What an opt-out has erased by `time`, and what it has still to reach."""

    erased: Sequence[Erased]
    pending: Sequence[str]
    time: datetime


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a recording did: the readings in the order of the request, as they are stored, and how many were new.

    `late` of the new ones had been observed before the latest of their kind at their turn.
    """

    readings: Sequence[Reading]
    new: int
    late: int


@dataclass(frozen=True, slots=True)
class Tally:
    """What a stream of recordings did."""

    new: int = 0
    duplicates: int = 0
    late: int = 0

    def plus(self, recorded: Recorded) -> Tally:
        """The tally after another part of the stream."""
        return Tally(
            self.new + recorded.new,
            self.duplicates + len(recorded.readings) - recorded.new,
            self.late + recorded.late,
        )


@dataclass(frozen=True, slots=True)
class Span:
    """Observed at or after `start` and before `end`, where given."""

    start: datetime | None = None
    end: datetime | None = None


def check_draft(draft: Draft, now: datetime) -> None:
    """Raises InvalidArgument unless value and time are what the kind allows."""
    rule = KINDS[draft.kind]
    field = f"{draft.field}.{draft.value_type.value}"
    if draft.value_type is not rule.value_type:
        wanted = rule.value_type.value
        raise InvalidArgument.of(
            field, f"is not the value of {draft.kind.value}: give `{wanted}` instead", reason="WRONG_VALUE_TYPE"
        )
    if not _in_range(draft.value, rule):
        raise InvalidArgument.of(
            field,
            f"must be from {rule.min_value:g} to {rule.max_value:g} {rule.unit} for {draft.kind.value}",
            reason="VALUE_OUT_OF_RANGE",
        )
    if draft.observe_time > now + MAX_AHEAD:
        raise InvalidArgument.of(
            f"{draft.field}.observe_time",
            "is more than 5 minutes in the future: set the device's clock",
            reason="OBSERVED_IN_FUTURE",
        )


def _in_range(value: Value, rule: KindRule) -> bool:
    if rule.min_value is None or rule.max_value is None or isinstance(value, str):
        return True
    return rule.min_value <= value <= rule.max_value  # False for NaN


def check_age(draft: Draft, index: int, variable: Variable, now: datetime) -> None:
    """Raises ExpiredReading when the variable's retention would remove the reading at once."""
    if draft.observe_time <= variable.expired_until(now):
        raise ExpiredReading(draft, index)


class ExpiredReading(InvalidArgument):
    """The reading is older than the retention. `index` is its place among those recorded together."""

    def __init__(self, draft: Draft, index: int) -> None:
        found = InvalidArgument.of(
            f"{draft.field}.observe_time",
            f"is longer ago than the retention of {draft.kind.value}: the reading would have expired",
            reason="EXPIRED_READING",
        )
        super().__init__(found.violations, reason=found.reason)
        self.index = index


class VariableNotOptedIn(PermissionDenied):
    """The listener has not agreed to share the kind. `index` is the reading's place among those recorded together."""

    def __init__(self, profile_id: str, draft: Draft, index: int) -> None:
        super().__init__(
            f"{draft.field}.kind: {profile_name(profile_id)} does not share {draft.kind.value}: create a variable "
            "of that kind first",
            reason="VARIABLE_NOT_OPTED_IN",
        )
        self.index = index


class VariableNotFound(NotFound):
    """No such variable."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} does not exist: list the variables of the profile to see those that do",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="VARIABLE_NOT_FOUND",
        )


class VariableExists(AlreadyExists):
    """The kind is opted into."""

    def __init__(self, kind: Kind, name: str) -> None:
        super().__init__(
            f"{kind.value} is shared already: use {name}",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="VARIABLE_EXISTS",
        )
