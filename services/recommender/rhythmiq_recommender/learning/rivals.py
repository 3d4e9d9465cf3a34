"""What people would use instead of a model, on the same visits and the whole catalogue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from rhythmiq_recommender.audio import standard_score
from rhythmiq_recommender.learning.encoding import CODES, NOWHERE
from rhythmiq_recommender.learning.evaluate import Ranked
from rhythmiq_recommender.learning.listening import AUDIO_NAMES
from rhythmiq_recommender.learning.served.alike import cosine_lists, liked_by
from rhythmiq_recommender.learning.served.lists import Packed
from rhythmiq_recommender.learning.served.prior import BoundPriorHere
from rhythmiq_recommender.learning.served.reader import Reader
from rhythmiq_recommender.learning.served.shelf import NO_TRAIL, Looked, Seen
from rhythmiq_recommender.learning.served.signal import Past
from rhythmiq_recommender.learning.tables import IntArray, RawArray, Tables
from rhythmiq_recommender.learning.visits import Ask, Visits
from rhythmiq_recommender.prior import POPULARITY_SCORE, POPULARITY_WIDTH, WELL_KNOWN

POPULARITY, PERSONAL, ITEM_KNN, PRIOR = "popularity", "personalised most-popular", "item-kNN", "prior"
RIVALS: Final = (POPULARITY, PERSONAL, ITEM_KNN, PRIOR)
NEIGHBOURS: Final = 100
SHOWN: Final = 100
"""Items of each list that are judged."""

Rival = Callable[[Seen], RawArray]
"""(items,) scores of a query."""


def rivals(reader: Reader, past: Tables) -> Mapping[str, Rival]:
    """Popularity, personalised most-popular, item-kNN (cosine, k = 100) and the prior. `past`: what was fitted on."""
    shelf = reader.shelf
    popular = reader.likes.astype(np.float64) / (float(reader.likes.max(initial=0)) + 1)
    fitted = Past.of(past, shelf.artists, shelf.genres)
    near = Packed.of(cosine_lists(liked_by(fitted), NEIGHBOURS))
    prior, known = BoundPriorHere(shelf), _popularity_score(reader)

    def personal(seen: Seen) -> RawArray:
        """The listener's own items first, then those of their artists, each by popularity."""
        artist = np.bincount(seen.artist, minlength=shelf.artists + 1) / max(len(seen.artist), 1)
        artist[-1] = 0
        score = artist[shelf.artist] + popular * 1e-3
        score[seen.items] += 1
        return score

    def alike(seen: Seen) -> RawArray:
        ones = np.ones(len(seen.items), np.float32)
        return near.spread(seen.items, ones)[:-1] + popular * 1e-6

    everything = Looked.at(shelf, np.arange(shelf.count), Seen(shelf, NO_TRAIL, 0.0, NOWHERE))
    table = prior.of_cells(everything, np.arange(CODES))

    def by_prior(seen: Seen) -> RawArray:
        cells = seen.cells[seen.cells < CODES]
        found: RawArray = table[cells].sum(axis=0) + known
        return found

    return {POPULARITY: lambda seen: popular, PERSONAL: personal, ITEM_KNN: alike, PRIOR: by_prior}


def _popularity_score(reader: Reader) -> RawArray:
    """What the prior adds for being well known, as its ranker does."""
    shelf, column = reader.shelf, AUDIO_NAMES.index("popularity")
    target = standard_score("popularity", WELL_KNOWN)
    typical = 1 + (float(shelf.audio[shelf.of_kind, column].mean()) - target) ** 2 if shelf.of_kind.any() else 1.0
    near = 1 / (1 + (shelf.audio[:, column] - target) ** 2 / POPULARITY_WIDTH**2)
    found: RawArray = (
        POPULARITY_SCORE
        * (near - 1 / (1 + typical / POPULARITY_WIDTH**2))
        * ~np.isnan(shelf.catalogue.audio[:, column])
    )
    return found


def rankings(
    reader: Reader, ask: Ask, visits: Visits, past: Tables, only: tuple[str, ...] = RIVALS
) -> dict[str, Ranked]:
    """The first SHOWN items of each rival for each visit; all visits must have answers."""
    chosen = {name: rival for name, rival in rivals(reader, past).items() if name in only}
    parts: dict[str, list[tuple[IntArray, RawArray]]] = {name: [] for name in chosen}
    liked = [ask.answers(visits, number)[0] for number in range(len(visits))]
    closed = ~reader.shelf.of_kind
    for number in range(len(visits)):
        seen = ask.seen(reader, visits, number)
        for name, rival in chosen.items():
            parts[name].append(_first(np.where(closed, -np.inf, rival(seen))))
    found = {}
    for name, lists in parts.items():
        query = np.repeat(np.arange(len(lists)), [len(item) for item, _ in lists])
        item = np.concatenate([item for item, _ in lists]).astype(np.int64)
        label = np.concatenate([np.isin(shown, mine) for (shown, _), mine in zip(lists, liked, strict=True)])
        score = np.concatenate([score for _, score in lists])
        positives = np.array([len(mine) for mine in liked], np.int64)
        found[name] = Ranked(query, item, score, label, positives, ask.user[visits.first])
    return found


def _first(score: RawArray) -> tuple[IntArray, RawArray]:
    most = min(SHOWN, len(score))
    best = np.argpartition(-score, most - 1)[:most]
    best = best[np.argsort(-score[best], kind="stable")]
    best = best[np.isfinite(score[best])]
    return best, score[best]
