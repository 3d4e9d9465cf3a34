"""One thing that was listened to, as the exports tell it, and what kind of interaction it was."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from rhythmiq.recommender.v1 import interaction_pb2

# Less than this is a skip: the limit by which streaming services count a play.
SHORTEST_PLAY_MS = 30_000
# From this share of its length on, a track counts as heard to its end: the rest is fade-out and applause.
COMPLETE_SHARE = 0.9
LONGEST_MS = 86_400_000

Type = interaction_pb2.Interaction


class End(enum.Enum):
    """Why a listen ended, as far as the export tells."""

    # Nothing is told: a scrobble, which counts only what was heard for half its length or 4 minutes.
    UNTOLD = enum.auto()
    # The player came to the end of the track.
    DONE = enum.auto()
    # The listener went on to something else.
    SKIPPED = enum.auto()
    # Something else ended it, and it is told for how long it was heard.
    OTHERWISE = enum.auto()
    # A fault of the player or the network, which says nothing about the listener.
    FAULT = enum.auto()


@dataclass(frozen=True, slots=True)
class Listen:
    """One entry of a history. Times are in milliseconds, `start_ms` since 1970 in UTC.

    `ids` are spelled `source:id` (`spotify:…`, `musicbrainz:…`, `isrc:…`), the most trusted first.
    """

    ids: tuple[str, ...]
    artist: str
    title: str
    start_ms: int
    played_ms: int | None = None
    duration_ms: int | None = None
    end: End = End.UNTOLD
    private: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why an entry cannot be read."""

    rule: str


# File (or member of an archive), line, and what is there.
Entry = tuple[str, int, Listen | Unreadable]


def type_of(listen: Listen, duration_ms: int | None) -> Type.Type.ValueType | None:
    """COMPLETE, SKIP or PLAY; None for a start that a fault ended, which tells nothing.

    `duration_ms` is the catalogue's; the export's own stands in where the catalogue has none.
    """
    played, length = listen.played_ms, duration_ms or listen.duration_ms
    if listen.end is End.DONE or (played is not None and length and played >= COMPLETE_SHARE * length):
        return Type.COMPLETE
    if listen.end is End.UNTOLD:
        return Type.PLAY
    short = played is not None and played < SHORTEST_PLAY_MS
    if listen.end is End.FAULT and short:
        return None
    if listen.end is End.SKIPPED or short:
        return Type.SKIP
    return Type.PLAY
