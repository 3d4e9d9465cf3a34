"""What surroundings lean music towards: the documented prior, as one table.

A *condition* is a state of one environment kind with a strength from 0 to 1. A *lean* says where, under that condition,
one audio feature is wanted, in its own unit, and how strongly, in units of effect size (Cohen's d against music in
general). These are average tendencies and taste varies more than any of them, so `SURROUNDINGS_SCALE` keeps them below
preferences and tuning. Every row names its source; ASSUMPTION marks what goes beyond the evidence.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from rhythmiq_recommender.situation import EnvironmentKind, Surrounding

SURROUNDINGS_SCALE: Final = 0.25
"""Score of one unit of effect size; a preference of weight 1 is worth 1.2 to 2."""
SURROUNDINGS_WIDTH: Final = 1.0
"""Distance in standard scores from what is wanted at which nearness has halved."""
WELL_KNOWN: Final = 90.0
"""Popularity that is wanted a little, whatever the surroundings."""
POPULARITY_SCORE: Final = 0.25
POPULARITY_WIDTH: Final = 2.0
"""As SURROUNDINGS_WIDTH."""

ASSUMPTION: Final = "assumption"
SLEEP: Final = "Scarratt et al. 2023, PLOS ONE 18(1):e0278813"
STUDY: Final = "Scarratt et al. 2023, Scientific Reports 13:4735"
TREADMILL: Final = "Karageorghis & Jones 2014, Psychol. Sport Exerc. 15:299"
INTENSITY: Final = "Karageorghis et al. 2011, Res. Q. Exerc. Sport 82:274"
WALKING: Final = "Karageorghis, Jones & Low 2006, Res. Q. Exerc. Sport 77:240"
WORKOUT: Final = "14 workout playlists (968 tracks) against their catalogue, TidyTuesday Spotify Songs 2020"
CLOCK: Final = "Heggli, Stupacher & Vuust 2021, R. Soc. Open Sci. 8:210885"
AROUSAL: Final = "Park et al. 2019, Nature Human Behaviour 3:230"
WEATHER: Final = "Anglada-Tort et al. 2023, R. Soc. Open Sci."
SAFE: Final = "WHO-ITU safe listening: carry at a safe level, never a higher one; the values: assumption"

Curve = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """A state of `kind`: either these enum values with their strengths, or a curve of strength over its number.

    A curve is piecewise linear through (number, strength), flat beyond its ends. `because` completes "…, because".
    """

    kind: EnvironmentKind
    because: str
    values: Mapping[str, float] | None = None
    curve: Curve = ()

    def strength(self, surrounding: Surrounding) -> float:
        """0 (does not hold) to 1."""
        if self.values is not None:
            return self.values.get(str(surrounding.value), 0.0)
        if isinstance(surrounding.value, str):
            return 0.0
        return _on_curve(self.curve, surrounding.value)


def _on_curve(curve: Curve, value: float) -> float:
    """As numpy.interp, which takes ten times as long for one number."""
    at = bisect_right(curve, (value, math.inf))
    if at in (0, len(curve)):
        return float(curve[max(at - 1, 0)][1])
    (left, low), (right, high) = curve[at - 1], curve[at]
    return low + (high - low) * (value - left) / (right - left)


@dataclass(frozen=True, slots=True)
class Lean:
    """Under `condition`, `feature` is wanted near `target` (own unit), with `effect` (Cohen's d) as its weight."""

    condition: str
    feature: str
    target: float
    effect: float
    source: str


CONDITIONS: Final[Mapping[str, Condition]] = {
    "loud": Condition("ambient_noise", "it is loud around you ({value:.0f} dB)", curve=((60, 0), (78, 1))),
    "quiet": Condition("ambient_noise", "it is quiet around you ({value:.0f} dB)", curve=((30, 1), (45, 0))),
    # Lying and resting lean as sleeping does, by half and less: assumption.
    "asleep": Condition("activity", "you are {value}", {"sleeping": 1.0, "lying": 0.6, "resting": 0.4}),
    # Work in general leans as study does, by half: assumption.
    "studying": Condition("activity", "you are {value}", {"studying": 1.0, "working": 0.5}),
    "walking": Condition("activity", "you are walking", {"walking": 1.0}),
    "running": Condition("activity", "you are running", {"running": 1.0}),
    "cycling": Condition("activity", "you are cycling", {"cycling": 1.0}),
    "exercise": Condition("activity", "you are {value}", {"running": 1.0, "cycling": 1.0, "exercising": 1.0}),
    "driving": Condition("activity", "you are {value}", {"driving": 1.0, "riding": 0.5}),
    "heart": Condition("heart_rate", "your heart beats fast ({value:.0f} bpm)", curve=((100, 0), (150, 1))),
    "morning": Condition("local_time", "it is morning", curve=((5, 0), (8, 1), (10, 1), (11, 0))),
    "workday": Condition("local_time", "it is daytime", curve=((8, 0), (10, 1), (16, 1), (18, 0))),
    "siesta": Condition("local_time", "it is early afternoon", curve=((12, 0), (14, 1), (16, 0))),
    "evening": Condition("local_time", "it is evening", curve=((16, 0), (18, 1), (21, 1), (23, 0))),
    "night": Condition("local_time", "it is late", curve=((0, 1), (4, 1), (6, 0), (21, 0), (23.5, 1))),
    "fair": Condition("weather", "the weather is clear", {"clear": 1.0}),
    "warm": Condition("temperature", "it is warm ({value:.0f} °C)", curve=((15, 0), (25, 1))),
    "dry": Condition("humidity", "the air is dry", curve=((30, 1), (50, 0))),
    "dark": Condition("illuminance", "it is dark where you are", curve=((1, 1), (30, 0))),
    "sunlit": Condition("illuminance", "it is bright where you are", curve=((5_000, 0), (20_000, 1))),
    "gym": Condition("place_type", "you are at the gym", {"gym": 1.0}),
    "desk": Condition("place_type", "you are at your {value}", {"workplace": 1.0, "school": 1.0}),
    "aboard": Condition("place_type", "you are on the move", {"transit": 1.0, "vehicle": 1.0}),
    "outside": Condition("place_type", "you are outdoors", {"outdoors": 1.0}),
    "cafe": Condition("place_type", "you are in a café", {"cafe": 1.0}),
    "venue": Condition("place_type", "you are at a venue", {"venue": 1.0}),
    "strolling": Condition("speed", "you move at walking pace", curve=((0.5, 0), (1, 1), (1.9, 1), (2.4, 0))),
    "jogging": Condition("speed", "you move at running pace", curve=((1.9, 0), (2.6, 1), (5, 1), (6.5, 0))),
    "rolling": Condition("speed", "you are on the move", curve=((8, 0), (14, 1))),
    "together": Condition("company", "you are not alone", {"with_group": 1.0, "with_one": 0.3}),
    "small_speaker": Condition("audio_output", "it plays from a small speaker", {"phone_speaker": 1.0}),
    "car_speaker": Condition("audio_output", "it plays in a car", {"car_speaker": 1.0}),
}

LEANS: Final[tuple[Lean, ...]] = (
    # Noise: what carries at a safe volume. Louder masters, small dynamics, less quiet acoustic music, less speech.
    Lean("loud", "loudness", -4.0, 1.6, SAFE),
    Lean("loud", "energy", 0.80, 0.9, SAFE),
    Lean("loud", "acousticness", 0.10, 0.8, SAFE),
    Lean("loud", "speechiness", 0.04, 0.3, ASSUMPTION),
    Lean("quiet", "loudness", -13.0, 0.6, ASSUMPTION),
    Lean("quiet", "energy", 0.42, 0.5, ASSUMPTION),
    # Sleep: means of 130,150 sleep tracks. Effects as published, or from the published means and SDs; that of
    # instrumentalness, whose SD is not published, is an assumption here and below.
    Lean("asleep", "energy", 0.233, 1.46, SLEEP),
    Lean("asleep", "loudness", -19.8, 1.25, SLEEP),
    Lean("asleep", "valence", 0.249, 0.93, SLEEP),
    Lean("asleep", "danceability", 0.424, 0.64, SLEEP),
    Lean("asleep", "tempo", 104.9, 0.47, SLEEP),
    Lean("asleep", "acousticness", 0.737, 1.19, SLEEP),
    Lean("asleep", "instrumentalness", 0.619, 1.10, SLEEP),
    Lean("asleep", "speechiness", 0.066, 0.35, SLEEP),
    Lean("asleep", "liveness", 0.149, 0.40, SLEEP),
    # Study: means of 109,628 study tracks.
    Lean("studying", "energy", 0.347, 0.96, STUDY),
    Lean("studying", "loudness", -14.6, 0.75, STUDY),
    Lean("studying", "valence", 0.326, 0.60, STUDY),
    Lean("studying", "danceability", 0.529, 0.14, STUDY),
    Lean("studying", "tempo", 111.9, 0.26, STUDY),
    Lean("studying", "acousticness", 0.622, 0.78, STUDY),
    Lean("studying", "instrumentalness", 0.608, 1.10, STUDY),
    Lean("studying", "speechiness", 0.076, 0.25, STUDY),
    # Movement: preferred tempo from the studies (their weight: assumption), the rest from workout playlists.
    Lean("walking", "tempo", 119.0, 0.5, WALKING),
    Lean("walking", "energy", 0.66, 0.3, ASSUMPTION),
    Lean("running", "tempo", 127.0, 1.2, TREADMILL),
    Lean("cycling", "tempo", 132.5, 1.2, TREADMILL),
    Lean("exercise", "tempo", 130.0, 0.22, WORKOUT),
    Lean("exercise", "energy", 0.795, 0.78, WORKOUT),
    Lean("exercise", "loudness", -5.9, 0.65, WORKOUT),
    Lean("exercise", "acousticness", 0.145, 0.59, WORKOUT),
    Lean("exercise", "danceability", 0.477, 0.43, WORKOUT),
    Lean("driving", "energy", 0.65, 0.3, ASSUMPTION),
    Lean("driving", "loudness", -7.0, 0.3, ASSUMPTION),
    Lean("heart", "tempo", 137.5, 0.8, INTENSITY),
    Lean("heart", "energy", 0.75, 0.4, ASSUMPTION),
    # Time of day: directions from the studies; the effects there are small, and so are these.
    Lean("morning", "loudness", -8.5, 0.15, CLOCK),
    Lean("workday", "energy", 0.64, 0.20, AROUSAL),
    Lean("siesta", "tempo", 116.0, 0.15, CLOCK),
    Lean("siesta", "danceability", 0.52, 0.15, CLOCK),
    Lean("evening", "tempo", 124.0, 0.20, CLOCK),
    Lean("evening", "danceability", 0.62, 0.20, CLOCK),
    Lean("night", "loudness", -12.0, 0.30, CLOCK),
    Lean("night", "energy", 0.45, 0.30, AROUSAL),
    # Weather: only warm and dry days go with anything, so rain, snow and cold lean nowhere.
    Lean("fair", "energy", 0.66, 0.15, WEATHER),
    Lean("fair", "valence", 0.56, 0.20, WEATHER),
    Lean("warm", "energy", 0.66, 0.15, WEATHER),
    Lean("warm", "valence", 0.56, 0.20, WEATHER),
    Lean("dry", "valence", 0.54, 0.10, ASSUMPTION),
    Lean("dark", "energy", 0.48, 0.20, ASSUMPTION),
    Lean("sunlit", "valence", 0.56, 0.20, ASSUMPTION),
    # Places, pace, company and output have no study behind them here.
    Lean("gym", "energy", 0.795, 0.50, ASSUMPTION),
    Lean("gym", "tempo", 130.0, 0.50, ASSUMPTION),
    Lean("desk", "energy", 0.45, 0.30, ASSUMPTION),
    Lean("desk", "instrumentalness", 0.50, 0.30, ASSUMPTION),
    Lean("aboard", "loudness", -7.0, 0.30, ASSUMPTION),
    Lean("outside", "energy", 0.64, 0.15, ASSUMPTION),
    Lean("cafe", "acousticness", 0.50, 0.25, ASSUMPTION),
    Lean("venue", "danceability", 0.68, 0.50, ASSUMPTION),
    Lean("venue", "energy", 0.72, 0.40, ASSUMPTION),
    Lean("strolling", "tempo", 119.0, 0.25, WALKING),
    Lean("jogging", "tempo", 127.0, 0.50, TREADMILL),
    Lean("jogging", "energy", 0.75, 0.30, ASSUMPTION),
    Lean("rolling", "loudness", -7.0, 0.20, ASSUMPTION),
    Lean("together", "danceability", 0.66, 0.40, ASSUMPTION),
    Lean("together", "popularity", 70.0, 0.40, ASSUMPTION),
    Lean("small_speaker", "loudness", -7.0, 0.20, ASSUMPTION),
    Lean("car_speaker", "loudness", -7.0, 0.30, ASSUMPTION),
)


@dataclass(frozen=True, slots=True)
class ActiveLean:
    """A lean whose condition holds now; `weight` is in score."""

    kind: EnvironmentKind
    condition: str
    feature: str
    target: float
    weight: float
    because: str


def active_leans(surroundings: Mapping[EnvironmentKind, Surrounding]) -> Iterator[ActiveLean]:
    """The rows of the table that hold in these surroundings, each weighted by the strength of its condition."""
    holding: dict[str, tuple[float, str]] = {}
    for name, condition in CONDITIONS.items():
        surrounding = surroundings.get(condition.kind)
        if surrounding is not None and (strength := condition.strength(surrounding)) > 0:
            holding[name] = strength, _because(condition, surrounding)
    for lean in LEANS:
        if lean.condition in holding:
            strength, because = holding[lean.condition]
            weight = SURROUNDINGS_SCALE * strength * lean.effect
            kind = CONDITIONS[lean.condition].kind
            yield ActiveLean(kind, lean.condition, lean.feature, lean.target, weight, because)


def _because(condition: Condition, surrounding: Surrounding) -> str:
    value = surrounding.value
    return condition.because.format(value=_SPOKEN.get(value, value) if isinstance(value, str) else value)


_SPOKEN: Final[Mapping[str, str]] = {"lying": "lying down", "sleeping": "going to sleep", "riding": "on a ride"}
"""Values that are not words by themselves."""
