"""How alike two items are: what variety counts against a list of look-alikes."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from rhythmiq_recommender.postings import IntArray
from rhythmiq_recommender.retrieval import SOUND
from rhythmiq_recommender.snapshot import UNKNOWN, CatalogSnapshot

SOUND_SHARE: Final = 0.5
GENRE_SHARE: Final = 0.25
ARTIST_SHARE: Final = 0.25
"""What each counts in a likeness, which is 1 for two of one artist, the same genres and the same sound. Sound has the
most because every track has one; the ratios are an assumption."""

Likenesses = NDArray[np.float64]


class Likeness:
    """Likeness among the candidates at `rows`.

    Sound: 1 / (1 + d²), where d² is the mean squared difference in standard scores, the nearness that the prior uses
    too. Genres: |common| / |either| (Jaccard). Artist: whether the main artist is the same. What is not known of one
    of the two is like nothing.
    """

    def __init__(self, snapshot: CatalogSnapshot, rows: IntArray) -> None:
        artists = snapshot.first_artist[rows]
        same = (artists[:, None] == artists) & (artists != UNKNOWN)
        self._all = _of_sounds(snapshot, rows) + ARTIST_SHARE * same + _of_genres(snapshot, rows)

    def to(self, index: int) -> Likenesses:
        """Of every candidate to the one at `index`: shape (len(rows),), 0 to 1."""
        likeness: Likenesses = self._all[index]
        return likeness


def _of_sounds(snapshot: CatalogSnapshot, rows: IntArray) -> Likenesses:
    """Of each to each, up to SOUND_SHARE: shape (len(rows), len(rows))."""
    sounds = snapshot.scores.take(rows, axis=0)[:, SOUND].astype(np.float64)
    squares = np.einsum("ij,ij->i", sounds, sounds)
    missing = np.isnan(snapshot.columns.raw.take(rows, axis=0))
    squares[np.all(missing[:, SOUND], axis=1)] = np.inf
    # (a - b)² = a² + b² - 2ab; SHARE / (1 + sum / n) = n SHARE / (n + sum)
    apart = sounds @ (-2 * sounds.T)
    apart += squares
    apart += squares[:, None] + sounds.shape[1]
    likeness: Likenesses = np.divide(SOUND_SHARE * sounds.shape[1], apart, out=apart)
    return likeness


def _of_genres(snapshot: CatalogSnapshot, rows: IntArray) -> Likenesses:
    """Of each to each, up to GENRE_SHARE: shape (len(rows), len(rows)).

    Worked out once for each two distinct sets of genres: many candidates share one.
    """
    sets, place = np.unique(snapshot.genre_set[rows], return_inverse=True)
    owners, values = snapshot.genre_sets.gather(sets)
    genres, column = np.unique(values, return_inverse=True)
    member = np.zeros((len(sets), len(genres)), np.float32)
    member[owners, column] = 1
    common = member @ member.T
    sizes = common.diagonal()
    either = sizes[:, None] + sizes - common
    likeness: Likenesses = (GENRE_SHARE * common / np.maximum(either, 1))[place][:, place]
    return likeness
