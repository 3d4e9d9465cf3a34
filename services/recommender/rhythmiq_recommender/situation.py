"""What a recommendation is made for: the listener, the surroundings and the wish, as plain values."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import TYPE_CHECKING, NamedTuple

from rhythmiq_recommender.blocks.model import NOTHING_BLOCKED, Blocked

if TYPE_CHECKING:  # it is made of the values below
    from rhythmiq_recommender.learning.history import History

DEFAULT_LEARNED_WEIGHT = 0.5
"""What a profile's learned_weight is when it says nothing, or cannot be read."""

DEFAULT_COUNT = 20
DEFAULT_DIVERSITY = 0.3
DEFAULT_FATIGUE = 0.5

EnvironmentKind = str
"""Name of an environment kind as in the API, lower case: `ambient_noise`, `activity`, `local_time` …"""

EnvironmentValue = float | str
"""A number in the kind's unit; of `local_time` hours since midnight, 0 to 24; else an enum value's name, lower case."""


class Origin(Enum):
    """Where an environment value comes from."""

    READING = 1
    REQUEST = 2
    PROFILE_TIME_ZONE = 3


class LeaningType(IntEnum):
    """What a preference is about; numbers as in rhythmiq.preference.v1.Preference.Type."""

    GENRE = 1
    TEMPO = 2
    INSTRUMENT = 3
    ARTIST = 4


class Explicit(Enum):
    """How explicit items are filtered; numbers as in rhythmiq.recommender.v1.RecommendFilter.Explicit."""

    ANY = 0
    EXCLUDE = 1
    ONLY_CLEAN = 2
    ONLY_EXPLICIT = 3


@dataclass(frozen=True, slots=True)
class Listener:
    """What a profile says that matters here. `time_zone` is an IANA name, or empty."""

    time_zone: str = ""
    learned_weight: float = DEFAULT_LEARNED_WEIGHT


class Leaning(NamedTuple):
    """A preference; a named tuple, because an answer makes up to a hundred.

    `weight` is in [-1, 1]; `value` of TEMPO is a BPM range such as `90-120`.
    """

    name: str
    type: LeaningType
    value: str
    weight: float
    learned: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """The latest reading of one kind. `age` is in seconds; in `lasts` seconds it expires."""

    kind: EnvironmentKind
    value: EnvironmentValue
    age: float
    lasts: float = math.inf

    def older(self, seconds: float) -> Reading:
        """The same reading some seconds later."""
        return Reading(self.kind, self.value, self.age + seconds, self.lasts - seconds)


@dataclass(frozen=True, slots=True)
class Surrounding:
    """An environment value that is used. `age` is in seconds, None unless it is a reading."""

    kind: EnvironmentKind
    value: EnvironmentValue
    origin: Origin
    age: float | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What is asked of one feature, in its own unit. `min` and `max` are hard; `target` is a wish."""

    min: float | None = None
    max: float | None = None
    target: float | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Seeds:
    """Where to start from: item names (`items/{item}`), artist names, genre names."""

    items: Sequence[str] = ()
    artists: Sequence[str] = ()
    genres: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """What every returned item must satisfy; see RecommendFilter in the API."""

    genres: Sequence[str] = ()
    exclude_genres: Sequence[str] = ()
    explicit: Explicit = Explicit.ANY
    languages: Sequence[str] = ()
    min_year: int | None = None
    max_year: int | None = None
    exclude_artists: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """A request for items of one `kind` (number of rhythmiq.recommender.v1.Item.Kind)."""

    profile_id: str
    kind: int = 1
    count: int = DEFAULT_COUNT
    environment: Mapping[EnvironmentKind, EnvironmentValue] = field(default_factory=dict)
    tuning: Mapping[str, Target] = field(default_factory=dict)
    seeds: Seeds = Seeds()
    exclude_items: Sequence[str] = ()
    filter: Filter = Filter()
    seed: int | None = None
    uses_surroundings: bool = True
    diversity: float = DEFAULT_DIVERSITY
    """How much variety counts against fit, 0 to 1."""
    fatigue: float = DEFAULT_FATIGUE
    """How much it counts against an item that it was heard lately, 0 to 1."""
    explore: bool = True
    """Whether an item may be there only to learn from it."""


@dataclass(frozen=True, slots=True)
class Degradation:
    """What an answer lacks: a subject such as `preferences`, a stable UPPER_SNAKE reason, and a sentence."""

    subject: str
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Situation:
    """All that a ranker may look at.

    Weights of `leanings` are effective: learned ones are already scaled. `time` is when it is asked, Unix seconds UTC.
    """

    kind: int
    surroundings: Mapping[EnvironmentKind, Surrounding]
    leanings: Sequence[Leaning]
    tuning: Mapping[str, Target]
    seeds: Seeds
    history: History
    time: float
    blocked: Blocked = NOTHING_BLOCKED
