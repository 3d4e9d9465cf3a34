"""What became of what was shown: liked or not within the session, overall and by the variants of an experiment."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rhythmiq_recommender.learning.listening import IMPRESSION, SESSION_GAP, TYPES, VERDICT, Listens
from rhythmiq_recommender.learning.metrics import mean_over_users
from rhythmiq_recommender.learning.tables import BoolArray, IntArray

_SHOWN: Final = TYPES.index(IMPRESSION)


@dataclass(frozen=True, slots=True)
class Shown:
    """Impressions at a place of a list, and whether each was liked."""

    row: IntArray
    """In the listens that it was made of."""
    liked: BoolArray

    def __len__(self) -> int:
        return len(self.row)


def shown(listens: Listens) -> Shown:
    """Liked: what the listener did with the item in the same session adds up to a yes. Sessions as in `tables_of`."""
    order = np.lexsort((listens.time, listens.listener))
    listener, time = listens.listener[order], listens.time[order]
    begins = np.r_[True, (np.diff(listener) != 0) | (np.diff(time) > SESSION_GAP)] if len(order) else np.zeros(0, bool)
    session = np.cumsum(begins) - 1
    item = listens.item[order]
    key = session * (int(item.max(initial=0)) + 1) + item
    _, number = np.unique(key, return_inverse=True)
    total = np.bincount(number, weights=VERDICT[listens.type[order]].astype(np.float64))
    liked = (total > 1e-6)[number] if len(order) else np.zeros(0, np.bool_)
    wanted = (listens.type[order] == _SHOWN) & (listens.position[order] >= 1)
    return Shown(order[wanted], np.asarray(liked[wanted], np.bool_))


def by_variant(listens: Listens, variants: IntArray, names: tuple[str, str], since: float) -> list[dict[str, Any]]:
    """One row a variant: listeners, items shown since then (Unix seconds), and likes per shown item with an interval.

    `variants`: of each listener, 0 or 1 as in `names`, -1 outside.
    """
    found = shown(listens)
    recent = listens.time[found.row] >= since
    row, liked = found.row[recent], found.liked[recent]
    who = listens.listener[row]
    rows = []
    for number, name in enumerate(names):
        mine = variants[who] == number
        rate = mean_over_users(liked[mine].astype(np.float64), who[mine])
        rows.append(
            {
                "variant": name,
                "listeners": len(np.unique(who[mine])),
                "shown": int(mine.sum()),
                "liked": rate.as_json(),
            }
        )
    return rows
