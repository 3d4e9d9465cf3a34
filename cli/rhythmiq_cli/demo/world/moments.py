"""The moments of a day in which somebody listens, and the surroundings that go with them: invented, but believable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from rhythmiq_cli.demo.world.arrays import AnyInts, Chance, Codes, Doubles, Floats, drawn
from rhythmiq_cli.demo.world.surroundings import VOCABULARY, Surroundings

DAY: Final = 86_400.0

Shares = Mapping[str, float]


class Moment(NamedTuple):
    """A part of the day: when it begins (hours, mean and spread), how common it is, and what goes with it."""

    name: str
    hour: float
    spread: float
    workday: float
    weekend: float
    activities: Shares
    places: Shares
    """Of those who do not move; who moves is where one moves."""
    companies: Shares


MOMENTS: Final = (
    Moment(
        "getting up", 6.7, 0.3, 1.0, 0.3,
        {"standing": 0.4, "sitting": 0.3, "lying": 0.2, "resting": 0.1},
        {"home": 1.0}, {"alone": 0.7, "with_one": 0.3},
    ),
    Moment(
        "on the way there", 8.3, 0.3, 1.5, 0.2,
        {"riding": 0.45, "driving": 0.25, "walking": 0.2, "cycling": 0.1},
        {}, {"alone": 0.75, "with_one": 0.2, "with_group": 0.05},
    ),
    Moment(
        "at work, before noon", 10.3, 0.5, 1.5, 0.2,
        {"working": 0.65, "studying": 0.35},
        {"workplace": 0.6, "school": 0.2, "home": 0.2}, {"alone": 0.7, "with_group": 0.3},
    ),
    Moment(
        "midday", 12.8, 0.3, 0.7, 0.9,
        {"sitting": 0.5, "walking": 0.35, "standing": 0.15},
        {"cafe": 0.5, "shop": 0.2, "home": 0.3}, {"alone": 0.4, "with_one": 0.3, "with_group": 0.3},
    ),
    Moment(
        "at work, after noon", 14.8, 0.5, 1.5, 0.3,
        {"working": 0.6, "studying": 0.4},
        {"workplace": 0.55, "school": 0.15, "cafe": 0.1, "home": 0.2}, {"alone": 0.7, "with_group": 0.3},
    ),
    Moment(
        "on the way back", 17.1, 0.3, 1.4, 0.4,
        {"riding": 0.4, "driving": 0.3, "walking": 0.2, "cycling": 0.1},
        {}, {"alone": 0.65, "with_one": 0.25, "with_group": 0.1},
    ),
    Moment(
        "moving", 18.7, 0.3, 0.9, 1.2,
        {"running": 0.4, "exercising": 0.35, "cycling": 0.15, "walking": 0.1},
        {}, {"alone": 0.8, "with_one": 0.2},
    ),
    Moment(
        "evening", 20.3, 0.3, 1.2, 1.0,
        {"resting": 0.35, "sitting": 0.35, "standing": 0.2, "lying": 0.1},
        {"home": 1.0}, {"alone": 0.5, "with_one": 0.35, "with_group": 0.15},
    ),
    Moment(
        "among friends", 21.6, 0.2, 0.35, 1.2,
        {"standing": 0.5, "sitting": 0.5},
        {"venue": 0.5, "home": 0.3, "cafe": 0.2}, {"with_group": 0.85, "with_one": 0.15},
    ),
    Moment(
        "bedtime", 22.9, 0.15, 0.9, 0.7,
        {"lying": 0.5, "resting": 0.3, "sleeping": 0.2},
        {"home": 1.0}, {"alone": 0.75, "with_one": 0.25},
    ),
)  # fmt: skip

# Where one is who moves like this.
_PLACE_OF: Final = {
    "riding": "transit", "driving": "vehicle", "walking": "outdoors", "running": "outdoors", "cycling": "outdoors",
    "exercising": "gym",
}  # fmt: skip
# Heart rate in beats per minute and speed in m/s, in the order of the API's activities.
_HEART: Final = np.array([56, 61, 64, 70, 77, 73, 71, 97, 150, 127, 138, 77, 71], np.float32)
_SPEED: Final = np.array([0, 0, 0, 0, 0, 0, 0, 1.35, 2.9, 5.2, 0.2, 14, 11], np.float32)
# dB(A), and lux by day and by night, in the order of the API's places; outdoors, the sky adds to the light by day.
_NOISE: Final = np.array([43, 54, 52, 73, 62, 74, 67, 67, 65, 86], np.float32)
_NOISE_SPREAD: Final = np.array([6, 6, 6, 4, 7, 5, 5, 5, 5, 5], np.float32)
_LUX_DAY: Final = np.array([250, 450, 450, 400, 9000, 600, 3000, 350, 700, 150], np.float32)
_LUX_NIGHT: Final = np.array([60, 350, 300, 350, 8, 250, 3, 120, 600, 40], np.float32)
_OUTPUTS: Final[Mapping[str, Shares]] = {
    "home": {"room_speaker": 0.5, "headphones": 0.3, "phone_speaker": 0.2},
    "workplace": {"noise_cancelling_headphones": 0.5, "headphones": 0.5},
    "school": {"noise_cancelling_headphones": 0.3, "headphones": 0.7},
    "gym": {"headphones": 0.9, "noise_cancelling_headphones": 0.1},
    "outdoors": {"headphones": 0.9, "phone_speaker": 0.1},
    "transit": {"noise_cancelling_headphones": 0.5, "headphones": 0.5},
    "vehicle": {"car_speaker": 0.95, "phone_speaker": 0.05},
    "cafe": {"headphones": 0.7, "phone_speaker": 0.1, "noise_cancelling_headphones": 0.2},
    "shop": {"headphones": 1.0},
    "venue": {"room_speaker": 1.0},
}
_WEATHERS: Final = {"clear": 0.34, "cloudy": 0.32, "fog": 0.05, "rain": 0.23, "snow": 0.02, "storm": 0.04}
_HUMIDITY: Final = np.array([48, 62, 92, 84, 85, 82], np.float32)

ZONES: Final = ("Europe/Vienna", "Europe/London", "America/New_York", "America/Sao_Paulo", "Asia/Tokyo")
"""Where listeners live. All but São Paulo have their summer when Vienna has."""
_SOUTHERN: Final = np.array([False, False, False, True, False])


def offsets(when: float) -> Doubles:
    """Hours that each zone is ahead of UTC at a moment (Unix seconds); they are kept for the whole world."""
    return np.array([_offset(name, when) for name in ZONES])


def _offset(name: str, when: float) -> float:
    try:
        ahead = datetime.fromtimestamp(when, UTC).astimezone(ZoneInfo(name)).utcoffset()
    except ZoneInfoNotFoundError:  # a machine without tzdata: everybody lives by UTC
        return 0.0
    return ahead.total_seconds() / 3600 if ahead is not None else 0.0


def weights(weekend: AnyInts) -> Doubles:
    """(rows x MOMENTS): how common each is on such a day."""
    common = np.array([[moment.workday, moment.weekend] for moment in MOMENTS])
    return np.asarray(common[:, weekend].T)


def begins(chance: Chance, moment: AnyInts) -> Doubles:
    """Hours after midnight; within two spreads of the moment's own hour."""
    hour, spread = (np.array([getattr(one, name) for one in MOMENTS])[moment] for name in ("hour", "spread"))
    return np.asarray(hour + spread * np.clip(chance.normal(size=len(moment)), -2, 2))


