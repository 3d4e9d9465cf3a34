"""What training starts from: who did what with which item where, and the catalogue."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from hashlib import blake2b
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.audio import FEATURE_NAMES, INDEX, RawArray, standard_scores
from rhythmiq_recommender.learning.encoding import KINDS
from rhythmiq_recommender.learning.tables import (
    BoolArray,
    Context,
    Events,
    FloatArray,
    IntArray,
    Items,
    Tables,
    UnfitTables,
)

IMPRESSION: Final = "IMPRESSION"
VERDICTS: Final[Mapping[str, float]] = {
    IMPRESSION: 0.0,
    "PLAY": 0.4,
    "COMPLETE": 0.8,
    "SKIP": -0.6,
    "LIKE": 1.0,
    "DISLIKE": -1.0,
    "SAVE": 1.0,
}
"""How much each type of interaction says that the item was right, -1 to 1. Started and then left adds up to a no."""
TYPES: Final = tuple(VERDICTS)
"""Names of interaction types; a type's code is its place here."""
VERDICT: Final[FloatArray] = np.array(list(VERDICTS.values()), np.float32)
"""(types,) by code."""

AUDIO_NAMES: Final = tuple(name for name in FEATURE_NAMES if name != "key")
"""Columns of `Catalogue.audio`. A key goes round, so that means and distances of it say nothing."""
_AUDIO_COLUMNS: Final = [INDEX[name] for name in AUDIO_NAMES]

SESSION_GAP: Final = 30 * 60.0
"""Seconds of silence after which a new session begins."""


@dataclass(frozen=True)
class Catalogue:
    """Items as columns, ordered by id. One row an item; all kinds together."""

    ids: NDArray[np.bytes_]
    """(items,) ids of 16 bytes (S16), strictly ascending."""
    kind: NDArray[np.int8]
    """Number of rhythmiq.recommender.v1.Item.Kind."""
    artist: IntArray
    """First artist (or show) as a place in `artist_names`, -1 unknown."""
    artist_names: tuple[str, ...]
    genre: IntArray
    """First genre as a place in `genre_names`, -1 unknown."""
    genre_names: tuple[str, ...]
    audio: FloatArray
    """(items x AUDIO_NAMES) standard scores (`audio.standard_scores`), NaN unknown."""
    popularity: FloatArray
    """0..100 as the source says, NaN unknown."""

    def __post_init__(self) -> None:
        count = len(self.ids)
        for name in ("kind", "artist", "genre", "audio", "popularity"):
            if len(getattr(self, name)) != count:
                raise UnfitTables(f"catalogue: {name} has {len(getattr(self, name))} rows, and ids have {count}")
        if self.audio.shape != (count, len(AUDIO_NAMES)):
            raise UnfitTables(f"catalogue: audio has the shape {self.audio.shape}, not ({count}, {len(AUDIO_NAMES)})")
        if count > 1 and not (self.ids[1:] > self.ids[:-1]).all():
            raise UnfitTables("catalogue: ids must be ascending, each once")

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def artist_keys(self) -> NDArray[np.uint64]:
        """A hash of each artist's name: the same in every process and catalogue."""
        return keys_of(self.artist_names)

    @cached_property
    def genre_keys(self) -> NDArray[np.uint64]:
        """A hash of each genre's name."""
        return keys_of(self.genre_names)

    @cached_property
    def sound(self) -> FloatArray:
        """(items x AUDIO_NAMES) audio, 0 (the mean of music in general) where not known."""
        return np.where(np.isnan(self.audio), np.float32(0), self.audio)

    @cached_property
    def _prefixes(self) -> NDArray[np.uint64] | None:
        """Of ids, ascending; None if two are the same."""
        found = prefixes(self.ids)
        return found if bool((found[1:] > found[:-1]).all()) else None

    def rows_of(self, ids: NDArray[np.bytes_]) -> IntArray:
        """Rows of those ids, -1 for the ones that are not there."""
        if not len(self) or not len(ids):
            return np.full(len(ids), -1, np.int64)
        known = self._prefixes
        place = self.ids.searchsorted(ids) if known is None else known.searchsorted(prefixes(ids))
        place = np.minimum(place, len(self) - 1)
        return np.where(self.ids[place] == ids, place, -1).astype(np.int64)


