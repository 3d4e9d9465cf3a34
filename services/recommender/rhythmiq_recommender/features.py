"""Audio features of items, read from their messages. What the features are: `audio`."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import numpy as np
from google.protobuf.message import Message

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_recommender.audio import (
    AUDIO_FEATURES,
    COUNT,
    FEATURE_NAMES,
    FEATURES,
    INDEX,
    KEY,
    Z_LIMIT,
    Feature,
    FloatArray,
    RawArray,
    standard_score,
    standard_scores,
)

__all__ = [
    "AUDIO_FEATURES",
    "COUNT",
    "FEATURES",
    "FEATURE_NAMES",
    "INDEX",
    "KEY",
    "Z_LIMIT",
    "Feature",
    "FloatArray",
    "RawArray",
    "read_features",
    "standard_score",
    "standard_scores",
]


def read_features(items: Sequence[item_pb2.Item]) -> RawArray:
    """Features in their own units, shape (len(items), COUNT); NaN where an item does not have one."""
    raw = np.empty((len(items), COUNT))
    audio = [item.features for item in items]
    for index, name in AUDIO_FEATURES:
        raw[:, index] = _known(np.array(list(map(attrgetter(name), audio)), np.float64), audio, name)
    lengths = [item.duration for item in items]
    milliseconds = np.array([length.seconds for length in lengths]) * 1e3
    milliseconds += np.array([length.nanos for length in lengths]) / 1e6
    raw[:, INDEX["duration_ms"]] = _known(milliseconds, items, "duration")
    popularity = np.array([item.popularity for item in items], np.float64)
    raw[:, INDEX["popularity"]] = _known(popularity, items, "popularity")
    return raw


def _known(values: RawArray, messages: Sequence[Message], name: str) -> RawArray:
    """Turns the zeros that only stand for a missing field into NaN. Asking each message costs more than the values."""
    for row in np.flatnonzero(values == 0).tolist():
        if not messages[row].HasField(name):
            values[row] = np.nan
    return values