def surroundings(chance: Chance, moment: AnyInts, time: Doubles, zone: AnyInts, ahead: Doubles) -> Surroundings:
    """What surrounds each session: `moment` of MOMENTS, `time` in Unix seconds, `zone` of ZONES and its hours ahead."""
    local = time / 3600 + ahead[zone]
    hour = local % 24
    activity = drawn(chance, _by_moment("activities", "activity"), moment)
    place = _places(chance, moment, activity)
    weather, temperature = _sky(chance, np.floor(local / 24).astype(np.int64), hour, zone)
    noise = chance.normal(_NOISE[place], _NOISE_SPREAD[place])
    speed = _SPEED[activity] * np.clip(chance.normal(1, 0.15, len(time)), 0.5, 1.6)
    return Surroundings(
        {
            "activity": activity,
            "weather": weather,
            "place_type": place,
            "audio_output": drawn(chance, _by_place(), place),
            "company": drawn(chance, _by_moment("companies", "company"), moment),
        },
        {
            "ambient_noise": np.clip(noise, 20, 110).astype(np.float32),
            "illuminance": _light(chance, place, hour),
            "temperature": temperature,
            "humidity": np.clip(chance.normal(_HUMIDITY[weather], 8), 10, 100).astype(np.float32),
            "heart_rate": np.clip(chance.normal(_HEART[activity], 7), 42, 200).astype(np.float32),
            "speed": speed.astype(np.float32),
            "local_time": hour.astype(np.float32),
        },
    )


