"""What is learned of a listener, and what it may be called."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final, NamedTuple

from rhythmiq_recommender.situation import LeaningType

MOST: Final = 100
"""Leanings that one derivation hands over at most: as many as a profile can have preferences."""
HALF_LIFE: Final = 60 * 86_400.0
"""Seconds in which what somebody did comes to count half."""

_NAMEABLE: Final = re.compile(r"[^\x00-\x1f\x7f\s]([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f\s])?")
_LONGEST_NAME: Final = 200


class Value(NamedTuple):
    """What somebody can lean towards: a genre, an instrument or an artist by name, or a tempo as `90-120` BPM."""

    type: LeaningType
    name: str


class Learned(NamedTuple):
    """A leaning and how well it is borne out.

    `weight` is in [-1, 1] and never near 0; `confidence` in (0, 1]; `evidence` interactions speak for it, the newest
    of them at `time` (Unix seconds).
    """

    value: Value
    weight: float
    confidence: float
    evidence: int
    time: float

    @property
    def strength(self) -> float:
        """0 to 1: the weakest is the first to go."""
        return abs(self.weight) * self.confidence


class ItemFacts(NamedTuple):
    """What is known of an item: id (16 bytes), number of Item.Kind, names; tempo in BPM and popularity, or None."""

    id: bytes
    kind: int
    genres: tuple[str, ...]
    artists: tuple[str, ...]
    instruments: tuple[str, ...]
    tempo: float | None
    popularity: float | None

    @property
    def names(self) -> Mapping[LeaningType, tuple[str, ...]]:
        """Names by what they are names of."""
        return {
            LeaningType.GENRE: self.genres,
            LeaningType.ARTIST: self.artists,
            LeaningType.INSTRUMENT: self.instruments,
        }


def nameable(name: str) -> bool:
    """Whether a catalogue's name can be the value of a preference."""
    return len(name) <= _LONGEST_NAME and _NAMEABLE.fullmatch(name) is not None
