"""What follows what in sessions, as lists of followers."""

from __future__ import annotations

from typing import Final

import numpy as np

from rhythmiq_recommender.learning.served.lists import Packed, heaviest, of_sparse
from rhythmiq_recommender.learning.served.shelf import Looked, Seen, Shelf
from rhythmiq_recommender.learning.served.signal import SIMILAR, Kept, Past, gone
from rhythmiq_recommender.learning.served.state import ArraySpec, Axis, State
from rhythmiq_recommender.learning.signals.signal import Feature
from rhythmiq_recommender.learning.signals.transitions import DECAY, REACH, lagged
from rhythmiq_recommender.learning.tables import FloatArray, IntArray, RawArray

FOLLOWERS: Final = 48
DOUBT: Final = 5.0
"""How often nothing followed an item, added to what did: a chance of 1 from one event is none."""


class Follow:
    """Chances that an item follows another one, right away or within REACH; only likes count as following."""

    name = "follow"
    features = (
        Feature("next_chance_here", "0..1", SIMILAR, "chance that it is liked right after the session's last item"),
        Feature("soon_chance", "sum of chances", SIMILAR, "that it is liked within 8 of the session's items, decayed"),
        Feature("soon_chance_rel", "0..1", SIMILAR, "soon_chance, divided by the query's best"),
    )
    arrays = (
        ArraySpec("next", "i4", (Axis.ITEM, FOLLOWERS), refers=Axis.ITEM),
        ArraySpec("next_chance", "f4", (Axis.ITEM, FOLLOWERS), weighs="next"),
        ArraySpec("soon", "i4", (Axis.ITEM, FOLLOWERS), refers=Axis.ITEM),
        ArraySpec("soon_chance", "f4", (Axis.ITEM, FOLLOWERS), weighs="soon"),
    )

    def fit(self, past: Past) -> State:
        """Counts pairs of liked events in one session; an item twice in a row counts once."""
        liked = np.flatnonzero(past.liked)
        item, session = past.item[liked], past.session[liked]
        fresh = np.r_[True, (item[1:] != item[:-1]) | (session[1:] != session[:-1])] if len(item) else []
        item, session = item[np.asarray(fresh, np.bool_)], session[np.asarray(fresh, np.bool_)]
        count = past.sizes[Axis.ITEM]
        right = lagged(session, item, 1, count)
        soon = right
        for lag in range(2, REACH + 1):
            soon = soon + lagged(session, item, lag, count, DECAY ** (lag - 1))
        found = {}
        for name, matrix in (("next", right), ("soon", soon.tocsr())):
            matrix.setdiag(0)
            matrix.eliminate_zeros()
            out = np.asarray(right.sum(1)).ravel() + DOUBT
            rows, weights = of_sparse(matrix, FOLLOWERS)
            found[name] = rows
            found[f"{name}_chance"] = (weights / out[:, None]).astype(np.float32)
        return found

    def bind(self, kept: Kept, shelf: Shelf) -> BoundFollow:
        """Lists as they are."""
        return BoundFollow(kept.lists["next"], kept.lists["soon"], shelf)


class BoundFollow:
    """Adds up the followers of the session that goes on."""

    def __init__(self, right: Packed, soon: Packed, shelf: Shelf) -> None:
        self._next, self._soon, self._fitted, self._gone = right, soon, shelf.fitted, gone(shelf)

    def _score(self, seen: Seen) -> RawArray:
        """(items of the fit + 1,)."""
        found = seen.memory.get("follow")
        if found is None:
            recent = self._fitted.item.take(seen.row[seen.session :][-REACH:])
            decay = DECAY ** np.arange(len(recent))[::-1]
            found = self._soon.spread(recent[recent >= 0], decay[recent >= 0])
            found[self._gone] = 0
            seen.memory["follow"] = found
        return found

    def columns(self, seen: Seen, looked: Looked, x: FloatArray) -> None:
        if seen.session >= len(seen.row):
            x[:] = 0
            return
        last = self._fitted.item.take(seen.row[-1:])
        score = self._score(seen)
        x[:, 0] = self._next.spread(last[last >= 0], np.ones(1)[last >= 0]).take(looked.fitted)
        x[:, 1] = score.take(looked.fitted)
        x[:, 2] = x[:, 1] / max(float(score.max()), 1e-6)

    def candidates(self, seen: Seen, most: int) -> IntArray:
        """What is likely to follow soon."""
        if seen.session >= len(seen.row):
            return np.zeros(0, np.int64)
        return self._fitted.row[heaviest(self._score(seen), most)].astype(np.int64)
