"""The catalogue as signals look at it, and what is seen of a listener when a query is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.learning.encoding import CODES, KINDS, CodeArray, cells
from rhythmiq_recommender.learning.history import LONGEST_HISTORY, IdArray
from rhythmiq_recommender.learning.listening import SESSION_GAP, Catalogue
from rhythmiq_recommender.learning.served.state import Places
from rhythmiq_recommender.learning.tables import BoolArray, FloatArray, IntArray, RawArray

HOUR = 3600.0
FADES = 30 * 24.0
"""Hours after which what a listener did counts half."""


class Shelf:
    """Columns of a catalogue with nothing missing: unknown artists and genres have a place of their own, the last."""

    def __init__(self, catalogue: Catalogue, kind: int, fitted: Places) -> None:
        self.catalogue, self.kind, self.fitted = catalogue, kind, fitted
        self.count = len(catalogue)
        self.of_kind: BoolArray = catalogue.kind == kind
        self.artists, self.genres = len(catalogue.artist_names), len(catalogue.genre_names)
        self.artist = np.where(catalogue.artist >= 0, catalogue.artist, self.artists)
        self.genre = np.where(catalogue.genre >= 0, catalogue.genre, self.genres)
        self.audio: FloatArray = catalogue.sound
        """(items x AUDIO_NAMES) standard scores, 0 (the mean of music in general) where not known."""

    def rows_of(self, ids: IdArray) -> IntArray:
        """Rows of items of this kind, -1 for all others."""
        if not len(ids) or not self.count:
            return np.full(len(ids), -1, np.int64)
        rows = self.catalogue.rows_of(ids)
        return np.where((rows >= 0) & self.of_kind[rows], rows, -1)


@dataclass(frozen=True, slots=True)
class Trail:
    """What one listener did with items of this kind before a moment, oldest first, at most LONGEST_HISTORY."""

    row: IntArray
    time: RawArray
    liked: FloatArray
    codes: CodeArray
    """(events x kinds)."""


NO_TRAIL: Final = Trail(
    np.zeros(0, np.int64), np.zeros(0, np.float64), np.zeros(0, np.float32), np.zeros((0, len(KINDS)), np.int8)
)


@dataclass(frozen=True, slots=True)
class Looked:
    """Items that features are asked of, with what several signals need of them."""

    row: IntArray
    artist: IntArray
    genre: IntArray
    sound: FloatArray
    """(rows x AUDIO_NAMES) as `Shelf.audio`."""
    fitted: IntArray
    """(rows,) places of the fit, -1 for items that it did not meet."""
    heard_artist: IntArray
    """(rows,) places in `Seen.artists`."""
    heard_genre: IntArray

    @classmethod
    def at(cls, shelf: Shelf, rows: IntArray, seen: Seen) -> Looked:
        """Those rows of the shelf, for one query."""
        artist, genre = shelf.artist.take(rows), shelf.genre.take(rows)
        return cls(
            rows,
            artist,
            genre,
            shelf.audio.take(rows, axis=0),
            shelf.fitted.item.take(rows).astype(np.int64),
            seen.artists.places(artist),
            seen.genres.places(genre),
        )


class Heard:
    """The keys (artists, genres) of what was heard, each once: sums by key are no longer than the history."""

    def __init__(self, keys: IntArray) -> None:
        self.keys, self.inverse = np.unique(keys, return_inverse=True)

    def sums(self, weights: NDArray[Any] | None = None) -> RawArray:
        """(keys + 1,) sums of weights (or numbers of events); 0 at the last, which is for all other keys."""
        found = np.bincount(self.inverse, weights=weights, minlength=len(self.keys) + 1)
        return found.astype(np.float64, copy=False)

    def places(self, keys: IntArray) -> IntArray:
        """Of each the place among the keys; the last for those not among them."""
        last = len(self.keys)
        if not last:
            return np.zeros(len(keys), np.int64)
        found = self.keys.searchsorted(keys)
        return np.where(self.keys.take(found, mode="clip") == keys, found, last)


class Seen:
    """One query, digested once for all signals: who asks, by what they did, when, and in which surroundings."""

    def __init__(self, shelf: Shelf, trail: Trail, time: float, codes: CodeArray) -> None:
        if len(trail.row) > LONGEST_HISTORY:
            trail = Trail(*(getattr(trail, name)[-LONGEST_HISTORY:] for name in Trail.__slots__))
        self.time, self.codes, self.trail = time, codes, trail
        self.row, self.liked = trail.row, trail.liked
        self.age = np.maximum(time - trail.time, 0) / HOUR
        """(events,) hours since."""
        self.weight = np.exp2(self.age / -FADES).astype(np.float32)
        self.signed = self.weight * self.liked
        """(events,) verdicts that fade."""
        self.cells = cells(codes)
        """(kinds,) places among all codes; CODES where not known."""
        self.here: BoolArray = (trail.codes == codes) & (codes >= 0)
        """(events x kinds) whether it was as it is now."""
        self.size = np.abs(self.signed)
        self.artist, self.genre = shelf.artist.take(self.row), shelf.genre.take(self.row)
        self.sound = shelf.audio.take(self.row, axis=0)
        self.artists, self.genres = Heard(self.artist), Heard(self.genre)
        self.session = self._session_start()
        self.items, self.inverse = np.unique(self.row, return_inverse=True)
        """Distinct heard rows, ascending."""
        self.taste: RawArray = np.bincount(self.inverse, weights=self.signed, minlength=len(self.items)).astype(
            np.float64
        )
        """(items,) faded verdicts added up: negative for what was mostly left."""
        self.last = np.zeros(len(self.items), np.int64)
        self.last[self.inverse] = np.arange(len(self.row))
        """(items,) the newest event of each."""
        self.memory: dict[str, RawArray] = {}
        """What one signal has worked out for this query and will need again."""

    def _session_start(self) -> int:
        """Place of the first event of the session that goes on; the length of the trail if none does."""
        time = self.trail.time
        if not len(time) or self.time - time[-1] > SESSION_GAP:
            return len(time)
        breaks = np.flatnonzero(time[1:] - time[:-1] > SESSION_GAP)
        return int(breaks[-1]) + 1 if len(breaks) else 0


NOWHERE_CELL = CODES
"""The cell of surroundings that are not known."""
KIND_COUNT = len(KINDS)
