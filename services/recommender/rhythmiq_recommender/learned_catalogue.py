"""The catalogue as learning sees it: the one way from stored items to its columns, for training and for serving."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rhythmiq_recommender.columns import Columns, Vocabularies
from rhythmiq_recommender.features import INDEX
from rhythmiq_recommender.learning.listening import Catalogue, audio_of
from rhythmiq_recommender.learning.tables import IntArray
from rhythmiq_recommender.postings import Postings, fold

_NONE = -1


def catalogue_of(columns: Columns, names: Vocabularies) -> Catalogue:
    """Rows stay where they are. The same items give the same columns, in whatever order they were read."""
    artist, artist_names = _first_names(columns.artists, names.artists.names)
    genre, genre_names = _first_names(columns.genres, names.genres.names)
    return Catalogue(
        ids=columns.ids,
        kind=columns.kind,
        artist=artist,
        artist_names=artist_names,
        genre=genre,
        genre_names=genre_names,
        audio=audio_of(columns.raw),
        popularity=columns.raw[:, INDEX["popularity"]].astype(np.float32),
    )


def _first_names(postings: Postings, names: Sequence[str]) -> tuple[IntArray, tuple[str, ...]]:
    """Of each row the first name as a place among the sorted names, -1 without one.

    Names are folded: how a name is spelled by whoever comes first must not make it another name.
    """
    first = postings.first(_NONE)
    used = np.unique(first[first != _NONE])
    in_order = sorted((fold(names[number]), int(number)) for number in used)
    place = np.full(len(names) + 1, _NONE, np.int64)
    place[[number for _, number in in_order]] = np.arange(len(in_order))
    return place[first], tuple(name for name, _ in in_order)
