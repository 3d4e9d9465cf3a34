"""How an item sounds against what is liked in these surroundings: holds for items that nobody has met, too."""

from __future__ import annotations

from typing import Final

import numpy as np
import scipy.sparse as sp

from rhythmiq_recommender.learning.encoding import CATEGORIES, CODES, OFFSETS, WIDTHS, cells
from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.shelf import KIND_COUNT, Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import (
    ALL_SURROUNDINGS,
    Kept,
    Past,
    most_liked,
    placed,
    sums,
    surroundings,
)
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.served.taste import DOUBT
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

SHRINK: Final = 40.0
"""Liked events that no effect of surroundings is worth."""
OWN_MEAN: Final = 5.0
"""Liked events that the mean of everybody is worth, against the listener's own mean."""
_WIDTH: Final = len(AUDIO_NAMES)
_ONES: Final[FloatArray] = np.ones(KIND_COUNT, np.float32)
_LEAST: Final = 0.05
"""Added to the variance of each standard score: what hardly varies must not decide everything."""
_MOST_EVENTS: Final = 300_000
"""Newest liked events that effects are fitted on; more change nothing that could be seen."""
_LOOKED_THROUGH: Final = 4_000
"""So many most liked items are looked through for what fits here."""

_SOURCES: Final = (
    ("sound_in", "log ratio", "how the item's sound is favoured here: joint effects of all kinds on what is liked"),
    ("own_sound_in", "standard scores", "the item's sound along what this listener liked here more than elsewhere"),
    ("own_genre_in", "-1..1", "this listener's verdicts on the genre here, beyond those on it anywhere"),
)


class SoundHere:
    """Effects of surroundings on the sound of what is liked, fitted for all kinds together; and the listener's own.

    The sound of a liked event, against the listener's own mean, is taken to be a sum of effects, one a code (ridge
    regression), with one covariance. The log-likelihood ratio of an item here against anywhere is then a product of its
    sound with the effects, weighted by the inverse covariance (linear discriminant analysis); it is a sum over kinds.
    """

    name = "sound"
    features = (
        *(
            Feature(f"{name}_{category.kind}", unit, surroundings(category.kind), f"{source}; {category.meaning}")
            for name, unit, source in _SOURCES
            for category in CATEGORIES
        ),
        Feature("sound_here", "log ratio", ALL_SURROUNDINGS, "sum of sound_in over all kinds"),
        Feature("own_sound_here", "standard scores", ALL_SURROUNDINGS, "sum of own_sound_in over all kinds"),
    )
    arrays = (
        ArraySpec("slope", "f4", (CODES, _WIDTH)),
        ArraySpec("middle", "f4", (_WIDTH,)),
        ArraySpec("likes", "f4", (Axis.ITEM,)),
    )

    def fit(self, past: Past) -> State:
        """`slope`: effects times the inverse covariance; `middle`: the mean sound of what is liked."""
        audio = past.tables.items.audio
        liked = np.flatnonzero(past.liked)
        likes = sums(past.item[liked], past.sizes[Axis.ITEM]).astype(np.float32)
        found = {"slope": np.zeros((CODES, _WIDTH), np.float32), "middle": np.zeros(_WIDTH, np.float32), "likes": likes}
        if audio is None or not len(liked):
            return found
        if len(liked) > _MOST_EVENTS:
            liked = np.sort(liked[np.argpartition(-past.time[liked], _MOST_EVENTS)[:_MOST_EVENTS]])
        sound = audio[past.item[liked]].astype(np.float64)
        # What is not known is taken to be typical, as on the shelf.
        sound = np.where(np.isnan(sound), 0, sound)
        middle = sound.mean(axis=0)
        beyond = sound - middle
        beyond -= _own_means(past.tables.events.user[liked], beyond)
        cell = cells(past.codes[liked])
        effects = _effects(cell, beyond)
        padded = np.vstack([effects, np.zeros((1, _WIDTH))])
        rest = beyond - padded[cell].sum(axis=1)
        covariance = rest.T @ rest / len(rest) + _LEAST * np.eye(_WIDTH)
        found["slope"] = np.linalg.solve(covariance, effects.T).T.astype(np.float32)
        found["middle"] = middle.astype(np.float32)
        return found

    def bind(self, kept: Kept, shelf: Shelf) -> BoundSoundHere:
        """Sounds against the middle, side by side with the effects on them."""
        return BoundSoundHere(kept, shelf)