def _cumulative(shares: Sequence[Shares], kind: str) -> Doubles:
    return np.cumsum([[one.get(value, 0.0) for value in VOCABULARY[kind]] for one in shares], axis=1)


@cache
def _by_moment(field: str, kind: str) -> Doubles:
    return _cumulative([getattr(moment, field) for moment in MOMENTS], kind)


@cache
def _by_place() -> Doubles:
    return _cumulative([_OUTPUTS[place] for place in VOCABULARY["place_type"]], "audio_output")


def _places(chance: Chance, moment: AnyInts, activity: Codes) -> Codes:
    names = VOCABULARY["place_type"]
    moved = np.array([names.index(_PLACE_OF[name]) if name in _PLACE_OF else -1 for name in VOCABULARY["activity"]])
    still = drawn(chance, _by_moment("places", "place_type"), moment)
    return np.where(moved[activity] >= 0, moved[activity], still).astype(np.int8)


def _sky(chance: Chance, day: AnyInts, hour: Doubles, zone: AnyInts) -> tuple[Codes, Floats]:
    """One weather a zone and day, and the temperature (degrees Celsius) by season, hour, weather and chance."""
    first = int(day.min())
    days = int(day.max()) - first + 1
    shape = (days, len(ZONES))
    code = drawn(chance, _cumulative([_WEATHERS], "weather"), np.zeros(days * len(ZONES), np.intp)).reshape(shape)
    mood = chance.normal(0, 3, shape)
    # Days since 1 January 1970; the coldest day is in the middle of January.
    season = -np.cos(2 * np.pi * ((day - 15) % 365.25) / 365.25) * np.where(_SOUTHERN[zone], -1, 1)
    warmth = 12 + 10 * season + 4 * np.sin(2 * np.pi * (hour - 9) / 24) + mood[day - first, zone]
    weather = code[day - first, zone]
    names = VOCABULARY["weather"]
    warmth += np.where(weather == names.index("clear"), 2.0, -1.0)
    # What would be rain is snow when it freezes, and the other way round.
    weather = np.where((weather == names.index("snow")) & (warmth > 1), names.index("rain"), weather)
    weather = np.where((weather == names.index("rain")) & (warmth < 0), names.index("snow"), weather)
    return weather.astype(np.int8), warmth.astype(np.float32)


def _light(chance: Chance, place: Codes, hour: Doubles) -> Floats:
    bright = np.where((hour > 7) & (hour < 18), _LUX_DAY[place], _LUX_NIGHT[place])
    return np.asarray(np.clip(bright * np.exp(chance.normal(0, 0.5, len(hour))), 0, 120_000), dtype=np.float32)
