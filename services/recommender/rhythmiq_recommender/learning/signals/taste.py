"""How the item sounds, against what the listener liked: audio features, and distances to the listener's mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rhythmiq_recommender.learning.queries import Queries
from rhythmiq_recommender.learning.signals.kinds import AUDIO
from rhythmiq_recommender.learning.signals.signal import Blank, Feature, Pairs, Usable, as_float
from rhythmiq_recommender.learning.sparse import embed_pairs
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, Need, Tables

_PRIOR = 3.0


class Taste(Usable):
    """Needs audio features; likes come from positives where there are ratings, else from all events."""

    name = "taste"
    needs = frozenset({Need.AUDIO})
    features = (
        Feature("audio_distance", "standard scores", "audio taste", "to the mean of what the listener liked"),
        Feature(
            "audio_cosine", "-1..1", "audio taste", "between the item and that mean, both from the catalogue's mean"
        ),
        *(Feature(f"audio_{name}", "standard scores", "audio", f"the item's; {unit}") for name, unit in AUDIO.items()),
    )

    def fit(self, past: Tables, seed: int) -> FittedTaste:
        """Means."""
        return FittedTaste(past)


class FittedTaste(Blank):
    """`sums`: (users x features) of liked items; `likes`: how many."""

    def __init__(self, past: Tables) -> None:
        audio, events = past.items.audio, past.events
        assert audio is not None
        self._past, self._audio = past, audio
        self._names = {place: name for place, name in enumerate(past.items.audio_names) if name in AUDIO}
        self._liked = np.ones(len(events), np.float32) if events.rating is None else as_float(past.positive)
        rows = embed_pairs(events.user, events.item, self._liked, (past.users, past.items.count))
        self._sums, self._likes = as_float(rows @ audio), as_float(np.asarray(rows.sum(1)).ravel())

    def _against(self, sums: FloatArray, likes: FloatArray, item: IntArray) -> dict[str, FloatArray]:
        mean, audio = sums / (likes + _PRIOR)[:, None], self._audio[item]
        size = np.linalg.norm(mean, axis=1) * np.linalg.norm(audio, axis=1)
        return {f"audio_{name}": audio[:, column] for column, name in self._names.items()} | {
            "audio_distance": as_float(np.linalg.norm(mean - audio, axis=1)),
            "audio_cosine": as_float((mean * audio).sum(1) / np.maximum(size, 1e-6)),
        }

    def columns(self, queries: Queries, pairs: Pairs) -> Mapping[str, FloatArray]:
        user = queries.user[pairs.query]
        known = (user >= 0).astype(np.float32)
        at = np.maximum(user, 0)
        return self._against(self._sums[at] * known[:, None], self._likes[at] * known, pairs.item)

    def left_out(self) -> Mapping[str, FloatArray]:
        """Each event's without it."""
        events = self._past.events
        own = self._audio[events.item] * self._liked[:, None]
        return self._against(self._sums[events.user] - own, self._likes[events.user] - self._liked, events.item)