def _own_means(user: IntArray, beyond: RawArray) -> RawArray:
    """(events x features) the mean of each event's listener, shrunk to 0."""
    _, number, times = np.unique(user, return_inverse=True, return_counts=True)
    total = np.stack([np.bincount(number, weights=column) for column in beyond.T], axis=1)
    means: RawArray = (total / (times + OWN_MEAN)[:, None])[number]
    return means


def _effects(cell: IntArray, beyond: RawArray) -> RawArray:
    """(CODES x features) effects of codes, all kinds at once; the mean over the events of a kind is 0."""
    event, kind = np.nonzero(cell < CODES)
    ones = np.ones(len(event), np.float64)
    design = sp.csr_matrix((ones, (event, cell[event, kind])), shape=(len(cell), CODES))
    normal = (design.T @ design).toarray() + SHRINK * np.eye(CODES)
    effects: RawArray = np.linalg.solve(normal, design.T @ beyond)
    times = np.asarray(design.sum(axis=0)).ravel()
    for offset, width in zip(OFFSETS.tolist(), WIDTHS, strict=True):
        rows = slice(offset, offset + width)
        effects[rows] -= times[rows] @ effects[rows] / max(times[rows].sum(), 1.0)
    effects[times == 0] = 0
    return effects


class BoundSoundHere:
    """A product with the effects of the surroundings at hand."""

    def __init__(self, kept: Kept, shelf: Shelf) -> None:
        self._shelf = shelf
        self._slope: FloatArray = np.vstack([kept["slope"], np.zeros((1, _WIDTH), np.float32)])
        self._level: FloatArray = self._slope @ kept["middle"]
        self._through = most_liked(placed(kept["likes"], shelf.fitted.item), shelf, _LOOKED_THROUGH)
        self._sound_through = shelf.audio[self._through]

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        x.T[:KIND_COUNT] = self._slope[seen.cells] @ looked.sound.T - self._level[seen.cells][:, None]
        x[:, -2] = x[:, :KIND_COUNT] @ _ONES
        own = x[:, KIND_COUNT:-2]
        own[:], x[:, -1] = 0, 0
        kinds = np.flatnonzero(seen.here.any(axis=0))
        if len(kinds):
            self._own(seen, looked, kinds, own)
            x[:, -1] = own[:, :KIND_COUNT] @ _ONES

    def _own(self, seen: Seen, looked: Looked, kinds: IntArray, own: FloatArray) -> None:
        """The history where a kind was as it is now, against all of it."""
        matching = seen.here[:, kinds].astype(np.float32)
        weights, sizes = matching * seen.signed[:, None], matching * seen.size[:, None]
        overall = seen.signed @ seen.sound / (seen.size.sum() + DOUBT)
        here = sizes.sum(axis=0)[:, None]
        leaning = (weights.T @ seen.sound - here * overall) / (here + DOUBT)
        own.T[kinds] = leaning @ looked.sound.T
        heard = seen.genres.keys
        member = (seen.genre == heard[:, None]).astype(np.float32)
        anywhere = (member @ seen.signed / (member @ seen.size + DOUBT))[:, None]
        number = member @ sizes
        table = np.zeros((len(heard) + 1, len(kinds)), np.float32)
        table[:-1] = (member @ weights - number * anywhere) / (number + DOUBT)
        table[:-1][heard == self._shelf.genres] = 0
        own.T[KIND_COUNT + kinds] = table.T.take(looked.heard_genre, axis=1)

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """Of the most liked items, those that fit best here by their sound."""
        if (seen.codes < 0).all():
            return np.zeros(0, np.int64)
        fit = self._sound_through @ self._slope[seen.cells].sum(axis=0)
        most = min(most, len(fit))
        best = np.argpartition(-fit, most - 1)[:most] if most else np.zeros(0, np.int64)
        return self._through[best[np.argsort(-fit[best], kind="stable")]]
