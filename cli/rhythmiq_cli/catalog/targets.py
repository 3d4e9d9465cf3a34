"""What a column of a catalogue file can become: the targets of a mapping."""

from __future__ import annotations

# Audio features that are numbers, in the order of rhythmiq.type.v1.AudioFeatures.
NUMBER_FEATURES = (
    "danceability",
    "energy",
    "speechiness",
    "acousticness",
    "instrumentalness",
    "liveness",
    "valence",
    "loudness",
    "tempo",
)
WHOLE_FEATURES = ("key", "mode", "time_signature")
FEATURES = (*NUMBER_FEATURES, *WHOLE_FEATURES)

TEXTS = ("external_id", "title", "language")
LISTS = ("artists", "genres", "instruments")
NUMBERS = ("popularity",)
DURATIONS = {"duration_ms": 0.001, "duration_s": 1.0}
OTHERS = ("kind", "explicit", "release_date")
# Followed by a name of one's own: `links.preview`, `other_ids.isrc`.
KEYED = ("links", "other_ids")

PLAIN_TARGETS = (*TEXTS, "kind", *LISTS, "explicit", "release_date", *NUMBERS, *DURATIONS, *FEATURES)


def is_target(name: str) -> bool:
    """Whether a mapping may name it."""
    outer, dot, inner = name.partition(".")
    return name in PLAIN_TARGETS or (outer in KEYED and bool(dot) and bool(inner))


def is_keyed(column: str) -> bool:
    """Whether a column is an entry of a map by its own name, as the JSON API prints it."""
    outer, dot, inner = column.partition(".")
    return outer in (*KEYED, "otherIds") and bool(dot) and bool(inner)


def targets_in_words() -> str:
    return ", ".join((*PLAIN_TARGETS, *(f"{outer}.NAME" for outer in KEYED)))