def prefixes(ids: NDArray[np.bytes_]) -> NDArray[np.uint64]:
    """The first 8 of 16 bytes as numbers, which ascend as ids do: found several times faster than strings of bytes."""
    if not len(ids):
        return np.zeros(0, np.uint64)
    return np.ascontiguousarray(ids, "S16").view(">u8")[::2].astype(np.uint64)


def keys_of(names: tuple[str, ...]) -> NDArray[np.uint64]:
    """(names,) the first 8 bytes of BLAKE2b of each name."""
    digests = b"".join(blake2b(name.encode(), digest_size=8).digest() for name in names)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def audio_of(raw: RawArray) -> FloatArray:
    """(items x AUDIO_NAMES) standard scores from features in their own units, (items x audio.COUNT)."""
    return np.ascontiguousarray(standard_scores(raw)[:, _AUDIO_COLUMNS])


@dataclass(frozen=True, slots=True)
class Listens:
    """Interactions as columns, in any order: one row an interaction, of all kinds of items and all types."""

    listener: IntArray
    """0..n-1."""
    item: IntArray
    """Row of the catalogue."""
    type: NDArray[np.int8]
    """Place in TYPES."""
    time: RawArray
    """Unix seconds, UTC."""
    codes: NDArray[np.int8]
    """(rows x encoding.KINDS), -1 unknown."""
    position: IntArray
    """Place in the list where it was shown, from 1; -1 if it was not shown in one."""
    propensity: FloatArray
    """Probability of being shown there; NaN unknown."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            if len(getattr(self, name)) != len(self.listener):
                raise UnfitTables(f"column {name} has {len(getattr(self, name))} rows, listeners {len(self.listener)}")
        if self.codes.shape[1:] != (len(KINDS),):
            raise UnfitTables(f"codes must have {len(KINDS)} columns, one a kind of surroundings")
        if len(self) and not (int(self.type.min()) >= 0 and int(self.type.max()) < len(TYPES)):
            raise UnfitTables(f"column type must be 0..{len(TYPES) - 1}, a place in TYPES")
        if not np.isfinite(self.time).all():
            raise UnfitTables("column time must be finite")

    def __len__(self) -> int:
        return len(self.listener)

    def take(self, rows: IntArray | BoolArray) -> Listens:
        """Those rows, in that order."""
        some: dict[str, Any] = {name: getattr(self, name)[rows] for name in self.__slots__}
        return Listens(**some)

    def without_surroundings(self, kinds: frozenset[str] = frozenset(KINDS)) -> Listens:
        """As if those kinds had never been shared."""
        codes = self.codes.copy()
        codes[:, [number for number, kind in enumerate(KINDS) if kind in kinds]] = -1
        return replace(self, codes=codes)


def tables_of(listens: Listens, catalogue: Catalogue, kind: int) -> Tables:
    """Interactions with items of one kind (a number of Item.Kind), by listener, session and time; no impressions.

    Ratings are verdicts, and a positive one is a yes. Sessions are of this kind only, with gaps of at most SESSION_GAP.
    Raises UnfitTables if nothing is left.
    """
    if len(listens) and not (int(listens.item.min()) >= 0 and int(listens.item.max()) < len(catalogue)):
        raise UnfitTables(f"column item must be 0..{len(catalogue) - 1}, a row of the catalogue")
    ours = (catalogue.kind[listens.item] == kind) & (listens.type != TYPES.index(IMPRESSION))
    if not ours.any():
        raise UnfitTables(f"there are no interactions with items of kind {kind}: nothing can be learned")
    rows = np.flatnonzero(ours)
    rows = rows[np.lexsort((listens.type[rows], listens.time[rows], listens.listener[rows]))]
    some = listens.take(rows)
    begins = np.r_[True, (np.diff(some.listener) != 0) | (np.diff(some.time) > SESSION_GAP)]
    session = np.cumsum(begins) - 1
    events = Events(
        some.listener,
        some.item,
        np.ones(len(rows), np.float32),
        session=session,
        time=some.time,
        start=some.time[np.flatnonzero(begins)][session],
        rating=VERDICT[some.type],
    )
    context = Context({name: some.codes[:, number].astype(np.int64) for number, name in enumerate(KINDS)})
    return Tables(
        events,
        Items(
            len(catalogue),
            group=None if not len(catalogue.artist_names) else catalogue.artist,
            genre=catalogue.genre,
            audio=catalogue.audio,
            audio_names=AUDIO_NAMES,
        ),
        int(some.listener.max()) + 1,
        context=context,
        positive_from=float(np.finfo(np.float32).eps),
    )
