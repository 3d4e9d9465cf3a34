"""Which environment values count: what the request says, else a reading that is fresh enough, else the clock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rhythmiq_recommender.situation import (
    Degradation,
    EnvironmentKind,
    EnvironmentValue,
    Origin,
    Reading,
    Surrounding,
)

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0

FRESH_FOR: Final[Mapping[EnvironmentKind, float]] = {
    # What changes with every move of the listener.
    "ambient_noise": 15 * _MINUTE,
    "activity": 15 * _MINUTE,
    "heart_rate": 15 * _MINUTE,
    "speed": 15 * _MINUTE,
    # What changes with where they are.
    "place_type": 1 * _HOUR,
    "audio_output": 1 * _HOUR,
    "company": 1 * _HOUR,
    # What changes with the weather and the light.
    "weather": 3 * _HOUR,
    "temperature": 3 * _HOUR,
    "humidity": 3 * _HOUR,
    "illuminance": 3 * _HOUR,
    # Moves on by itself and is moved on with it; only a journey makes it wrong.
    "local_time": 24 * _HOUR,
}
"""Seconds for which a reading of each kind counts; an older one is stale, is not used, and is named in the answer."""

KINDS: Final = tuple(FRESH_FOR)


def settle(
    readings: Iterable[Reading],
    requested: Mapping[EnvironmentKind, EnvironmentValue],
    time_zone: str,
    now: datetime,
) -> tuple[dict[EnvironmentKind, Surrounding], list[Degradation]]:
    """The values to use by kind, and what was stale.

    `now` is timezone-aware. Local time comes from the request, else from a reading advanced by its age, else from `now`
    in `time_zone`.
    """
    used: dict[EnvironmentKind, Surrounding] = {}
    stale: list[Degradation] = []
    for reading in readings:
        if reading.kind in requested:
            continue
        if reading.age > FRESH_FOR[reading.kind]:
            stale.append(_stale(reading))
            continue
        used[reading.kind] = Surrounding(reading.kind, _present(reading), Origin.READING, reading.age)
    for kind, value in requested.items():
        used[kind] = Surrounding(kind, value, Origin.REQUEST)
    if "local_time" not in used and (zone := _zone(time_zone)) is not None:
        used["local_time"] = Surrounding("local_time", _hours(now.astimezone(zone)), Origin.PROFILE_TIME_ZONE)
    return used, stale


def _present(reading: Reading) -> EnvironmentValue:
    if reading.kind == "local_time" and isinstance(reading.value, float):
        return (reading.value + reading.age / _HOUR) % 24
    return reading.value


def _hours(moment: datetime) -> float:
    return moment.hour + moment.minute / 60 + moment.second / 3600


def _zone(name: str) -> ZoneInfo | None:
    if not name:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        # A zone that this machine's database does not have: no local time is better than a wrong one.
        return None


def _stale(reading: Reading) -> Degradation:
    label = reading.kind.replace("_", " ")
    return Degradation(
        f"environment.{reading.kind}",
        "STALE_READING",
        f"the latest reading of {label} is {_span(reading.age)} old, older than {_span(FRESH_FOR[reading.kind])}, "
        "and was not used",
    )


def _span(seconds: float) -> str:
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.0f} h" if seconds < 48 * _HOUR else f"{seconds / (24 * _HOUR):.0f} days"
