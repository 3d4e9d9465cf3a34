"""A tune vector and its rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from enum import Enum

from rhythmiq_mesh.errors import FailedPrecondition, NotFound, PreconditionViolation, ResourceExhausted
from rhythmiq_mesh.names import child_name, profile_name

RESOURCE_TYPE = "rhythmiq.dev/TuneVector"
COLLECTION = "tuneVectors"
"""Plural of the resource, as in its names."""
LIMIT = 1_000
"""Tune vectors that a profile may have."""
MAX_ITEMS = 500
"""Items that a list may have, pins included."""


class Kind(Enum):
    """What the list is made of: tracks, podcast episodes or soundscapes."""

    PLAYLIST = "PLAYLIST"
    PODCAST = "PODCAST"
    SOUNDSCAPE = "SOUNDSCAPE"


class Mode(Enum):
    """Where targets come from: the listener, or surroundings, preferences and history."""

    USER_GUIDED = "USER_GUIDED"
    AI_DRIVEN = "AI_DRIVEN"


class Explicit(Enum):
    """Which items to admit by their explicit mark."""

    EXCLUDE = "EXCLUDE"
    ONLY_CLEAN = "ONLY_CLEAN"
    ONLY_EXPLICIT = "ONLY_EXPLICIT"


@dataclass(frozen=True, slots=True)
class FeatureTarget:
    """What is asked of one audio feature, in its own unit: hard bounds, a target, how much nearness counts."""

    min: float | None = None
    max: float | None = None
    target: float | None = None
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where a list starts from. Items are resource names."""

    items: tuple[str, ...] = ()
    artists: tuple[str, ...] = ()
    genres: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """What every item, pins apart, must satisfy; empty and None admit everything."""

    genres: tuple[str, ...] = ()
    exclude_genres: tuple[str, ...] = ()
    explicit: Explicit | None = None
    languages: tuple[str, ...] = ()
    min_year: int | None = None
    max_year: int | None = None
    exclude_artists: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pin:
    """An item (`items/{item}`) that stays at its position, 1 for the first, in every tuning."""

    item: str
    position: int


@dataclass(frozen=True, slots=True)
class Environment:
    """The surroundings of a listener; None: not known. Weather, activity and the like by their names in the API."""

    ambient_noise_dba: float | None = None
    illuminance_lux: float | None = None
    temperature_celsius: float | None = None
    humidity_percent: float | None = None
    weather: str | None = None
    activity: str | None = None
    heart_rate_bpm: float | None = None
    place_type: str | None = None
    speed_mps: float | None = None
    local_time: time | None = None
    audio_output: str | None = None
    company: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """One part of why an item is where it is. `group` by its name in the API; `text` in a listener's words."""

    group: str
    subject: str
    contribution: float
    text: str


@dataclass(frozen=True, slots=True)
class Item:
    """What a list needs to know of an item of the catalogue. `energy` from 0 to 1; None: not known."""

    name: str
    title: str
    artists: tuple[str, ...] = ()
    duration: timedelta | None = None
    energy: float | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """An item that the recommender offers."""

    item: Item
    score: float
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, slots=True)
class TunedItem:
    """An item in its place, 1 for the first. `score` is None for pins."""

    item: str
    title: str
    artists: tuple[str, ...]
    duration: timedelta | None
    position: int
    pinned: bool
    score: float | None
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class EnvironmentUse:
    """An environment value that a tuning used: kind and origin by their names in the API, `age` of a reading."""

    kind: str
    origin: str
    value: Environment
    age: timedelta | None


@dataclass(frozen=True, slots=True)
class PreferenceUse:
    """A preference (resource name) that a tuning used, with the weight that it counted with."""

    name: str
    type: str
    value: str
    weight: float


@dataclass(frozen=True, slots=True)
class Degradation:
    """What a tuning lacked; `reason` is stable UPPER_SNAKE."""

    subject: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class TuningRecord:
    """What a tuning used. `total_duration` sums the durations that are known."""

    tune_time: datetime
    environment: tuple[EnvironmentUse, ...]
    preferences: tuple[PreferenceUse, ...]
    ranker: str
    degradations: tuple[Degradation, ...]
    total_duration: timedelta


@dataclass(frozen=True, slots=True)
class TuneVector:
    """A list that can be tuned again for every moment.

    `tuning` by feature name; `length` is a number of items (1 to 500) or a playing time (1 minute to 24 hours);
    `energy_curve` has none or 2 to 50 values from 0 to 1, at equal distances from the first to the last item.
    """

    id: str
    profile_id: str
    display_name: str
    kind: Kind
    mode: Mode
    length: int | timedelta
    create_time: datetime
    update_time: datetime
    etag: str
    tuning: Mapping[str, FeatureTarget] = field(default_factory=dict)
    seeds: Seeds = Seeds()
    filter: Filter = Filter()
    energy_curve: tuple[float, ...] = ()
    pins: tuple[Pin, ...] = ()
    items: tuple[TunedItem, ...] = ()
    last_tuning: TuningRecord | None = None

    @property
    def name(self) -> str:
        """The resource name."""
        return tune_vector_name(self.profile_id, self.id)


def tune_vector_name(profile_id: str, tune_vector_id: str) -> str:
    """`profiles/{profile}/tuneVectors/{tune_vector}`."""
    return child_name(profile_id, COLLECTION, tune_vector_id)


class TuneVectorNotFound(NotFound):
    """No such tune vector."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} does not exist: list tune vectors to see what there is",
            resource_type=RESOURCE_TYPE,
            resource_name=name,
            reason="TUNE_VECTOR_NOT_FOUND",
        )


class TuneVectorLimitReached(ResourceExhausted):
    """The profile has as many tune vectors as it may have."""

    def __init__(self, profile_id: str, limit: int = LIMIT) -> None:
        super().__init__(
            f"{profile_name(profile_id)} has {limit} tune vectors, which is the limit: delete one first",
            reason="TUNE_VECTOR_LIMIT_REACHED",
        )


class PinNotFound(FailedPrecondition):
    """The catalogue no longer has items that are pinned."""

    def __init__(self, name: str, pins: Sequence[Pin]) -> None:
        items = ", ".join(pin.item for pin in pins)
        super().__init__(
            f"{name} pins {items}, which the catalogue no longer has: update its pins",
            reason="PIN_NOT_FOUND",
            violations=[
                PreconditionViolation(
                    type="PIN_NOT_FOUND",
                    subject=pin.item,
                    description=f"pinned at position {pin.position}, and no longer in the catalogue",
                )
                for pin in pins
            ],
        )
