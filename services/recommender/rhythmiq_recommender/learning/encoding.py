"""Surroundings as categories: the one definition that training and serving share.

Each kind of environment data becomes a small code, -1 where it is not known. Enum kinds have a code for each of their
values; measured kinds are cut into buckets at the edges below, in the unit of the API. Keys and values are those of
stored interactions: `{"ambient_noise": 52.0, "activity": "working", "local_time": 8.5}`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.situation import EnvironmentKind, EnvironmentValue

CodeArray = NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Category:
    """One kind: the names of its codes, in order, and for measured kinds the edges between them.

    Code k of a measured kind is edges[k-1] <= value < edges[k]. Of the clock, which is round, what is beyond the
    last edge is code 0 again. `typical` is a value for each code, to look up what is known of such surroundings.
    """

    kind: EnvironmentKind
    meaning: str
    names: tuple[str, ...]
    edges: tuple[float, ...] = ()
    typical: tuple[float, ...] = ()

    def code(self, value: EnvironmentValue) -> int:
        """The code of a value; -1 for one of the wrong type or an enum value that this version does not know."""
        if not self.edges:
            return self.names.index(value) if isinstance(value, str) and value in self.names else -1
        if isinstance(value, str) or value != value:
            return -1
        return bisect_right(self.edges, value) % len(self.names)

    def value(self, code: int) -> EnvironmentValue:
        """A typical value of a code."""
        return self.typical[code] if self.edges else self.names[code]


CATEGORIES: Final[tuple[Category, ...]] = (
    Category(
        "activity",
        "what the listener does",
        (
            "sleeping",
            "lying",
            "resting",
            "sitting",
            "standing",
            "working",
            "studying",
            "walking",
            "running",
            "cycling",
            "exercising",
            "driving",
            "riding",
        ),
    ),
    Category(
        "local_time",
        "part of the listener's day (hours: 23-5, 5-8, 8-11, 11-14, 14-17, 17-20, 20-23)",
        ("night", "early morning", "morning", "midday", "afternoon", "evening", "late evening"),
        (5.0, 8.0, 11.0, 14.0, 17.0, 20.0, 23.0),
        (2.0, 6.5, 9.5, 12.5, 15.5, 18.5, 21.5),
    ),
    Category("weather", "weather", ("clear", "cloudy", "fog", "rain", "snow", "storm")),
    Category(
        "place_type",
        "where the listener is",
        ("home", "workplace", "school", "gym", "outdoors", "transit", "vehicle", "cafe", "shop", "venue"),
    ),
    Category(
        "audio_output",
        "what it plays from",
        ("headphones", "noise_cancelling_headphones", "phone_speaker", "room_speaker", "car_speaker"),
    ),
    Category("company", "who listens along", ("alone", "with_one", "with_group")),
    Category(
        "ambient_noise",
        "ambient noise (dB(A): below 40, 40-50, 50-60, 60-70, 70-80, from 80)",
        ("silent", "quiet", "moderate", "lively", "loud", "very loud"),
        (40.0, 50.0, 60.0, 70.0, 80.0),
        (33.0, 45.0, 55.0, 65.0, 75.0, 85.0),
    ),
    Category(
        "illuminance",
        "light (lx: below 10, 10-100, 100-1,000, 1,000-10,000, from 10,000)",
        ("dark", "dim", "indoors", "bright", "daylight"),
        (10.0, 100.0, 1_000.0, 10_000.0),
        (3.0, 40.0, 400.0, 4_000.0, 30_000.0),
    ),
    Category(
        "temperature",
        "temperature (degrees C: below 5, 5-12, 12-18, 18-24, from 24)",
        ("cold", "cool", "mild", "warm", "hot"),
        (5.0, 12.0, 18.0, 24.0),
        (0.0, 8.5, 15.0, 21.0, 28.0),
    ),
    Category(
        "humidity",
        "relative humidity (%: below 35, 35-60, 60-80, from 80)",
        ("dry", "normal", "humid", "wet"),
        (35.0, 60.0, 80.0),
        (28.0, 48.0, 70.0, 88.0),
    ),
    Category(
        "heart_rate",
        "heart rate (bpm: below 60, 60-80, 80-100, 100-120, 120-140, from 140)",
        ("slow", "resting", "raised", "moving", "working out", "racing"),
        (60.0, 80.0, 100.0, 120.0, 140.0),
        (54.0, 70.0, 90.0, 110.0, 130.0, 155.0),
    ),
    Category(
        "speed",
        "speed (m/s: below 0.5, 0.5-2, 2-6, 6-14, from 14)",
        ("still", "walking pace", "running pace", "city traffic", "open road"),
        (0.5, 2.0, 6.0, 14.0),
        (0.0, 1.3, 3.0, 10.0, 25.0),
    ),
)
KINDS: Final[tuple[EnvironmentKind, ...]] = tuple(category.kind for category in CATEGORIES)
"""Order of the columns of every array of codes."""
WIDTHS: Final[tuple[int, ...]] = tuple(len(category.names) for category in CATEGORIES)
OFFSETS: Final[NDArray[np.int64]] = np.r_[0, np.cumsum(WIDTHS)[:-1]].astype(np.int64)
"""Where each kind begins when the codes of all kinds stand in one row."""
CODES: Final = sum(WIDTHS)
"""All codes of all kinds."""
NOWHERE: Final[CodeArray] = np.full(len(CATEGORIES), -1, np.int8)
"""Codes when nothing is known of the surroundings."""
NOWHERE.flags.writeable = False


def codes_of(environment: Mapping[EnvironmentKind, EnvironmentValue]) -> CodeArray:
    """(kinds,) codes in the order of CATEGORIES; -1 for what is absent, of the wrong type, or not known here."""
    return np.array(
        [category.code(environment[category.kind]) if category.kind in environment else -1 for category in CATEGORIES],
        np.int8,
    )


def cells(codes: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    """(..., kinds) codes as places in one row of all `CODES`; CODES, one beyond the end, where not known."""
    return np.where(codes >= 0, codes + OFFSETS, CODES)
