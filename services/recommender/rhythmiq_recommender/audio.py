"""The one definition of every audio feature that retrieval, ranking and learning use.

A feature has a name (that of the API), a unit, and a scale: `mean` and `sd` turn its own unit into standard scores, so
that "one step away" means the same for tempo and for valence. The scales are fixed numbers, not those of the catalogue
at hand: a model trained on one catalogue stays valid on another. Knows no messages: learning uses it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
RawArray = NDArray[np.float64]
"""Values in their own units, kept in full precision so that a filter on them is exact."""

Z_LIMIT: Final = 4.0
"""Standard scores are clipped here, so that one odd value (an hour-long track) does not outweigh all others."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One column of the feature matrix. `mean` and `sd` are in `unit`."""

    name: str
    unit: str
    mean: float
    sd: float
    less: str
    """What a listener calls an item with little of it."""
    more: str
    """What a listener calls an item with much of it."""


# Means and SDs of "music in general", 3,706,388 tracks: Scarratt et al. 2023, PLOS ONE 18(1):e0278813, published
# summary tables. The last five are not in those tables: assumption, close to common Western catalogues.
FEATURES: Final[tuple[Feature, ...]] = (
    Feature("danceability", "0..1", 0.557, 0.186, "less danceable", "danceable"),
    Feature("energy", "0..1", 0.592, 0.260, "calm", "energetic"),
    Feature("speechiness", "0..1", 0.105, 0.139, "little spoken word", "more spoken word"),
    Feature("acousticness", "0..1", 0.347, 0.343, "produced", "acoustic"),
    Feature("instrumentalness", "0..1", 0.207, 0.330, "sung", "instrumental"),
    Feature("liveness", "0..1", 0.213, 0.192, "studio-made", "live"),
    Feature("valence", "0..1", 0.481, 0.273, "wistful", "bright"),
    Feature("loudness", "dB", -9.6, 5.7, "softly mastered", "full-sounding"),
    Feature("tempo", "BPM", 120.1, 30.4, "slow", "fast"),
    Feature("duration_ms", "ms", 225_000.0, 75_000.0, "short", "long"),
    Feature("popularity", "0..100", 40.0, 25.0, "little known", "well known"),
    Feature("key", "pitch class", 0.0, 1.0, "key", "key"),
    Feature("mode", "0 or 1", 0.67, 0.47, "minor", "major"),
    Feature("time_signature", "beats per bar", 3.9, 0.4, "few beats a bar", "many beats a bar"),
)
FEATURE_NAMES: Final[tuple[str, ...]] = tuple(feature.name for feature in FEATURES)
INDEX: Final[dict[str, int]] = {name: index for index, name in enumerate(FEATURE_NAMES)}
COUNT: Final = len(FEATURES)

KEY: Final = INDEX["key"]
"""Goes round (11 is next to 0), so it is compared on the circle of twelve and not by standard scores."""

MEANS: Final[RawArray] = np.array([feature.mean for feature in FEATURES])
SDS: Final[RawArray] = np.array([feature.sd for feature in FEATURES])

AUDIO_FEATURES: Final[tuple[tuple[int, str], ...]] = tuple(
    (index, name) for index, name in enumerate(FEATURE_NAMES) if name not in ("duration_ms", "popularity")
)
"""Position and name of the features that are in rhythmiq.type.v1.AudioFeatures."""


def standard_scores(raw: RawArray) -> FloatArray:
    """Turns features in their own units, shape (..., COUNT), into clipped standard scores.

    NaN stays NaN; key stays as it is.
    """
    scores: FloatArray = np.clip((raw - MEANS) / SDS, -Z_LIMIT, Z_LIMIT).astype(np.float32, copy=False)
    scores[..., KEY] = raw[..., KEY]
    return scores


def standard_score(name: str, value: float) -> float:
    """The standard score of one value; of `key` the value itself."""
    index = INDEX[name]
    if index == KEY:
        return value
    feature = FEATURES[index]
    return min(max((value - feature.mean) / feature.sd, -Z_LIMIT), Z_LIMIT)
