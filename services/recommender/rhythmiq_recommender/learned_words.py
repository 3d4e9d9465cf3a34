"""What a learned ranker's contributions are called, in a listener's words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from rhythmiq_recommender.learning.encoding import CATEGORIES
from rhythmiq_recommender.learning.history import History
from rhythmiq_recommender.situation import EnvironmentKind, Surrounding

_MINUTE, _HOUR, _DAY = 60.0, 3600.0, 86400.0

_DOING: Final[Mapping[str, str]] = {
    "sleeping": "falling asleep",
    "lying": "lying down",
    "working": "at work",
    "riding": "on a ride",
}
_PLACES: Final[Mapping[str, str]] = {
    "home": "at home",
    "workplace": "at the workplace",
    "school": "at school",
    "gym": "at the gym",
    "outdoors": "outdoors",
    "transit": "in transit",
    "vehicle": "in a vehicle",
    "cafe": "in a café",
    "shop": "in a shop",
    "venue": "at a venue",
}
_WEATHER: Final[Mapping[str, str]] = {
    "clear": "when the sky is clear",
    "cloudy": "when it is cloudy",
    "fog": "in fog",
    "rain": "when it rains",
    "snow": "when it snows",
    "storm": "in a storm",
}
_COMPANY: Final[Mapping[str, str]] = {
    "alone": "alone",
    "with_one": "with someone",
    "with_group": "in company",
}
_HOURS: Final[Mapping[str, str]] = {
    "night": "at night",
    "midday": "at midday",
}
_SPEEDS: Final[Mapping[str, str]] = {
    "still": "when standing still",
    "city traffic": "at the speed of city traffic",
    "open road": "at open road speed",
}
_LIGHT: Final[Mapping[str, str]] = {
    "indoors": "in indoor light",
    "daylight": "in daylight",
    "dark": "in the dark",
}


def _heard_through(name: str) -> str:
    return f"on {name.replace('_', ' ')}{'' if name.endswith('headphones') else 's'}"


_WHEN: Final[Mapping[EnvironmentKind, Callable[[str], str]]] = {
    "activity": lambda name: _DOING.get(name, f"while {name}"),
    "local_time": lambda name: _HOURS.get(name, f"in the {name}"),
    "weather": lambda name: _WEATHER.get(name, f"in {name}"),
    "place_type": lambda name: _PLACES.get(name, f"at a {name}"),
    "audio_output": _heard_through,
    "company": lambda name: _COMPANY.get(name, name.replace("_", " ")),
    "ambient_noise": lambda name: f"where it is {name}",
    "illuminance": lambda name: _LIGHT.get(name, f"in {name} light"),
    "temperature": lambda name: f"when it is {name}",
    "humidity": lambda name: f"in {name} air",
    "heart_rate": lambda name: f"at a {name} heart rate" if name != "working out" else "at the heart rate of a workout",
    "speed": lambda name: _SPEEDS.get(name, f"at {name}"),
}
_CATEGORY: Final = {category.kind: category for category in CATEGORIES}


def when(surrounding: Surrounding) -> str:
    """Surroundings as a listener would name them: `while walking`, `where it is loud`; empty if they are not known."""
    category = _CATEGORY[surrounding.kind]
    code = category.code(surrounding.value)
    return _WHEN[surrounding.kind](category.names[code]) if code >= 0 else ""


def surroundings_words(kind: EnvironmentKind, surrounding: Surrounding | None, speaks_for: bool) -> str:
    """What listeners, this one first, do in such surroundings."""
    moment = when(surrounding) if surrounding is not None else ""
    if not moment:
        return f"without knowing your {kind.replace('_', ' ')}"
    return f"{'often' if speaks_for else 'seldom'} liked {moment}"


def taste_words(speaks_for: bool) -> str:
    return "fits what you usually like" if speaks_for else "unlike what you usually like"


def popularity_words(speaks_for: bool) -> str:
    return "liked by many listeners" if speaks_for else "liked by few listeners"


def similar_words(title: str, liked: float, speaks_for: bool) -> str:
    """`title` of the item that it is most like, empty without one; `liked` is the verdict on that one."""
    if not title:
        return "goes with what you have been playing" if speaks_for else "does not go with what you have been playing"
    if not speaks_for:
        return f"only a little like {title}, which you played"
    return f"like {title}, which you {'liked' if liked >= 1 else 'played'}"


def novelty_words(seconds: float | None) -> str:
    """`seconds` since it was last heard; None: never."""
    return "new for you" if seconds is None else f"you heard it {ago(seconds)} ago"


def ago(seconds: float) -> str:
    """A span as one would say it: `5 minutes`, `1 hour`, `3 days`."""
    if seconds < _HOUR:
        return _counted(seconds / _MINUTE, "minute")
    return _counted(seconds / _HOUR, "hour") if seconds < 2 * _DAY else _counted(seconds / _DAY, "day")


def _counted(amount: float, unit: str) -> str:
    count = max(1, round(amount))
    return f"{count} {unit}{'s' if count != 1 else ''}"


def last_heard(history: History) -> dict[bytes, float]:
    """Unix seconds of the newest event with each item of the history; ids as arrays give them, without end zeros."""
    return dict(zip(history.item.tolist(), history.time.tolist(), strict=True))


def verdict_on(history: History, item_id: bytes) -> float:
    """The best verdict on the item; 0 without one."""
    places = np.flatnonzero(history.item == np.array(item_id, "S16"))
    return float(history.liked[places].max()) if len(places) else 0.0
