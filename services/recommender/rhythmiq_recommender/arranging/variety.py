"""The best order: score against variety, artists apart, one song once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.ranking import ScoreArray
from rhythmiq_recommender.snapshot import UNKNOWN

APART: Final = 6
"""Between two items of one main artist there are at least so many others, while there are others to put."""

CONTENDERS: Final = 3
"""So many times the length of a list is what variety chooses among: however strong it is, nothing worse comes in."""

SPAN: Final = 8.0
"""Score that a likeness of 1 outweighs at diversity 0.5, in standard deviations of the contenders' scores."""


class Alike(Protocol):
    """Tells likeness among candidates; see likeness.Likeness."""

    def to(self, index: int) -> ScoreArray:
        """Of every candidate to the one at `index`, 0 to 1."""
        ...


class Candidates(NamedTuple):
    """What the order goes by, one entry each: score, main artist (or UNKNOWN), and which song it is."""

    scores: ScoreArray
    artists: NDArray[np.integer]
    songs: NDArray[np.integer]

    def take(self, positions: IntArray) -> Candidates:
        """Only these, in this order."""
        return Candidates(self.scores[positions], self.artists[positions], self.songs[positions])


def best_first(candidates: Candidates) -> tuple[IntArray, IntArray]:
    """Positions, best first, equal scores in their order: of each song the best; and what is left, the songs again."""
    order = np.argsort(-candidates.scores, kind="stable")
    _, first = np.unique(candidates.songs[order], return_index=True)
    again = np.ones(len(order), np.bool_)
    again[first] = False
    return order[~again], order[again]


def contenders(candidates: Candidates, order: IntArray, count: int) -> IntArray:
    """The best CONTENDERS * count positions of `order`, best first, no more of an artist than APART leaves room for.

    Where that leaves fewer than `count`, all.
    """
    artists = candidates.artists[order]
    by_artist = np.argsort(artists, kind="stable")
    _, starts, sizes = np.unique(artists[by_artist], return_index=True, return_counts=True)
    nth = np.empty(len(order), np.int64)
    nth[by_artist] = np.arange(len(order)) - np.repeat(starts, sizes)
    fitting = order[(nth < -(-count // (APART + 1))) | (artists == UNKNOWN)]
    return fitting[: CONTENDERS * count] if len(fitting) >= count else order


def spaced(artists: NDArray[np.integer], count: int, before: Sequence[int] = ()) -> list[int]:
    """The first `count` indexes, those by an artist among the last APART put off while there are others.

    `before` are the artists of the places before.
    """
    steps = _Steps(artists, -np.arange(len(artists), dtype=np.float64))
    for place, artist in enumerate(before, start=-len(before)):
        steps.heard(artist, place)
    return steps.take(count)


def varied(candidates: Candidates, count: int, diversity: float, alike: Alike) -> list[int]:
    """The indexes of `count` of the candidates by maximal marginal relevance (Carbonell & Goldstein 1998).

    The next is the one with the highest `(1 - diversity) * score / span - diversity * likeness`, likeness being that
    to the most alike of those before it, and span SPAN standard deviations of the scores: one strength then means the
    same for every ranker. Artists are kept apart as in `spaced`.
    """
    span = SPAN * float(candidates.scores.std())
    worth = (1 - diversity) * candidates.scores / (span or 1.0)
    return _Steps(candidates.artists, worth, diversity, alike).take(count)


class _Steps:
    """One place after the other; keeps what the places before mean for the next."""

    def __init__(
        self, artists: NDArray[np.integer], worth: ScoreArray, diversity: float = 0.0, alike: Alike | None = None
    ) -> None:
        self._artists, self._left, self._diversity, self._alike = artists, worth, diversity, alike
        self._nearest = np.zeros(len(worth))
        # By candidate: the first place at which its artist is far enough from where it was last.
        self._ready = np.zeros(len(worth), np.int64)

    def take(self, count: int) -> list[int]:
        """Up to `count` indexes."""
        chosen: list[int] = []
        for place in range(min(count, len(self._left))):
            index = self._next(place)
            chosen.append(index)
            self._left[index] = -np.inf
            self.heard(int(self._artists[index]), place)
            if self._alike is not None:
                np.maximum(self._nearest, self._alike.to(index), out=self._nearest)
        return chosen

    def heard(self, artist: int, place: int) -> None:
        """Puts an artist off until APART others have been."""
        if artist != UNKNOWN:
            self._ready[self._artists == artist] = place + APART + 1

    def _next(self, place: int) -> int:
        value = self._left if self._alike is None else self._left - self._diversity * self._nearest
        apart = np.where(self._ready <= place, value, -np.inf)
        best = int(apart.argmax())
        return best if apart[best] != -np.inf else int(value.argmax())
