"""What surroundings do to what is chosen: the planted effects, as one table.

An effect adds `lean` to the log-odds of an item being chosen, for each standard deviation of `feature` that the item is
above its kind's mean, times how far the condition holds (0 to 1), times the world's `context_strength`. The directions
follow the evidence that the recommender's prior cites; the sizes are this world's own, larger than those of real life,
so that a small world shows them. Nothing is planted for `audio_output`, `humidity`, `illuminance`, `heart_rate` and
`speed`: what a recommender finds there is what goes with another kind, or chance.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from rhythmiq_cli.demo.world.arrays import Floats
from rhythmiq_cli.demo.world.items import AUDIO
from rhythmiq_cli.demo.world.surroundings import VOCABULARY, Surroundings


@dataclass(frozen=True, slots=True)
class Condition:
    """How far something holds (0 to 1) in each row of surroundings; unknown values do not hold. `when` says it."""

    when: str
    strength: Callable[[Surroundings], Floats]


@dataclass(frozen=True, slots=True)
class Effect:
    """Under `condition`, `feature` is leant to by `lean` (log-odds a standard deviation)."""

    condition: str
    feature: str
    lean: float


def _one_of(kind: str, *values: str) -> Callable[[Surroundings], Floats]:
    codes = [VOCABULARY[kind].index(value) for value in values]
    return lambda there: np.isin(there.names[kind], codes).astype(np.float32)


def _curve(kind: str, *points: tuple[float, float]) -> Callable[[Surroundings], Floats]:
    """Piecewise linear through (value, strength), flat beyond its ends."""
    at, strength = zip(*points, strict=True)
    return lambda there: np.nan_to_num(np.interp(there.numbers[kind], at, strength)).astype(np.float32)


def _both(
    one: Callable[[Surroundings], Floats], other: Callable[[Surroundings], Floats]
) -> Callable[[Surroundings], Floats]:
    return lambda there: one(there) * other(there)


CONDITIONS: Final[Mapping[str, Condition]] = {
    "exercise": Condition("running, cycling or exercising", _one_of("activity", "running", "cycling", "exercising")),
    "walking": Condition("walking", _one_of("activity", "walking")),
    "work": Condition("working or studying", _one_of("activity", "working", "studying")),
    "rest": Condition("sleeping, lying or resting", _one_of("activity", "sleeping", "lying", "resting")),
    "loud": Condition("noise of 60 dB(A) (not yet) to 76 dB(A) (fully)", _curve("ambient_noise", (60, 0), (76, 1))),
    "late": Condition(
        "local time from 21:00 (not yet) to 22:30 (fully) until 04:00",
        _curve("local_time", (0, 1), (4, 1), (5, 0), (21, 0), (22.5, 1)),
    ),
    "morning": Condition("local time from 06:00 to 09:30", _curve("local_time", (5.5, 0), (6, 1), (9.5, 1), (10.5, 0))),
    "group": Condition("with a group", _one_of("company", "with_group")),
    "shared ride": Condition(
        "driving or riding with somebody",
        _both(_one_of("activity", "driving", "riding"), _one_of("company", "with_one", "with_group")),
    ),
    "gloomy": Condition("rain, snow or storm", _one_of("weather", "rain", "snow", "storm")),
    "warm": Condition("temperature of 15 °C (not yet) to 25 °C (fully)", _curve("temperature", (15, 0), (25, 1))),
}

EFFECTS: Final = (
    Effect("exercise", "tempo", 1.8),
    Effect("exercise", "energy", 1.8),
    Effect("walking", "tempo", 1.3),
    Effect("walking", "energy", 0.8),
    Effect("work", "instrumentalness", 1.9),
    Effect("work", "speechiness", -0.8),
    Effect("rest", "energy", -1.6),
    Effect("rest", "acousticness", 1.0),
    Effect("loud", "loudness", 1.3),
    Effect("loud", "acousticness", -0.8),
    Effect("late", "energy", -1.0),
    Effect("late", "tempo", -0.8),
    Effect("morning", "valence", 1.0),
    Effect("group", "danceability", 1.9),
    Effect("group", "valence", 0.6),
    Effect("shared ride", "valence", 1.3),
    Effect("gloomy", "valence", -0.8),
    Effect("gloomy", "acousticness", 0.5),
    Effect("warm", "valence", 0.6),
)


def leans(there: Surroundings) -> Floats:
    """(rows x AUDIO): log-odds for each standard deviation of each feature, all effects together."""
    names = list(CONDITIONS)
    table = np.zeros((len(names), len(AUDIO)), np.float32)
    for effect in EFFECTS:
        table[names.index(effect.condition), AUDIO.index(effect.feature)] += effect.lean
    strengths = np.stack([condition.strength(there) for condition in CONDITIONS.values()], axis=1)
    return np.asarray(strengths @ table, dtype=np.float32)
