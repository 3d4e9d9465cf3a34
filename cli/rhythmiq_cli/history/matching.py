"""Finds what was listened to in the catalogue: by id, then by artist and title.

The whole catalogue is read once and kept as numbers: about 350 bytes an item, however long its texts are.
"""

from __future__ import annotations

import uuid
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from rhythmiq.recommender.v1 import item_pb2
from rhythmiq_cli.history.listens import Listen
from rhythmiq_cli.history.spelling import artist_key, lead_artist_key, plain_title, title_key

# Keys of `other_ids`, and sources of external ids, that mean a recording of MusicBrainz.
_MUSICBRAINZ = frozenset(
    {"musicbrainz", "mbid", "recording_mbid", "musicbrainz_recording", "musicbrainz_recording_id", "mb_recording"}
)
# Of more artists than this, the ones behind are not looked for by name.
_ARTISTS_KEPT = 4
_SEVERAL = -1


class Match(NamedTuple):
    """An item of the catalogue that was listened to."""

    item: str
    duration_ms: int | None
    by_id: bool


@dataclass(frozen=True, slots=True)
class NoMatch:
    """No item, or (`ambiguous`) several that nothing tells apart."""

    ambiguous: bool = False


class CatalogueIndex:
    """Items by their ids and names. A name that several items share is ambiguous.

    Keys are kept as 64-bit hashes: of a million items and as many listens, two that differ meet in one catalogue of ten
    million.
    """

    def __init__(self) -> None:
        self._names = bytearray()
        self._durations_ms = array("i")
        self._by_id: dict[int, int] = {}
        self._by_title: dict[int, int] = {}
        # By the title without guests and version, where that differs.
        self._by_plain_title: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._durations_ms)

    def add_all(self, items: Iterable[item_pb2.Item]) -> None:
        for item in items:
            self.add(item)

    def add(self, item: item_pb2.Item) -> None:
        index = len(self._durations_ms)
        self._names += uuid.UUID(item.name.partition("/")[2]).bytes
        self._durations_ms.append(item.duration.ToMilliseconds() if item.HasField("duration") else 0)
        for one in _ids_of(item):
            _put(self._by_id, one, index)
        strict, plain = title_key(item.title), plain_title(item.title)
        for artist in _artist_keys(item.artists):
            _put(self._by_title, (artist, strict), index)
            if plain != strict:
                _put(self._by_plain_title, (artist, plain), index)

    def find(self, listen: Listen) -> Match | NoMatch:
        """The item that was listened to."""
        ambiguous = False
        for one in listen.ids:
            found = self._by_id.get(hash(one))
            if found is not None and found != _SEVERAL:
                return self._match(found, by_id=True)
            ambiguous |= found == _SEVERAL
        if listen.artist and listen.title:
            for found in self._candidates(listen.artist, listen.title):
                if found != _SEVERAL:
                    return self._match(found, by_id=False)
                return NoMatch(ambiguous=True)
        return NoMatch(ambiguous)

    def _candidates(self, artist: str, title: str) -> Iterator[int]:
        """What is there under the name, the closest spelling first."""
        strict, plain = title_key(title), plain_title(title)
        whole, lead = artist_key(artist), lead_artist_key(artist)
        for name in (whole, lead) if lead != whole else (whole,):
            lookups = [(self._by_title, strict), (self._by_title, plain), (self._by_plain_title, plain)]
            for table, key in lookups:
                found = table.get(hash((name, key)))
                if found is not None:
                    yield found

    def _match(self, index: int, *, by_id: bool) -> Match:
        name = uuid.UUID(bytes=bytes(self._names[16 * index : 16 * index + 16]))
        return Match(f"items/{name}", self._durations_ms[index] or None, by_id)


def _put(table: dict[int, int], key: object, index: int) -> None:
    slot = hash(key)
    if table.setdefault(slot, index) != index:
        table[slot] = _SEVERAL


def _ids_of(item: item_pb2.Item) -> Iterator[str]:
    source, _, found = item.external_id.partition(":")
    yield f"musicbrainz:{found.lower()}" if source in _MUSICBRAINZ else item.external_id
    for key, value in item.other_ids.items():
        source = key.lower()
        if source in _MUSICBRAINZ:
            yield f"musicbrainz:{value.lower()}"
        elif source == "isrc":
            yield f"isrc:{value.upper().replace('-', '')}"
        else:
            yield f"{source}:{value}"


def _artist_keys(artists: Iterable[str]) -> Iterator[str]:
    """Each artist by itself, and the first of those that are written as one."""
    names = list(artists)[:_ARTISTS_KEPT]
    keys = [artist_key(name) for name in names]
    yield from dict.fromkeys([*keys, *(lead_artist_key(name) for name in names[:1])])
