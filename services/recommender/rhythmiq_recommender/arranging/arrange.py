"""From ranked candidates to a list: what was heard lately rests, variety, and a few places to learn from."""

from __future__ import annotations

import random

import numpy as np

from rhythmiq_recommender.arranging.exploration import Placed, explored
from rhythmiq_recommender.arranging.fatigue import rested
from rhythmiq_recommender.arranging.likeness import Likeness
from rhythmiq_recommender.arranging.shuffle import shuffled
from rhythmiq_recommender.arranging.variety import Candidates, best_first, contenders, spaced, varied
from rhythmiq_recommender.ranking import Ranked
from rhythmiq_recommender.situation import Situation, Wish
from rhythmiq_recommender.snapshot import CatalogSnapshot

__all__ = ["Placed", "adjusted", "arrange"]


def adjusted(ranked: Ranked, snapshot: CatalogSnapshot, wish: Wish, situation: Situation) -> Ranked:
    """The same with what counts for every ranker alike: fatigue, and the shuffle."""
    ranked = rested(ranked, snapshot, situation.history, situation.time, wish.fatigue)
    return shuffled(ranked, snapshot, wish.seed)


def arrange(
    ranked: Ranked, snapshot: CatalogSnapshot, wish: Wish, situation: Situation, exploration: float = 0.0
) -> list[Placed]:
    """At most `wish.count` places, best first.

    The best item whose artist was not among the last APART comes next, or with diversity the one that is worth most
    beside those before it (see `variety`). Of one song under several ids only the best counts; the others come after
    all else. `exploration` is the share of places that may be given away where the wish lets it (see `exploration`);
    with a seed the same is drawn each time.
    """
    rows = ranked.rows
    if not len(rows):
        return []
    candidates = Candidates(ranked.scores, snapshot.first_artist[rows], snapshot.song[rows])
    songs, again = best_first(candidates)
    some = contenders(candidates, songs, wish.count)
    if wish.diversity > 0:
        chosen = some[varied(candidates.take(some), wish.count, wish.diversity, Likeness(snapshot, rows[some]))]
    else:
        chosen = songs[spaced(candidates.artists[songs], wish.count)]
    if len(chosen) < wish.count:
        before = candidates.artists[chosen].tolist()
        more = spaced(candidates.artists[again], wish.count - len(chosen), before)
        chosen = np.concatenate([chosen, again[more]])
    order = chosen.tolist()
    if not wish.explore or exploration == 0:
        return [Placed(position) for position in order]
    return explored(order, candidates, some, exploration, _draw(wish))


def _draw(wish: Wish) -> random.Random:
    """Chance: the listener and the seed decide it, without a seed the operating system."""
    return random.Random() if wish.seed is None else random.Random(f"{wish.seed} {wish.profile_id}")
